# The results of many machines as one folder of records, from which the rules of any campaign go on. A device is named
# with its machine, so that nothing is compared across machines but equal cards, in agreement.csv.
import json
from pathlib import Path


def merged_files(wildcards):
    """What is there of the parts: one that is missing, the merge names."""
    paths = [Path(part.path) for part in CONFIG.merge]
    inside = [
        path.glob(pattern)
        for path in paths
        for pattern in ("runs/**/*.json", "certificates/*/*.json", "rounds.json")
        if path.is_dir()
    ]
    return [
        *filter(Path.is_file, paths),
        *sorted(file for files in inside for file in files),
    ]


checkpoint merged_records:
    """The records of all parts, each once."""
    input:
        merged_files,
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
        "python -P -m framebench merge --parts {params.parts:q} --output {params.folder:q}"
        + SHOWN
