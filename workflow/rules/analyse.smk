# From the records of the runs to tables and a verdict.
import json

from framebench import catalogue, matrix


rule plan:
    """The records of the campaign in the order in which they are measured."""
    input:
        code=catalogue.code("framebench.matrix"),
    output:
        f"{RESULTS}/plan.txt",
    log:
        f"{RESULTS}/logs/plan.log",
    params:
        config=json.dumps(config),
    shell:
        "python -P -m framebench.matrix --config {params.config:q} --output {output} 2>&1 | tee {log:q} >&2"


rule measurements:
    input:
        code=catalogue.code("framebench.analyse.table"),
        plan=rules.plan.output,
        records=[matrix.record_path(RESULTS, run) for run in matrix.runs(CONFIG)],
    output:
        f"{RESULTS}/measurements.csv",
    log:
        f"{RESULTS}/logs/measurements.log",
    shell:
        "python -P -m framebench.analyse.table --records-list {input.plan} --output {output} 2>&1 | tee {log:q} >&2"


rule comparisons:
    input:
        code=catalogue.code("framebench.analyse.comparisons"),
        measurements=rules.measurements.output,
        certificates=rules.certificates.input.certificates,
    output:
        f"{RESULTS}/comparisons.csv",
    log:
        f"{RESULTS}/logs/comparisons.log",
    params:
        confidence=CONFIG.confidence,
    shell:
        "python -P -m framebench.analyse.comparisons --measurements {input.measurements}"
        " --certificates {input.certificates} --confidence {params.confidence}"
        " --output {output} 2>&1 | tee {log:q} >&2"


rule verdict:
    """The answer in two or three sentences."""
    input:
        code=catalogue.code("framebench.verdict"),
        texts=texts,
        measurements=rules.measurements.output,
        comparisons=rules.comparisons.output,
    output:
        f"{RESULTS}/verdict.{{language}}.txt",
    log:
        f"{RESULTS}/logs/verdict-{{language}}.log",
    params:
        baseline=CONFIG.baseline,
    shell:
        "python -P -m framebench.verdict --measurements {input.measurements} --comparisons {input.comparisons}"
        " --language {wildcards.language} --baseline {params.baseline} --output {output} 2>&1 | tee {log:q} >&2"


rule complete:
    """Fails where a run failed, after everything that could be measured and drawn was."""
    input:
        code=catalogue.code("framebench.analyse.failures"),
        measurements=rules.measurements.output,
        # Named, although in the table: one that was set aside must be missed.
        records=rules.measurements.input.records,
    output:
        touch(f"{RESULTS}/.complete"),
    log:
        f"{RESULTS}/logs/complete.log",
    shell:
        "python -P -m framebench.analyse.failures --measurements {input.measurements} 2>&1 | tee {log:q} >&2"
