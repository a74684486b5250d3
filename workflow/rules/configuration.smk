# config.yaml, and what --configfile and --config put over it, checked before anything is planned.
import json
import os

from framebench import config as configuration


# Until `configfile:`, Snakemake lists only the files given by --configfile.
FILES = list(dict.fromkeys(map(os.path.relpath, ["config.yaml", *workflow.configfiles])))

try:
    for file in FILES:
        configuration.readable(file)
except configuration.ConfigError as error:
    sys.exit(str(error))


configfile: "config.yaml"


try:
    CONFIG = configuration.load(
        config,
        " + ".join([*FILES, *(["--config"] if workflow.config_settings.config else [])]),
    )
except configuration.ConfigError as error:
    sys.exit(str(error))

RESULTS = CONFIG.results
PYTHON = f"PYTHONPATH=workflow {sys.executable} -P"
# Every command's messages go to the reader and into the rule's log.
LOGGED = "2>&1 | tee {log:q} >&2"
