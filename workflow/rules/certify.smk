# The proof, per workload and framework, that the framework trains the function that the workload's spec says.
from framebench import catalogue

CERTIFICATES = f"{RESULTS}/certificates"
CERTIFIED = sorted({entry.workload for entry in CONFIG.matrix})


rule certificates:
    input:
        certificates=expand(
            f"{CERTIFICATES}/{{workload}}/{{framework}}.json",
            workload=CERTIFIED,
            framework=CONFIG.frameworks,
        ),


rule expected:
    """What the neutral reference computes, and how far rounding may move it."""
    input:
        data=rules.data.output,
        code=catalogue.code("framebench.certify.expected"),
        spec=lambda wildcards: catalogue.spec_path(wildcards.workload),
    output:
        problem=f"{CERTIFICATES}/{{workload}}/problem.npz",
        expected=f"{CERTIFICATES}/{{workload}}/expected.npz",
    log:
        f"{RESULTS}/logs/certificates/{{workload}}.log",
    # Before measuring and, as everything of a certificate, with nothing beside it: see `measure`.
    priority: 10**6
    threads: workflow.cores
    params:
        seed=CONFIG.protocol.seed,
    shell:
        "echo computing the reference of {wildcards.workload} >&2;"
        " python -P -m framebench.certify.expected --workload {wildcards.workload} --seed {params.seed}"
        " --data {input.data} --problem {output.problem} --output {output.expected} >{log} 2>&1"


rule observe:
    """What a framework computes, in its own environment, through the adapter that is measured."""
    input:
        environment=lambda wildcards: ancient(
            f"{PREFIXES[wildcards.framework]}/.complete"
        ),
        data=rules.data.output,
        problem=rules.expected.output.problem,
        code=catalogue.code("framebench.certify.observe"),
        certified=lambda wildcards: catalogue.certified(
            wildcards.framework, wildcards.workload
        ),
    output:
        temp(f"{CERTIFICATES}/{{workload}}/{{framework}}.npz"),
    log:
        f"{RESULTS}/logs/certificates/{{workload}}-{{framework}}.log",
    wildcard_constraints:
        framework="|".join(CONFIG.frameworks),
    priority: 10**6
    threads: workflow.cores
    params:
        prefix=lambda wildcards: PREFIXES[wildcards.framework],
        thread_count=CONFIG.protocol.threads,
    shell:
        "echo proving {wildcards.workload} in {wildcards.framework} >&2;"
        " CUDA_VISIBLE_DEVICES=-1 TF_CPP_MIN_LOG_LEVEL=2"
        " {params.prefix}/bin/python -P -m framebench.certify.observe"
        " --workload {wildcards.workload} --framework {wildcards.framework} --threads {params.thread_count}"
        " --data {input.data} --problem {input.problem} --output {output} >{log} 2>&1"


rule certificate:
    """Passed or refused, it is written: a cell without a valid one is measured but not compared."""
    input:
        expected=rules.expected.output.expected,
        observed=rules.observe.output,
        code=catalogue.code("framebench.certify"),
    output:
        certificate=f"{CERTIFICATES}/{{workload}}/{{framework}}.json",
        page=f"{CERTIFICATES}/{{workload}}/{{framework}}.md",
    log:
        f"{RESULTS}/logs/certificates/{{workload}}-{{framework}}-judged.log",
    wildcard_constraints:
        framework="|".join(CONFIG.frameworks),
    priority: 10**6
    threads: workflow.cores
    params:
        id=lambda wildcards: certificate_id(wildcards),
        digest=lambda wildcards: DIGESTS[wildcards.framework],
        certified=lambda wildcards: catalogue.certified(
            wildcards.framework, wildcards.workload
        ),
    shell:
        "python -P -m framebench.certify --workload {wildcards.workload} --framework {wildcards.framework}"
        " --id {params.id} --lock-digest {params.digest} --sources {params.certified}"
        " --expected {input.expected} --observed {input.observed}"
        " --output {output.certificate} --page {output.page} 2>&1 | tee {log:q} >&2"
