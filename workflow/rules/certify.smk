# The proof, per workload and framework, that the framework trains the function of the workload's spec.
from framebench.measure.devices import cpu
from framebench.plan import catalogue
from framebench.plan.proofs import cores_each, covers_tuned

CERTIFIED = sorted({entry.workload for entry in CONFIG.matrix})
# Workloads with a spec, which the reference computes; a user's own models have another proof (models.smk).
WITH_SPEC = "|".join(catalogue.specs())
# The workloads and frameworks of track `tuned`. It is not proved in others: compiling takes a third of the time.
TUNED = {
    (cell.workload, cell.framework)
    for cell in matrix.cells(CONFIG)
    if cell.track == "tuned"
}
# In these frameworks, a call may take as many steps as the story has; only its end can be looked at.
MANY_STEPS_A_CALL = {
    (cell.workload, cell.precision, cell.batch_size)
    for cell in matrix.cells(CONFIG)
    if cell.track == "tuned"
}
# Each proof imports, traces and compiles on one core, most of its time; nothing is measured meanwhile.
PROVING = cores_each(workflow.cores, cpu.available_mib())
HALF_OF_THE_CORES = max(1, workflow.cores // 2)


rule certificates:
    input:
        certificates=expand(
            f"{CERTIFICATES}/{{workload}}/{{framework}}.json",
            workload=CERTIFIED,
            framework=CONFIG.frameworks,
        ),


rule expected:
    """The inputs for every framework, and the bounds of rounding on the outputs."""
    input:
        code=catalogue.code("framebench.certify.expected"),
        spec=lambda wildcards: catalogue.spec_path(wildcards.workload),
    output:
        f"{CERTIFICATES}/{{workload}}/problem.npz",
    log:
        f"{RESULTS}/logs/certificates/{{workload}}.log",
    # Before measuring and, like everything for a certificate, with no measuring beside it: see `measure`. Every
    # framework waits for this.
    priority: 10**6 + 1
    threads: PROVING
    params:
        seed=f"--seed {CONFIG.protocol.seed}",
    shell:
        "echo '[proving] computing the reference of {wildcards.workload}' >&2;"
        " OPENBLAS_NUM_THREADS=1 python -P -m framebench.certify.expected --workload {wildcards.workload}"
        " {params.seed} --output {output:q} >{log:q} 2>&1"


rule learned:
    """The reference's accuracy after the lesson that every framework gets."""
    input:
        data=data_of,
        code=catalogue.code("framebench.certify.learned"),
        spec=lambda wildcards: catalogue.spec_path(wildcards.workload),
    output:
        f"{CERTIFICATES}/{{workload}}/learned.json",
    log:
        f"{RESULTS}/logs/certificates/{{workload}}-learned.log",
    # Last, as only the judging waits for it, and one takes as long as the other.
    priority: 10**6 - 1
    threads: HALF_OF_THE_CORES  # the seeds that learn at a time are parallel, and not the work within each
    shell:
        "echo '[proving] teaching {wildcards.workload} to the reference' >&2;"
        " OPENBLAS_NUM_THREADS=1 python -P -m framebench.certify.learned --workload {wildcards.workload}"
        " --at-a-time {threads} --data {input.data:q} --output {output:q} >{log:q} 2>&1"


rule story:
    """The first training steps by the reference, at a measured batch size: every run is compared with them."""
    input:
        data=data_of,
        code=catalogue.code("framebench.certify.story"),
        spec=lambda wildcards: catalogue.spec_path(wildcards.workload),
    output:
        STORY,
    log:
        f"{RESULTS}/logs/certificates/{{workload}}-{{precision}}-{{batch_size}}.log",
    wildcard_constraints:
        workload=WITH_SPEC,
    priority: 10**6
    threads: HALF_OF_THE_CORES
    params:
        seed=f"--seed {CONFIG.protocol.seed}",
        every=lambda wildcards: "--every" if told_of_every_step(wildcards) else "",
    shell:
        "echo '[proving] first steps of {wildcards.workload} at batch {wildcards.batch_size} by the reference' >&2;"
        " OPENBLAS_NUM_THREADS={threads} python -P -m framebench.certify.story --workload {wildcards.workload}"
        " --batch-size {wildcards.batch_size} --precision {wildcards.precision} {params.seed} {params.every}"
        " --data {input.data:q} --output {output:q} >{log:q} 2>&1"


rule observe:
    """A framework's outputs, in its own environment, through the adapter that is measured."""
    input:
        environment=lambda wildcards: ready([environment_of(wildcards)]),
        data=data_of,
        problem=rules.expected.output,
        code=catalogue.code("framebench.certify.observe"),
        certified=lambda wildcards: catalogue.certified(
            wildcards.framework, wildcards.workload
        ),
    output:
        temp(f"{CERTIFICATES}/{{workload}}/{{framework}}.npz"),
    log:
        f"{RESULTS}/logs/certificates/{{workload}}-{{framework}}.log",
    wildcard_constraints:
        workload=WITH_SPEC,
        framework="|".join(CONFIG.frameworks),
    priority: 10**6
    threads: PROVING
    resources:
        # Not `params`: the position among the proofs is no reason to prove again.
        stage=lambda wildcards: stage(
            "proving",
            rules.certificate.output.certificate.format(**wildcards),
            rules.certificates.input.certificates,
        ),
    params:
        python=lambda wildcards: environment_of(wildcards).python,
        site=lambda wildcards: "--site" if environment_of(wildcards).packages else "",
        thread_count=f"--threads {CONFIG.protocol.threads}",
        tuned=lambda wildcards: tuned_of(wildcards),
    shell:
        "echo {resources.stage:q} {wildcards.workload} in {wildcards.framework} >&2;"
        # Waiting threads spin by default, and hold up the other framework's.
        " python -P -m framebench.variables {params.site} CUDA_VISIBLE_DEVICES=-1 OMP_WAIT_POLICY=PASSIVE"
        " {params.python} -P -m framebench.certify.observe"
        " --workload {wildcards.workload} --framework {wildcards.framework} {params.thread_count}"
        " {params.tuned} --data {input.data:q} --problem {input.problem:q} --output {output:q} >{log:q} 2>&1"


rule certificate:
    """The certificate, passed or refused: a cell without a valid one is measured but not compared."""
    input:
        problem=rules.expected.output,
        learned=rules.learned.output,
        observed=rules.observe.output,
        code=catalogue.code("framebench.certify"),
    output:
        certificate=f"{CERTIFICATES}/{{workload}}/{{framework}}.json",
        page=report(
            f"{CERTIFICATES}/{{workload}}/{{framework}}.md",
            caption="../report/certificate.rst",
            category="Certificates",
            labels={"workload": "{workload}", "framework": "{framework}"},
        ),
    log:
        f"{RESULTS}/logs/certificates/{{workload}}-{{framework}}-judged.log",
    wildcard_constraints:
        workload=WITH_SPEC,
        framework="|".join(CONFIG.frameworks),
    priority: 10**6
    threads: PROVING
    params:
        id=lambda wildcards: certificate_id(wildcards),
        digest=lambda wildcards: environment_of(wildcards).digest,
        certified=lambda wildcards: catalogue.certified(
            wildcards.framework, wildcards.workload
        ),
    shell:
        "python -P -m framebench.certify --workload {wildcards.workload} --framework {wildcards.framework}"
        " --id {params.id} --lock-digest {params.digest} --sources {params.certified}"
        " --problem {input.problem:q} --learned {input.learned:q} --observed {input.observed:q}"
        " --output {output.certificate:q} --page {output.page:q} 2>&1 | tee {log:q} >&2"
