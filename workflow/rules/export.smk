# A campaign as one archive, for another machine to merge.
import json


rule results_archive:
    input:
        code=catalogue.code("framebench.exchange.export"),
        # The archive is made of the records in it.
        measurements=f"{RESULTS}/measurements.csv",
        rounds=ROUNDS,
        certificates=certificates_of(RESULTS),
    output:
        f"{RESULTS}/framebench-results.zip",
    log:
        f"{RESULTS}/logs/export.log",
    params:
        config=json.dumps(config),  # in the archive
        results=subpath(output[0], parent=True),
    shell:
        "python -P -m framebench export --results {params.results:q} --output {output:q} 2>&1 | tee {log:q} >&2"


rule export:
    """The archive of the records with everything needed to read them."""
    input:
        rules.results_archive.output,
