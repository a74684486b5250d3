# Every figure, from the tables alone; a timeline, from the samples of its run.
from framebench.plan import matrix
from framebench.figures import names

FIGURE = f"{RESULTS}/figures/{{language}}/{{figure}}"
FORMATS = ["svg", "png"]
# How Snakemake's own report, `snakemake --report`, shows them.
FIGURE_IN_REPORT = {
    "caption": "../report/figure.rst",
    "category": "Figures",
    "subcategory": "{language}",
}
TIMELINE = f"{RESULTS}/figures/{{language}}/timeline-{{device}}"
ARTICLE_2018 = names.ARTICLE_2018
PUBLISHED_2018 = "workflow/resources/rosetta-2018.csv"
MEASURED = names.of_campaign(CONFIG)


rule figures:
    """Every figure in every language."""
    input:
        every_language(
            [
                *ARTICLE_2018,
                *MEASURED,
                *names.timelines(CONFIG),
                *names.largest_batch(CONFIG),
            ]
        ),


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
        published=PUBLISHED_2018,
    output:
        svg=report(f"{FIGURE}.svg", **FIGURE_IN_REPORT, labels={"figure": "{figure}"}),
        png=f"{FIGURE}.png",
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
        effects=rules.effects.output,
        payback=rules.payback.output,
        warmup=rules.warmup.output,
        order=rules.order.output,
        limits=rules.limits.output,
        literature=rules.literature.output,
        published=PUBLISHED_2018,
    output:
        svg=report(f"{FIGURE}.svg", **FIGURE_IN_REPORT, labels={"figure": "{figure}"}),
        png=f"{FIGURE}.png",
    log:
        f"{RESULTS}/logs/figures/{{language}}-{{figure}}.log",
    wildcard_constraints:
        figure="|".join(MEASURED),
    params:
        baseline=CONFIG.baseline,
    shell:
        "python -P -m framebench.figures {wildcards.figure} --language {wildcards.language}"
        " --measurements {input.measurements} --comparisons {input.comparisons} --effects {input.effects}"
        " --payback {input.payback} --warmup {input.warmup} --order {input.order} --limits {input.limits} --resource {input.published}"
        " --literature {input.literature} --baseline {params.baseline}"
        " --output-svg {output.svg} --output-png {output.png} 2>&1 | tee {log:q} >&2"


rule figure_timeline:
    """One run on a GPU, from its record and the samples beside."""
    input:
        code=catalogue.code("framebench.figures"),
        texts=texts,
        record=lambda wildcards: matrix.record_path(
            RESULTS, names.timeline_run(CONFIG, wildcards.device)
        ),
    output:
        svg=report(
            f"{TIMELINE}.svg",
            **FIGURE_IN_REPORT,
            labels={"figure": "timeline-{device}"},
        ),
        png=f"{TIMELINE}.png",
    log:
        f"{RESULTS}/logs/figures/{{language}}-timeline-{{device}}.log",
    wildcard_constraints:
        device="|".join(CONFIG.devices),
    shell:
        "python -P -m framebench.figures timeline-{wildcards.device} --language {wildcards.language}"
        " --record {input.record} --output-svg {output.svg} --output-png {output.png} 2>&1 | tee {log:q} >&2"
