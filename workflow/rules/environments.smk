# The isolated environment of each framework. It is a rule and not `conda:`, since pip's hashed locks are what
# the frameworks publish; everything about it is in this file, should Snakemake learn to deploy them.
from framebench import environments

PACKAGES = environments.packages(CONFIG.packages)
LOCKS = {
    framework: environments.lock_of(framework, PACKAGES)
    for framework in CONFIG.frameworks
}
DIGESTS = {framework: environments.digest(lock) for framework, lock in LOCKS.items()}
PREFIXES = {framework: environments.prefix(lock) for framework, lock in LOCKS.items()}


rule environments:
    """Everything that measuring needs the network for."""
    input:
        sorted({f"{prefix}/.complete" for prefix in PREFIXES.values()}),


rule environment:
    output:
        touch(".venvs/{lock}-{digest}/.complete"),
    log:
        f"{RESULTS}/logs/environments/{{lock}}-{{digest}}.log",
    # Before any measuring: the order of the runs must not depend on which environment is there first.
    priority: 10**6
    params:
        prefix=subpath(output[0], parent=True),
    shell:
        "python -P -m framebench.environments --lock envs/{wildcards.lock}.txt --prefix {params.prefix} --log {log}"
