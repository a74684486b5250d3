# The isolated environment of each framework. It is a rule and not `conda:`, since pip's hashed locks are what the
# frameworks publish; everything about it is in this file, should Snakemake learn to deploy them.
from framebench import workloads
from framebench.plan import installation

# Environments of models with requirements of their own, by framework and model; and these requirements by environment.
OWN = {name: workloads.load(name).requirements for name in CONFIG.models}
OWN_ENVIRONMENTS = {
    (framework, name): environments.with_requirements(
        framework, environments.packages(CONFIG.packages), requirements
    )
    for name, requirements in OWN.items()
    if requirements
    for framework in CONFIG.frameworks
}
REQUIREMENTS = {one.ready: OWN[name] for (_, name), one in OWN_ENVIRONMENTS.items()}
# Frameworks without an interpreter of the site's.
INSTALLED = [
    framework
    for framework in CONFIG.frameworks
    if not environments.site_of(framework, CONFIG.interpreters)
]


# An environment that was moved, or whose Python was removed, looks complete to Snakemake. Jobs do not check: on the
# node of a cluster the same folder may have another path.
if workflow.is_main_process:
    try:
        for one in [*map(environment, INSTALLED), *OWN_ENVIRONMENTS.values()]:
            installation.forget_unusable(Path(one.prefix))
    except installation.InstallationError as error:
        sys.exit(str(error))


rule environments:
    """Everything that measuring needs the network for."""
    input:
        lambda wildcards: ready(
            [*map(environment, CONFIG.frameworks), *OWN_ENVIRONMENTS.values()]
        ),


rule site_packages:
    """The packages of a site's own interpreter, for the record."""
    output:
        f"{RESULTS}/environments/{{framework}}-{{digest}}.txt",
    log:
        f"{RESULTS}/logs/environments/{{framework}}-{{digest}}-site.log",
    wildcard_constraints:
        framework="|".join(CONFIG.frameworks),
    priority: 10**6
    params:
        listing=lambda wildcards: environment(wildcards.framework).listing,
    shell:
        "printf '%s\n' {params.listing:q} >{output:q} 2>{log:q}"


rule environment_on_top:
    """A framework's packages with those that a user's own model needs in addition."""
    output:
        ".venvs/{lock}-{digest}-with-{own}/.complete",
    log:
        f"{RESULTS}/logs/environments/{{lock}}-{{digest}}-with-{{own}}.log",
    priority: 10**6
    params:
        prefix=subpath(output[0], parent=True),
        requirements=lambda wildcards, output: REQUIREMENTS[output[0]],
    shell:
        "python -P -m framebench.plan.installation --lock envs/{wildcards.lock}.txt --on-top {params.requirements:q}"
        " --prefix {params.prefix:q} --log {log:q}"


rule environment:
    output:
        ".venvs/{lock}-{digest}/.complete",
    log:
        f"{RESULTS}/logs/environments/{{lock}}-{{digest}}.log",
    wildcard_constraints:
        lock="(?!.*-with-)[^/]+",
        digest="[0-9a-f]+",
    # Before any measuring: the order of the runs must not depend on which environment is ready first.
    priority: 10**6
    params:
        prefix=subpath(output[0], parent=True),
    shell:
        "python -P -m framebench.plan.installation --lock envs/{wildcards.lock}.txt --prefix {params.prefix:q} --log {log:q}"
