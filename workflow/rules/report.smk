# The page: all of a campaign in one file per language, from its tables, certificates and figures.
import json
import shlex

from framebench.plan import catalogue

PAGE = f"{RESULTS}/report.{{language}}.html"
LAYOUT = [f"workflow/framebench/report/page.{kind}" for kind in ("html", "css", "js")]
# The files that this invocation was given over config.yaml, which would be read by itself.
GIVEN = FILES[1:]


rule report:
    """The page in every language."""
    input:
        expand(PAGE, language=CONFIG.languages),


rule page:
    input:
        pictures_of,
        code=catalogue.code("framebench.report"),
        layout=LAYOUT,
        texts=texts,
        tables=rules.tables.input,
        largest_batch=rules.largest_batch_table.output if LARGEST_BATCH else [],
        certificates=rules.certificates.input.certificates,
        published="workflow/resources/rosetta-2018.csv",
        citation="CITATION.cff",
    output:
        PAGE,
    log:
        f"{RESULTS}/logs/report-{{language}}.log",
    params:
        config=json.dumps(config),
        command=shlex.join(
            [
                *("snakemake", "--cores", "all"),
                *(["--configfile", *GIVEN, "--"] if GIVEN else []),
                "report",
            ]
        ),
        languages=CONFIG.languages,
        baseline=CONFIG.baseline,
        results=subpath(output[0], parent=True),
    shell:
        "python -P -m framebench.report --results {params.results:q} --language {wildcards.language}"
        " --languages {params.languages} --published {input.published} --citation {input.citation}"
        " --config {params.config:q} --command {params.command:q} --baseline {params.baseline} --output {output:q}"
        " 2>&1 | tee {log:q} >&2"
