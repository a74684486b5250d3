"""A user's own models in a configuration: made known to every process, and refused where one cannot be measured."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from framebench import usermodels
from framebench.plan import catalogue, problem
from framebench.plan.refusals import ConfigError

SEED = 1  # files of a proof


def announce(models: Mapping[str, str], results: str) -> None:
    """Make these folders known as workloads, here and in every process started from now on.

    ConfigError where a folder has no readable problem or no model file, or has the name of a workload of framebench.
    """
    told = {}
    for name, path in models.items():
        folder = Path(path).expanduser().resolve()
        try:
            asked = problem.load(folder)
        except ConfigError as error:
            raise ConfigError(f"models.{name}: {error}") from None
        if name in catalogue.specs():
            raise ConfigError(f"models.{name}: is a workload of framebench; allowed: any other name")
        if not problem.files(folder, asked):
            raise ConfigError(f"models.{name}: {folder} has neither keras.py nor pytorch.py")
        request = problem.request(folder, asked, SEED, threads=1)
        told[name] = {"asked": request, "told": f"{results}/certificates/{name}/weights.npz"}
    os.environ[usermodels.VARIABLE] = json.dumps(told)
