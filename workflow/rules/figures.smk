# Every figure of any folder of results, from the tables that it needs. A figure is one module of framebench/figures.
from framebench import languages
from framebench.figures import registry


def texts(wildcards):
    """The words of a language, and those that say which it must have."""
    return sorted(
        f"workflow/framebench/languages/{name}.yaml"
        for name in {wildcards.language, languages.REFERENCE}
    )


def scope_of(folder):
    """What there is to draw in a folder."""
    if folder == MERGED:
        plan = checkpoints.merged_records.get().output.plan
        return registry.scope_of(read_records(Path(plan)))
    return registry.Scope(
        matrix.cells(CONFIG), CONFIG.on_gpus, CONFIG.on_gpus, bool(LARGEST_BATCH)
    )


def pictures(folder, figures, languages=CONFIG.languages, formats=("svg", "png")):
    return expand(
        f"{folder}/figures/{{language}}/{{figure}}.{{format}}",
        language=languages,
        figure=figures,
        format=formats,
    )


def files_of_figure(wildcards):
    """The tables that a figure needs, by their names; of a timeline the record of its run."""
    figure, fields = registry.find(wildcards.figure)
    return {
        need: (
            matrix.record_path(RESULTS, matrix.timeline_run(CONFIG, fields["device"]))
            if need == "record"
            else files_of(need, wildcards.folder)
        )
        for need in figure.needs
    }


rule figure:
    input:
        unpack(files_of_figure),
        code=lambda wildcards: catalogue.code(
            "framebench.figures.command", registry.find(wildcards.figure)[0].module
        ),
        texts=texts,
    output:
        svg=report(
            "{folder}/figures/{language}/{figure}.svg",
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{language}",
            labels={"figure": "{figure}"},
        ),
        png="{folder}/figures/{language}/{figure}.png",
    log:
        "{folder}/logs/figures/{language}-{figure}.log",
    wildcard_constraints:
        folder=FOLDERS,
        language="[^/]+",
        figure="[^/]+",
    params:
        options=lambda wildcards, input: options_of(
            registry.find(wildcards.figure)[0].needs,
            input,
            registry.find(wildcards.figure)[0].settings,
        ),
    shell:
        "python -P -m framebench figure {wildcards.figure} --language {wildcards.language} {params.options:q}"
        " --output-svg {output.svg} --output-png {output.png}" + SHOWN


rule figures:
    """Every figure in every language."""
    input:
        lambda wildcards: pictures(RESULTS, registry.names(scope_of(RESULTS))),


rule article_2018:
    """The article's two charts from the numbers published in 2018; needs no framework and no measuring."""
    name:
        "article-2018"
    input:
        lambda wildcards: pictures(RESULTS, registry.names(registry.Scope())),


use rule complete as largest_batch_complete with:
    input:
        LARGEST_BATCH,
        code=catalogue.code("framebench.analyse.failures"),
        table=f"{RESULTS}/largest_batch.csv",
    output:
        touch(f"{RESULTS}/.largest-batch-complete"),
    log:
        f"{RESULTS}/logs/largest_batch_complete.log",
    params:
        option="--largest-batch",


rule largest_batch:
    """The largest batch that trains, on every GPU, and on the CPU within the memory that the configuration allows."""
    name:
        "largest-batch"
    input:
        f"{RESULTS}/largest_batch.csv",
        pictures(RESULTS, ["largest-batch"]),
        rules.largest_batch_complete.output,
