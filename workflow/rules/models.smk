# A user's own models: their samples, the proof that their files are equal, and the reference steps of every run.
import json
import re

from framebench import usermodels

MODELS = "|".join(map(re.escape, CONFIG.models))
BATCH_SIZES_OF_MODELS = {
    entry.workload: max(
        size
        for one in CONFIG.matrix
        if one.workload == entry.workload
        for size in one.batch_sizes
    )
    for entry in CONFIG.matrix
}


if MODELS:

    rule own_data:
        """Random samples, as many as ten batches."""
        input:
            code=catalogue.code("framebench.data.own"),
        output:
            SAMPLES,
        log:
            f"{RESULTS}/logs/data-{{kind}}.log",
        wildcard_constraints:
            kind=MODELS,
        priority: 10**6
        params:
            size=lambda wildcards: f"--batch-size {BATCH_SIZES_OF_MODELS[wildcards.kind]}",
            seed=f"--seed {CONFIG.protocol.seed}",
            problem=lambda wildcards: usermodels.models()[wildcards.kind]["asked"][
                "input"
            ],
        shell:
            "python -P -m framebench.data.own --model {wildcards.kind} {params.size} {params.seed}"
            " --output {output:q} 2>&1 | tee {log:q} >&2"

    rule proof:
        """The proof that the files of a model are equal, or the place where they part. Different files are not
        measured."""
        input:
            environments=lambda wildcards: ready(
                environment_for(one, wildcards.workload) for one in CONFIG.frameworks
            ),
            code=catalogue.code(
                "framebench.prove",
                *(
                    f"framebench.prove.inside.{module}"
                    for module in ("pair", "alone", "backend")
                ),
            ),
        output:
            proof=f"{CERTIFICATES}/{{workload}}/proof.json",
            page=f"{CERTIFICATES}/{{workload}}/proof.html",
            weights=f"{CERTIFICATES}/{{workload}}/weights.npz",
        log:
            f"{RESULTS}/logs/certificates/{{workload}}-proof.log",
        wildcard_constraints:
            workload=MODELS,
        priority: 10**6 + 1
        threads: workflow.cores
        params:
            folder=lambda wildcards: workloads.load(wildcards.workload).folder,
            digest=digest_of,
        shell:
            "echo '[proving] {wildcards.workload}' >&2;"
            " python -P -m framebench.prove {params.folder:q} --backends --threads {threads}"
            ' --output "$(dirname {output.proof:q})" --weights {output.weights:q} 2>&1 | tee {log:q} >&2'

    rule own_certificate:
        input:
            proof=rules.proof.output.proof,
            code=catalogue.code("framebench.prove.certificate"),
        output:
            f"{CERTIFICATES}/{{workload}}/{{framework}}.json",
        log:
            f"{RESULTS}/logs/certificates/{{workload}}-{{framework}}.log",
        wildcard_constraints:
            workload=MODELS,
            framework="|".join(CONFIG.frameworks),
        priority: 10**6
        params:
            id=lambda wildcards: certificate_id(wildcards),
            digest=lambda wildcards: environment_of(wildcards).digest,
            certified=lambda wildcards: catalogue.certified(
                wildcards.framework, wildcards.workload
            ),
        shell:
            "python -P -m framebench.prove.certificate --workload {wildcards.workload}"
            " --framework {wildcards.framework} --id {params.id} --lock-digest {params.digest}"
            " --sources {params.certified} --proof {input.proof:q} --output {output:q} 2>&1 | tee {log:q} >&2"

    rule own_story:
        """The first training steps by the files themselves in float64: every run is compared with them."""
        input:
            data=data_of,
            weights=rules.proof.output.weights,
            code=catalogue.code("framebench.prove.inside.story"),
        output:
            STORY,
        log:
            f"{RESULTS}/logs/certificates/{{workload}}-{{precision}}-{{batch_size}}.log",
        wildcard_constraints:
            workload=MODELS,
        priority: 10**6
        threads: workflow.cores
        params:
            digest=digest_of,
            request=lambda wildcards, input, output, threads: json.dumps(
                usermodels.models()[wildcards.workload]["asked"]
                | {
                    "name": wildcards.workload,
                    "told": input.weights,
                    "data": input.data[0],
                    "precision": wildcards.precision,
                    "batch_size": int(wildcards.batch_size),
                    "every": told_of_every_step(wildcards),
                    "output": output[0],
                }
            ),
        shell:
            "echo '[proving] first steps of {wildcards.workload} at batch {wildcards.batch_size}' >&2;"
            " python -P -m framebench.prove.told {params.request:q} --threads {threads} --log {log:q}"
