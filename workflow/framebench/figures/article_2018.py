"""The article's two charts, redrawn from the numbers published with it in 2018."""

import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from framebench.analyse import rosetta
from framebench.figures import drawing, registry
from framebench.languages import Language

BASELINE = "TensorFlow"
SORTED_BY = "gru_imdb_training_s"
PROBLEMS = list(rosetta.WORKLOADS)

# Names printed in the tables → names drawn in the charts. MXNet was drawn by its Module API, never by Gluon.
DRAWN_AS = {
    "Tensorflow": "TensorFlow",
    "Pytorch": "PyTorch",
    "MXNet(Module API)": "MXNet",
    "Keras(TF)": "Keras (TensorFlow)",
    "Keras(CNTK)": "Keras (CNTK)",
    "R - Keras(TF)": "R - Keras (TensorFlow)",
}

# Known errors of the published numbers, as texts of the caption; the bars stay as published.
SLIPS = {"P100": ["slips", "slips_p100"], "K80": ["slips"]}


def relative_speeds(published: pd.DataFrame, gpu: str) -> pd.DataFrame:
    """The chart's bars: framework × problem, TensorFlow's time divided by the framework's.

    `published` has the columns framework, problem, gpu and value (a time). Only frameworks with all three
    problems on `gpu`; ordered by the GRU bar, descending, ties by name.
    """
    rows = published[published["gpu"] == gpu]
    times = rows.assign(framework=rows["framework"].replace(DRAWN_AS)).dropna(subset="value")
    table = times.pivot(index="framework", columns="problem", values="value")[PROBLEMS].dropna()
    speeds = table.loc[BASELINE] / table
    return speeds.sort_index().sort_values(SORTED_BY, ascending=False, kind="stable")


def draw(rosetta_2018: pd.DataFrame, gpu: str, language: Language) -> drawing.Captioned:
    """The chart for `gpu`, one of rosetta.GPUS in any case."""
    gpu = gpu.upper()
    if gpu not in rosetta.GPUS:
        raise ValueError(f"nothing was published of '{gpu}'; there is: {', '.join(rosetta.GPUS)}")
    speeds = relative_speeds(rosetta_2018, gpu)
    credit, *slips = attribution(gpu, language)
    colours = dict(zip(PROBLEMS, drawing.PROBLEMS, strict=True))
    figure, (axes,) = drawing.panels(
        [3.4],
        language["title_article_2018"].format(gpu=gpu),
        credit,
        slips,
        handles=[Patch(color=colour, label=language[f"problem_{problem}"]) for problem, colour in colours.items()],
        legend_title=language["legend_problem"],
    )
    axes.set_ylabel(language["axis_relative_speed"].format(baseline=BASELINE))
    bars = speeds.rename_axis("framework").reset_index().melt("framework", var_name="problem", value_name="ratio")
    bars = drawing.grouped(bars, "framework", "problem")
    bars = bars.assign(ci_low=np.nan, ci_high=np.nan, hollow=False, gap="", hatch="")
    drawing.relative_speeds(axes, bars.assign(colour=bars["problem"].map(colours)))
    axes.set_xticks(range(len(speeds)), speeds.index)
    axes.set_xlim(-0.5, len(speeds) - 0.5)
    drawing.slant(axes)
    return figure


def attribution(gpu: str, language: Language) -> list[str]:
    """The credit for these numbers, and their known errors."""
    return [language["credit"], *(line for slip in SLIPS[gpu] for line in language[slip].split("\n"))]


FIGURE = registry.Figure(
    "article-2018-{gpu}",
    draw,
    section="published",
    place=11,
    each=lambda _: [{"gpu": gpu.lower()} for gpu in rosetta.GPUS],
    title="title_article_2018",
)
