"""Images per second over the batch size, beside published speeds."""

from collections.abc import Mapping

import pandas as pd

from framebench.figures import drawing, over_batch_size, registry
from framebench.languages import Language


def draw(
    measurements: pd.DataFrame,
    literature: pd.DataFrame,
    *,
    confidence: float,
    language: Language,
    labels: Mapping[str, str],
) -> drawing.Captioned:
    """Draw every run and the mean of each cell; the speeds of literature.csv are stars in their problem's panel."""
    quantity = over_batch_size.THROUGHPUT
    return over_batch_size.draw(
        measurements, confidence, quantity, language=language, labels=labels, published=literature
    )


FIGURE = registry.Figure("throughput", draw, section="static", place=20)
