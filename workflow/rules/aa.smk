# The frameworks against themselves, through the rules of any campaign: is a difference claimed that is not there,
# and is one found that is?


rule aa_report:
    """How often an interval excludes 1 where both sides are the same, and whether more work is found."""
    input:
        code=catalogue.code("framebench.analyse.aa"),
        measurements=f"{AA.results}/measurements.csv",
        comparisons=f"{AA.results}/comparisons.csv",
    output:
        f"{AA.results}/aa.md",
    log:
        f"{AA.results}/logs/report.log",
    shell:
        "python -P -m framebench aa --measurements {input.measurements} --comparisons {input.comparisons}"
        " --output {output} 2>&1 | tee {log:q} >&2; cat {output} >&2"


rule aa:
    input:
        rules.aa_report.output,
        f"{AA.results}/.complete",
