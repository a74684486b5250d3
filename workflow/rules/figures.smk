FIGURE = f"{RESULTS}/figures/{{language}}/{{figure}}"
FORMATS = ["svg", "png"]
ARTICLE_2018 = ["article-2018-p100", "article-2018-k80"]
MEASURED = [
    *(f"article-{device}" for device in CONFIG.devices),
    "throughput",
    "ratio",
    "memory",
]


rule figures:
    """Every figure in every language."""
    input:
        every_language([*ARTICLE_2018, *MEASURED]),


rule article_2018:
    """The article's two charts from the numbers published in 2018; needs no framework and no measuring."""
    name:
        "article-2018"
    input:
        every_language(ARTICLE_2018),


rule figure_2018:
    input:
        code=catalogue.code("framebench.figures"),
        texts=texts,
        published="workflow/resources/rosetta-2018.csv",
    output:
        multiext(FIGURE, svg=".svg", png=".png"),
    log:
        f"{RESULTS}/logs/figures/{{language}}-{{figure}}.log",
    wildcard_constraints:
        figure="|".join(ARTICLE_2018),
    shell:
        "python -P -m framebench.figures {wildcards.figure} --language {wildcards.language} --resource {input.published}"
        " --output-svg {output.svg} --output-png {output.png} 2>&1 | tee {log:q} >&2"


rule figure:
    input:
        code=catalogue.code("framebench.figures"),
        texts=texts,
        measurements=rules.measurements.output,
        comparisons=rules.comparisons.output,
    output:
        multiext(FIGURE, svg=".svg", png=".png"),
    log:
        f"{RESULTS}/logs/figures/{{language}}-{{figure}}.log",
    wildcard_constraints:
        figure="|".join(MEASURED),
    params:
        baseline=CONFIG.baseline,
    shell:
        "python -P -m framebench.figures {wildcards.figure} --language {wildcards.language}"
        " --measurements {input.measurements} --comparisons {input.comparisons} --baseline {params.baseline}"
        " --output-svg {output.svg} --output-png {output.png} 2>&1 | tee {log:q} >&2"
