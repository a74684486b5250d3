"""Waiting time of a user: importing the framework, building the model, and the first training step."""

from collections.abc import Mapping

import pandas as pd

from framebench.figures import drawing, registry, stacked
from framebench.languages import Language

STACK = stacked.Stack(
    "first_step",
    {
        "import_s": ("first_step_import", 0.3),
        "build_s": ("first_step_build", 0.6),
        "time_to_first_step_s": ("first_step_first", 1.0),
    },
    untold="status_not_measured",
    one_scale=True,
)


def draw(
    measurements: pd.DataFrame, *, article_batch_sizes: Mapping[str, int], language: Language, labels: Mapping[str, str]
) -> drawing.Captioned:
    """In seconds; the panels are those of `stacked`."""
    return stacked.draw(measurements, STACK, article_batch_sizes=article_batch_sizes, language=language, labels=labels)


FIGURE = registry.Figure("first-step", draw, section="static", place=25)
