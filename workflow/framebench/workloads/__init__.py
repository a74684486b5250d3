"""The training problems: one folder each, a neutral spec beside one model file per framework style."""

import importlib
from types import ModuleType

from framebench.workloads.layers import Workload


def load(name: str) -> Workload:
    """The spec of workload `name` (`article-cnn`: folder `article_cnn`); ModuleNotFoundError where there is none."""
    return importlib.import_module(f"framebench.workloads.{name.replace('-', '_')}.spec").WORKLOAD


def model_file(name: str, style: str) -> ModuleType:
    """The model file of workload `name` in one style (`keras`, `pytorch`, …): imports that framework."""
    return importlib.import_module(f"framebench.workloads.{name.replace('-', '_')}.{style}")
