# The results of many machines as one folder of records, which the usual rules then process. A device is named with its
# machine, so that nothing is compared across machines except equal cards, in agreement.csv.
import json

from framebench.exchange import merge


checkpoint merged_records:
    """The records of all parts, each once."""
    input:
        lambda wildcards: merge.files_of(CONFIG.merge),
        code=catalogue.code("framebench.exchange.merge"),
    output:
        runs=directory(f"{MERGED}/runs"),
        certificates=directory(f"{MERGED}/certificates"),
        plan=f"{MERGED}/plan.txt",
        rounds=f"{MERGED}/rounds.json",
        parts=f"{MERGED}/parts.csv",
        left_out=f"{MERGED}/left_out.csv",
    log:
        f"{MERGED}/logs/records.log",
    params:
        parts=json.dumps([vars(part) for part in CONFIG.merge]),
        folder=subpath(output.plan, parent=True),
    shell:
        "python -P -m framebench merge --parts {params.parts:q} --output {params.folder:q} 2>&1 | tee {log:q} >&2"
