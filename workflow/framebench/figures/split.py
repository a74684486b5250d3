"""The parts of a step: computing on the device, and waiting for Python and the framework."""

from collections.abc import Mapping

import pandas as pd

from framebench.analyse import why
from framebench.figures import drawing, registry, stacked
from framebench.languages import Language

STACK = stacked.Stack(
    "split",
    dict(zip(why.PARTS, [("split_device", 1.0), ("split_host", 0.35)], strict=True)),
    untold="split_untold",
    one_scale=False,
)


def draw(
    measurements: pd.DataFrame, *, article_batch_sizes: Mapping[str, int], language: Language, labels: Mapping[str, str]
) -> drawing.Captioned:
    """In milliseconds; the panels are those of `stacked`, each with its own scale."""
    return stacked.draw(
        why.split(measurements), STACK, article_batch_sizes=article_batch_sizes, language=language, labels=labels
    )


FIGURE = registry.Figure("split", draw, section="static", place=26)
