# From the records of the runs to tables and a verdict.
import json
from pathlib import Path

from framebench.plan import catalogue, matrix

# How Snakemake's own report, `snakemake --report`, shows them.
TABLE_IN_REPORT = {"caption": "../report/table.rst", "category": "Tables"}
# Known from the start, where rules for the rounds may ask for more.
RECORDS = [matrix.record_path(RESULTS, run) for run in matrix.runs(CONFIG)]


checkpoint precision:
    """How many rounds the rules ask for, once the first ones were measured."""
    input:
        [matrix.record_path(RESULTS, run) for run in matrix.first_runs(CONFIG)],
        code=catalogue.code("framebench.analyse.rounds_needed"),
    output:
        f"{RESULTS}/rounds.json",
    log:
        f"{RESULTS}/logs/precision.log",
    # As soon as it can be known, so that the order of the runs can be kept, and with nothing beside it.
    priority: 10**6
    threads: workflow.cores
    params:
        config=json.dumps(config),
    shell:
        "python -P -m framebench.analyse.rounds_needed --config {params.config:q} --output {output} 2>&1 | tee {log:q} >&2"


# Nothing where no entry has a rule: the checkpoint is then not part of the workflow.
ROUNDS = rules.precision.output if matrix.has_rule(CONFIG) else []


rule plan:
    """The records of the campaign in the order in which they are measured."""
    input:
        code=catalogue.code("framebench.plan.matrix"),
        rounds=ROUNDS,
    output:
        f"{RESULTS}/plan.txt",
    log:
        f"{RESULTS}/logs/plan.log",
    params:
        config=json.dumps(config),
        options=["--rounds", *ROUNDS] if ROUNDS else [],
    shell:
        "python -P -m framebench.plan.matrix --config {params.config:q} {params.options:q} --output {output}"
        " 2>&1 | tee {log:q} >&2"


rule measurements:
    input:
        # By no name: Snakemake hashes the files of a name as a whole, once for each of them.
        RECORDS,
        code=catalogue.code("framebench.analyse.table"),
        plan=rules.plan.output,
        asked=asked_records,
    output:
        report(
            f"{RESULTS}/measurements.csv",
            **TABLE_IN_REPORT,
            labels={"table": "measurements"},
        ),
    log:
        f"{RESULTS}/logs/measurements.log",
    shell:
        "python -P -m framebench.analyse.table --records-list {input.plan} --output {output} 2>&1 | tee {log:q} >&2"


rule comparisons:
    input:
        code=catalogue.code("framebench.analyse.comparisons"),
        measurements=rules.measurements.output,
        rounds=ROUNDS,
        certificates=rules.certificates.input.certificates,
    output:
        report(
            f"{RESULTS}/comparisons.csv",
            **TABLE_IN_REPORT,
            labels={"table": "comparisons"},
        ),
    log:
        f"{RESULTS}/logs/comparisons.log",
    params:
        confidence=CONFIG.confidence,
        rounds=["--rounds", *ROUNDS] if ROUNDS else [],
        across_cards=["--across-cards"] if CONFIG.across_cards else [],
    shell:
        "python -P -m framebench.analyse.comparisons --measurements {input.measurements}"
        " --certificates {input.certificates} --confidence {params.confidence} {params.rounds:q}"
        " {params.across_cards:q}"
        " --output {output} 2>&1 | tee {log:q} >&2"


rule power:
    """How many rounds would find a difference of which size, from the noise of these runs."""
    input:
        code=catalogue.code("framebench.analyse.power"),
        measurements=rules.measurements.output,
    output:
        report(f"{RESULTS}/power.csv", **TABLE_IN_REPORT, labels={"table": "power"}),
    log:
        f"{RESULTS}/logs/power.log",
    params:
        confidence=CONFIG.confidence,
    shell:
        "python -P -m framebench.analyse.power --measurements {input.measurements}"
        " --confidence {params.confidence} --output {output} 2>&1 | tee {log:q} >&2"


