# config.yaml, with the overrides of --configfile and --config, checked before anything is planned.
import json
import os
import shlex
from pathlib import Path

from snakemake.utils import update_config

from framebench.plan import config as configuration
from framebench.plan import bindings, catalogue, environments, internals, matrix, so_far
from framebench.prove import place

FILES = list(
    dict.fromkeys(
        map(os.path.relpath, ["config.yaml", *internals.given_files(workflow)])
    )
)

try:
    for file in FILES:
        configuration.readable(file)
    GIVEN_VALUES = configuration.given(internals.given_values(workflow))
except configuration.ConfigError as error:
    sys.exit(str(error))


configfile: "config.yaml"


for values in GIVEN_VALUES:
    update_config(config, values)
try:
    CONFIG = configuration.load(
        config, " + ".join([*FILES, *(["--config"] if GIVEN_VALUES else [])])
    )
except configuration.ConfigError as error:
    sys.exit(str(error))

# The proofs of a user's own models start the same interpreters.
os.environ[place.VARIABLE] = json.dumps(
    {"packages": CONFIG.packages, "interpreters": dict(CONFIG.interpreters)}
)
RESULTS = CONFIG.results
# The meaning of each device, also for jobs: they must not choose by their host.
DEVICES = {
    name: next((gpu for gpu in CONFIG.gpus if gpu.name == name), None)
    for name in CONFIG.devices
}
ASKED = config["devices"]
# A request to a cluster is complete: there, the GPU is known once a job has it.
REQUESTS = {request.name: request for request in CONFIG.requests}
if not REQUESTS:
    config["devices"] = bindings.bindings(DEVICES)
# Settings of track `tuned`, by the wildcards of a cell.
TUNING = f"{RESULTS}/tuning/{{device}}/{{workload}}/{{framework}}/{{precision}}/{{input}}.json"

# The requested campaign and that of the frameworks against themselves, by their folders in the results.
AA = configuration.against_itself(CONFIG)
CAMPAIGNS = {"": CONFIG, "aa/": AA}
PLACES = {name: matrix.order(campaign) for name, campaign in CAMPAIGNS.items()}

# Everything is made, but in an invocation that draws what another one with failed jobs has left (outcome.smk), and of
# results from another machine.
SO_FAR = so_far.SoFar.of(RESULTS)
if CONFIG.imported:
    internals.allow_only(so_far.DRAWING)

# The records planned so far, for the progress line.
PLANNED = f"{RESULTS}/logs/{{campaign}}planned.json"

# The results of many machines, merged.
MERGED = f"{RESULTS}/merged"

# The training samples, by the kind that a workload names.
DATA = {
    "images": CONFIG.data,
    "reviews": CONFIG.reviews,
    "large-images": CONFIG.large_images,
}
SAMPLES = f"{RESULTS}/data/{{kind}}.npz"
CERTIFICATES = f"{RESULTS}/certificates"
# The reference's first steps for a block's runs.
STORY = f"{CERTIFICATES}/{{workload}}/story/{{precision}}/batch-{{batch_size}}.npz"

# Every command's `python` is the workflow's own, finds the package, and has no variable of the user's; its files and
# output are UTF-8 in any locale. A stderr that is closed, as by 2>&- in a crontab, would end each that writes there.
shell.prefix(
    "set -euo pipefail; [ -e /dev/fd/2 ] || exec 2>/dev/null; unset ${{!PYTHON*}}; export PYTHONUTF8=1 PYTHONPATH=workflow"
    f' PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"; '
)
