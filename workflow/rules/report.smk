# The answer in sentences, and the page: all of a folder of results in one file for each language.
import json
import shlex

# Configuration files given to this invocation besides config.yaml, which Snakemake reads anyway.
GIVEN = FILES[1:]
WITH_GIVEN = ["--configfile", *GIVEN, "--"] if GIVEN else []
AGAIN = (
    f"python -P -m framebench rerun config.yaml {shlex.join(GIVEN)} --block {{block}}"
    f" && {shlex.join(['snakemake', '--cores', 'all', *WITH_GIVEN[:-1]])}"
    if GIVEN
    else "make rerun BLOCK={block}"
)
REPORTED = "|".join(map(re.escape, [RESULTS, MERGED]))


rule verdict:
    """The answer on one screen, and the complete answer in sentences."""
    input:
        unpack(files_of_verdict),
        code=catalogue.code("framebench.answer.command"),
        texts=texts,
    output:
        text="{folder}/verdict.{language}.txt",
        screen="{folder}/verdict.{language}.json",
    log:
        "{folder}/logs/verdict-{language}.log",
    wildcard_constraints:
        folder=REPORTED,
    params:
        options=lambda wildcards, input: options_of(
            needs_of_verdict(wildcards.folder), input, answering.SETTINGS
        ),
    shell:
        "python -P -m framebench verdict --language {wildcards.language} {params.options:q} --output {output.text:q}"
        " --screen {output.screen:q} 2>&1 | tee {log:q} >&2"


rule page:
    input:
        lambda wildcards: pictures(
            wildcards.folder,
            registry.names(scope_of(wildcards.folder)),
            [wildcards.language],
            ["svg", "txt"],
        ),
        lambda wildcards: (
            rules.merged_records.output if wildcards.folder == MERGED else []
        ),
        code=catalogue.code("framebench.report.command"),
        layout=[
            f"workflow/framebench/report/page.{kind}" for kind in ("html", "css", "js")
        ],
        texts=texts,
        tables=lambda wildcards: tables_of(wildcards.folder),
        certificates=lambda wildcards: certificates_of(wildcards.folder),
        published=given.resource("rosetta_2018"),
        citation="CITATION.cff",
    output:
        "{folder}/report.{language}.html",
    log:
        "{folder}/logs/report-{language}.log",
    wildcard_constraints:
        folder=REPORTED,
    params:
        # Only the cells of the parts' own configurations are known here.
        config=lambda wildcards: json.dumps(
            {"merge": config["merge"]} if wildcards.folder == MERGED else config
        ),
        command=lambda wildcards: shlex.join(
            ["snakemake", "--cores", "all"]
            + (["merge"] if wildcards.folder == MERGED else [*WITH_GIVEN, "report"])
        ),
        again=lambda wildcards: (
            [] if wildcards.folder == MERGED or CONFIG.imported else ["--again", AGAIN]
        ),
        languages=CONFIG.languages,
        asked=given.words({"baseline": CONFIG.baseline, "question": CONFIG.question}),
    shell:
        "python -P -m framebench page --results {wildcards.folder:q} --language {wildcards.language}"
        " --languages {params.languages} --published {input.published:q} --citation {input.citation:q}"
        " --config {params.config:q} --command {params.command:q} {params.again:q} {params.asked:q} --output {output:q} 2>&1 | tee {log:q} >&2"


rule report:
    """The page in every language."""
    input:
        answer_of(RESULTS),


rule merge:
    """Fails where anything was left out, after everything else was merged and drawn."""
    input:
        answer_of(MERGED),
        f"{MERGED}/.complete",
