# From the records of the runs to tables and a verdict.
from pathlib import Path

from framebench import catalogue, languages, matrix
from framebench.analyse import failures


def texts(wildcards):
    """The words of a language, and those that say which it must have."""
    return sorted(f"workflow/framebench/languages/{name}.yaml" for name in {wildcards.language, languages.REFERENCE})


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
        "{PYTHON} -m framebench.matrix --config {params.config:q} --output {output} {LOGGED}"


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
        "{PYTHON} -m framebench.analyse.table --records-list {input.plan} --output {output} {LOGGED}"


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
        "{PYTHON} -m framebench.analyse.comparisons --measurements {input.measurements}"
        " --certificates {input.certificates} --confidence {params.confidence}"
        " --output {output} {LOGGED}"


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
        "{PYTHON} -m framebench.verdict --measurements {input.measurements} --comparisons {input.comparisons}"
        " --language {wildcards.language} --baseline {params.baseline} --output {output} {LOGGED}"


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
        "{PYTHON} -m framebench.analyse.failures --measurements {input.measurements} {LOGGED}"


def set_aside_failures():
    """Free the places of failed runs, so that the next invocation measures them again and nothing else."""
    failures.set_aside(Path(path) for path in rules.measurements.input.records)


def print_answer():
    """End on what the reader came for."""
    verdict = Path(RESULTS, f"verdict.{CONFIG.languages[0]}.txt")
    if verdict.exists():
        print(
            f"\n{verdict.read_text()}\nTables: {RESULTS}/*.csv   Figures: {RESULTS}/figures/",
            file=sys.stderr,
        )