rule effects:
    """What tuning and the data pipeline change within each framework."""
    input:
        code=catalogue.code("framebench.analyse.effects"),
        measurements=rules.measurements.output,
        rounds=ROUNDS,
    output:
        report(f"{RESULTS}/effects.csv", **TABLE_IN_REPORT, labels={"table": "effects"}),
    log:
        f"{RESULTS}/logs/effects.log",
    params:
        confidence=CONFIG.confidence,
        rounds=["--rounds", *ROUNDS] if ROUNDS else [],
    shell:
        "python -P -m framebench.analyse.effects --measurements {input.measurements}"
        " --confidence {params.confidence} {params.rounds:q} --output {output} 2>&1 | tee {log:q} >&2"


rule payback:
    """After how many images the tuned settings have paid for their longer start."""
    input:
        code=catalogue.code("framebench.analyse.payback"),
        measurements=rules.measurements.output,
    output:
        report(f"{RESULTS}/payback.csv", **TABLE_IN_REPORT, labels={"table": "payback"}),
    log:
        f"{RESULTS}/logs/payback.log",
    params:
        confidence=CONFIG.confidence,
    shell:
        "python -P -m framebench.analyse.payback --measurements {input.measurements}"
        " --confidence {params.confidence} --output {output} 2>&1 | tee {log:q} >&2"


rule overhead:
    """What Keras costs in a step above the framework that computes under it."""
    input:
        code=catalogue.code("framebench.analyse.overhead"),
        # Which framework that is, they declare.
        adapters=[catalogue.adapter(name).path for name in CONFIG.frameworks],
        measurements=rules.measurements.output,
    output:
        report(
            f"{RESULTS}/overhead.csv", **TABLE_IN_REPORT, labels={"table": "overhead"}
        ),
    log:
        f"{RESULTS}/logs/overhead.log",
    params:
        confidence=CONFIG.confidence,
    shell:
        "python -P -m framebench.analyse.overhead --measurements {input.measurements}"
        " --confidence {params.confidence} --output {output} 2>&1 | tee {log:q} >&2"


rule why:
    """Whether frameworks differ in what the device computes or in how long it waits for the host."""
    input:
        code=catalogue.code("framebench.analyse.why"),
        measurements=rules.measurements.output,
    output:
        report(f"{RESULTS}/why.csv", **TABLE_IN_REPORT, labels={"table": "why"}),
    log:
        f"{RESULTS}/logs/why.log",
    params:
        confidence=CONFIG.confidence,
    shell:
        "python -P -m framebench.analyse.why --measurements {input.measurements}"
        " --confidence {params.confidence} --output {output} 2>&1 | tee {log:q} >&2"


rule noise:
    """How far the runs of each cell scatter, and what else the machine did."""
    input:
        code=catalogue.code("framebench.analyse.noise"),
        plan=rules.plan.output,
        # For the records in the plan, of which it is made.
        measurements=rules.measurements.output,
        comparisons=rules.comparisons.output,
        rounds=ROUNDS,
    output:
        report(f"{RESULTS}/noise.csv", **TABLE_IN_REPORT, labels={"table": "noise"}),
    log:
        f"{RESULTS}/logs/noise.log",
    params:
        rounds=["--rounds", *ROUNDS] if ROUNDS else [],
    shell:
        "python -P -m framebench.analyse.noise --records-list {input.plan} --comparisons {input.comparisons}"
        " {params.rounds:q} --output {output} 2>&1 | tee {log:q} >&2"


rule order:
    """Whether the clock or the order of the runs explains their speeds."""
    input:
        code=catalogue.code("framebench.analyse.order"),
        measurements=rules.measurements.output,
    output:
        report(f"{RESULTS}/order.csv", **TABLE_IN_REPORT, labels={"table": "order"}),
    log:
        f"{RESULTS}/logs/order.log",
    shell:
        "python -P -m framebench.analyse.order --measurements {input.measurements} --output {output}"
        " 2>&1 | tee {log:q} >&2"


