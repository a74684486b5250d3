# config.yaml, and what --configfile and --config put over it, checked before anything is planned.
import os
from pathlib import Path

from framebench import config as configuration

# Until `configfile:`, Snakemake lists only the files given by --configfile.
FILES = list(
    dict.fromkeys(map(os.path.relpath, ["config.yaml", *workflow.configfiles]))
)

try:
    for file in FILES:
        configuration.readable(file)
except configuration.ConfigError as error:
    sys.exit(str(error))


configfile: "config.yaml"


try:
    CONFIG = configuration.load(
        config,
        " + ".join(
            [*FILES, *(["--config"] if workflow.config_settings.config else [])]
        ),
    )
except configuration.ConfigError as error:
    sys.exit(str(error))

RESULTS = CONFIG.results

# Every command's `python` is that of the workflow's own environment, and finds the package.
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH=workflow PATH={Path(sys.executable).parent}:$PATH; "
)
