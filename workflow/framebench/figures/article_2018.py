"""The article's two charts, redrawn from the numbers that were published with it in 2018."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from framebench.figures import drawing
from framebench.languages import Language

GPUS = ["P100", "K80"]
BASELINE = "TensorFlow"
SORTED_BY = "gru_imdb_training_s"
PROBLEMS = ["cnn_cifar10_training_s", SORTED_BY, "resnet50_features_s_per_1000_images"]

# As printed in the tables → as drawn in the charts. MXNet was drawn by its Module API, never by Gluon.
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


def draw(published: pd.DataFrame, gpu: str, language: Language) -> Figure:
    """The chart for `gpu`, one of GPUS."""
    speeds = relative_speeds(published, gpu)
    figure = drawing.new_figure(
        body_in=4.5,
        title=language["title_article_2018"].format(gpu=gpu),
        footer="\n".join([language["credit"], *(language[slip] for slip in SLIPS[gpu])]),
    )
    problems = [language[f"problem_{problem}"] for problem in PROBLEMS]
    axes = drawing.relative_speed_axes(figure, list(speeds.index), BASELINE, problems, language)
    width = 0.8 / len(PROBLEMS)
    for i, problem in enumerate(PROBLEMS):
        at = np.arange(len(speeds)) + (i - (len(PROBLEMS) - 1) / 2) * width
        axes.bar(at, speeds[problem], width, color=drawing.PROBLEMS[i])
    return figure