rule warmup:
    """How the steps of each run became steady."""
    input:
        code=catalogue.code("framebench.analyse.warmup"),
        plan=rules.plan.output,
        # For the records in the plan, of which it is made.
        measurements=rules.measurements.output,
    output:
        report(f"{RESULTS}/warmup.csv", **TABLE_IN_REPORT, labels={"table": "warmup"}),
    log:
        f"{RESULTS}/logs/warmup.log",
    shell:
        "python -P -m framebench.analyse.warmup --records-list {input.plan} --output {output} 2>&1 | tee {log:q} >&2"


rule limits:
    """How near each cell comes to what its device can do."""
    input:
        code=catalogue.code("framebench.analyse.limits"),
        measurements=rules.measurements.output,
        peaks="workflow/resources/gpu-peaks.csv",
    output:
        report(f"{RESULTS}/limits.csv", **TABLE_IN_REPORT, labels={"table": "limits"}),
    log:
        f"{RESULTS}/logs/limits.log",
    shell:
        "python -P -m framebench.analyse.limits --measurements {input.measurements} --peaks {input.peaks}"
        " --output {output} 2>&1 | tee {log:q} >&2"


rule literature:
    """What others published of the same GPU models and problems, and ours beside it."""
    input:
        code=catalogue.code("framebench.analyse.literature"),
        measurements=rules.measurements.output,
        literature="workflow/resources/literature.csv",
        of_2018="workflow/resources/rosetta-2018.csv",
    output:
        report(
            f"{RESULTS}/literature.csv",
            **TABLE_IN_REPORT,
            labels={"table": "literature"},
        ),
    log:
        f"{RESULTS}/logs/literature.log",
    params:
        confidence=CONFIG.confidence,
    shell:
        "python -P -m framebench.analyse.literature --measurements {input.measurements}"
        " --literature {input.literature} --rosetta-2018 {input.of_2018} --confidence {params.confidence}"
        " --output {output} 2>&1 | tee {log:q} >&2"


rule tables:
    """Every table of the campaign."""
    input:
        rules.measurements.output,
        rules.comparisons.output,
        rules.effects.output,
        rules.payback.output,
        rules.overhead.output,
        rules.why.output,
        rules.power.output,
        rules.noise.output,
        rules.order.output,
        rules.warmup.output,
        rules.limits.output,
        rules.literature.output,


rule verdict:
    """The answer in two or three sentences."""
    input:
        code=catalogue.code("framebench.answer.verdict"),
        texts=texts,
        measurements=rules.measurements.output,
        comparisons=rules.comparisons.output,
        effects=rules.effects.output,
        overheads=rules.overhead.output,
        whys=rules.why.output,
    output:
        f"{RESULTS}/verdict.{{language}}.txt",
    log:
        f"{RESULTS}/logs/verdict-{{language}}.log",
    params:
        baseline=CONFIG.baseline,
        agreements=[],
    shell:
        "python -P -m framebench.answer.verdict --measurements {input.measurements} --comparisons {input.comparisons}"
        " --effects {input.effects} --overheads {input.overheads} --whys {input.whys} {params.agreements:q}"
        " --language {wildcards.language} --baseline {params.baseline} --output {output} 2>&1 | tee {log:q} >&2"


rule complete:
    """Fails where a run failed, after everything that could be measured and drawn was."""
    input:
        # Although in the table: one that was set aside must be missed.
        RECORDS,
        code=catalogue.code("framebench.analyse.failures"),
        measurements=rules.measurements.output,
        asked=asked_records,
    output:
        touch(f"{RESULTS}/.complete"),
    log:
        f"{RESULTS}/logs/complete.log",
    params:
        table=lambda wildcards, input: f"--measurements {input.measurements}",
    shell:
        "python -P -m framebench.analyse.failures {params.table} 2>&1 | tee {log:q} >&2"
