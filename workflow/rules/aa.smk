# The frameworks against themselves, through the rules of any campaign: is a difference claimed that is not there,
# and is one found that is?
from framebench.plan import catalogue, matrix

AA_RECORDS = [matrix.record_path(AA.results, run) for run in matrix.runs(AA)]
AA_LOGS = f"{RESULTS}/logs/aa"


rule aa:
    input:
        f"{AA.results}/aa.md",
        f"{AA.results}/.complete",


use rule plan as aa_plan with:
    input:
        code=catalogue.code("framebench.plan.matrix"),
    output:
        f"{AA.results}/plan.txt",
    log:
        f"{AA_LOGS}/plan.log",
    params:
        config=json.dumps(config),
        options=["--aa"],


use rule measurements as aa_measurements with:
    input:
        AA_RECORDS,
        code=catalogue.code("framebench.analyse.table"),
        plan=rules.aa_plan.output,
    output:
        f"{AA.results}/measurements.csv",
    log:
        f"{AA_LOGS}/measurements.log",


use rule comparisons as aa_comparisons with:
    input:
        code=catalogue.code("framebench.analyse.comparisons"),
        measurements=rules.aa_measurements.output,
        certificates=expand(
            rules.certificate.output.certificate,
            workload=AA.aa.workload,
            framework=CONFIG.frameworks,
        ),
    output:
        f"{AA.results}/comparisons.csv",
    log:
        f"{AA_LOGS}/comparisons.log",
    params:
        confidence=AA.confidence,
        rounds=[],
        across_cards=["--across-cards"] if AA.across_cards else [],


rule aa_report:
    """How often an interval excludes 1 where both sides are the same, and whether more work is found."""
    input:
        code=catalogue.code("framebench.analyse.aa"),
        measurements=rules.aa_measurements.output,
        comparisons=rules.aa_comparisons.output,
    output:
        f"{AA.results}/aa.md",
    log:
        f"{AA_LOGS}/report.log",
    shell:
        "python -P -m framebench.analyse.aa --measurements {input.measurements} --comparisons {input.comparisons}"
        " --output {output} 2>&1 | tee {log:q} >&2; cat {output} >&2"


use rule complete as aa_complete with:
    input:
        AA_RECORDS,
        code=catalogue.code("framebench.analyse.failures"),
        measurements=rules.aa_measurements.output,
    output:
        touch(f"{AA.results}/.complete"),
    log:
        f"{AA_LOGS}/complete.log",
