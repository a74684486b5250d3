"""The training problems: one folder each, a neutral spec beside one model file per framework style.

A user's own models are in `framebench.workloads.own`.
"""

import importlib
from types import ModuleType

from framebench import usermodels
from framebench.workloads import own
from framebench.workloads.layers import Workload


def load(name: str) -> Workload:
    """The workload of this name (`article-cnn`: folder `article_cnn`); ModuleNotFoundError where there is none."""
    if model := usermodels.models().get(name):
        return own.Own.of(name, model)
    return importlib.import_module(f"framebench.workloads.{name.replace('-', '_')}.spec").WORKLOAD


def model_file(name: str, style: str) -> ModuleType:
    """The model file of workload `name` in one style (`keras`, `pytorch`, …): imports that framework."""
    return importlib.import_module(f"framebench.workloads.{name.replace('-', '_')}.{style}")
