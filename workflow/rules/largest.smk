# The largest batch that trains, as a table and a figure of its own.
from framebench.plan import catalogue, matrix
from framebench.figures import names

LARGEST_BATCH = matrix.largest_batch_paths(CONFIG)


rule largest_batch_table:
    input:
        searches=LARGEST_BATCH,
        code=catalogue.code("framebench.analyse.largest_batch"),
    output:
        f"{RESULTS}/largest_batch.csv",
    log:
        f"{RESULTS}/logs/largest_batch.log",
    shell:
        "python -P -m framebench.analyse.largest_batch {input.searches} --output {output} 2>&1 | tee {log:q} >&2"


rule figure_largest_batch:
    input:
        code=catalogue.code("framebench.figures"),
        texts=texts,
        searches=rules.largest_batch_table.output,
    output:
        svg=report(
            f"{RESULTS}/figures/{{language}}/{names.LARGEST_BATCH}.svg",
            **FIGURE_IN_REPORT,
            labels={"figure": names.LARGEST_BATCH},
        ),
        png=f"{RESULTS}/figures/{{language}}/{names.LARGEST_BATCH}.png",
    log:
        f"{RESULTS}/logs/figures/{{language}}-{names.LARGEST_BATCH}.log",
    shell:
        "python -P -m framebench.figures largest-batch --language {wildcards.language}"
        " --searches {input.searches} --output-svg {output.svg} --output-png {output.png} 2>&1 | tee {log:q} >&2"


use rule complete as largest_batch_complete with:
    input:
        LARGEST_BATCH,
        code=catalogue.code("framebench.analyse.failures"),
        searches=rules.largest_batch_table.output,
    output:
        touch(f"{RESULTS}/.largest-batch-complete"),
    log:
        f"{RESULTS}/logs/largest_batch_complete.log",
    params:
        table=lambda wildcards, input: f"--largest-batch {input.searches}",


rule largest_batch:
    """The largest batch that trains, on every GPU, and on the CPU within the memory that the configuration allows."""
    name:
        "largest-batch"
    input:
        rules.largest_batch_table.output,
        every_language([names.LARGEST_BATCH]),
        rules.largest_batch_complete.output,
