# A campaign as one archive, for another machine to merge.
import json

from framebench.plan import catalogue


rule export:
    """The archive of the records and what is needed to read them."""
    input:
        f"{RESULTS}/framebench-results.zip",


rule archive:
    input:
        code=catalogue.code("framebench.exchange.export"),
        # For the records, of which it is made.
        measurements=rules.measurements.output,
        rounds=ROUNDS,
        certificates=rules.certificates.input.certificates,
    output:
        rules.export.input,
    log:
        f"{RESULTS}/logs/export.log",
    params:
        config=json.dumps(config),
        results=subpath(output[0], parent=True),
    shell:
        "python -P -m framebench.exchange.export --results {params.results:q} --config {params.config:q}"
        " --output {output:q} 2>&1 | tee {log:q} >&2"
