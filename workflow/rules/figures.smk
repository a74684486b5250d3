# Every figure of any folder of results, from its tables. A figure is one module of framebench/figures.


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
        caption="{folder}/figures/{language}/{figure}.txt",
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
        " --output-svg {output.svg:q} --output-png {output.png:q} --output-caption {output.caption:q} 2>&1 | tee {log:q} >&2"


rule figures:
    """Every figure in every language."""
    input:
        lambda wildcards: pictures(RESULTS, registry.names(scope_of(RESULTS))),


rule article_2018:
    """The article's three figures from the numbers published in 2018; needs no framework and no measuring."""
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
