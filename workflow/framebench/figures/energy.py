"""Images per joule of a GPU over the batch size."""

from collections.abc import Mapping

import pandas as pd

from framebench.figures import drawing, over_batch_size, registry
from framebench.languages import Language

ENERGY = over_batch_size.Quantity("images_per_j", "energy")


def draw(
    measurements: pd.DataFrame, *, confidence: float, language: Language, labels: Mapping[str, str]
) -> drawing.Captioned:
    """Draw every run on a GPU and the mean of each cell."""
    on_gpus = drawing.on_gpus(measurements)
    return over_batch_size.draw(on_gpus, confidence, ENERGY, language=language, labels=labels)


FIGURE = registry.Figure("energy", draw, section="static", place=24, each=registry.if_gpus)
