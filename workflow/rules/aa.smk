# The frameworks against themselves, through the rules of any campaign: false differences, and known ones found.


rule aa_report:
    """The rate of intervals that exclude 1 where both sides are the same, and the rate of handicaps that are found."""
    input:
        code=catalogue.code("framebench.analyse.aa"),
        measurements=f"{AA.results}/measurements.csv",
        comparisons=f"{AA.results}/comparisons.csv",
    output:
        f"{AA.results}/aa.md",
    log:
        f"{AA.results}/logs/report.log",
    shell:
        "python -P -m framebench aa --measurements {input.measurements:q} --comparisons {input.comparisons:q}"
        " --output {output:q} 2>&1 | tee {log:q} >&2; cat {output:q} >&2"


rule aa:
    input:
        rules.aa_report.output,
        f"{AA.results}/.complete",
