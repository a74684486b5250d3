"""The article's figure of the frameworks that papers mention, redrawn from points read off it."""

import pandas as pd
from matplotlib.figure import Figure

from framebench.figures import drawing, registry
from framebench.languages import Language
from framebench.plan import catalogue

# Frameworks of the figure that are measured here keep their usual colour and marker.
MEASURED = {"tensorflow": "tensorflow", "keras": "keras-tensorflow", "pytorch": "pytorch"}
OTHERS = {
    "theano": ("#117733", "v"),
    "caffe": ("#999933", "^"),
    "torch": ("#882255", "P"),
    "mxnet": ("#AA4499", "X"),
    "chainer": ("#000000", "<"),
    "cntk": ("#999999", ">"),
}


def draw(papers_2018: pd.DataFrame, language: Language) -> Figure:
    """A line per framework over the months; a gap if another point hides one in the article's figure.

    `papers_2018` has the columns month, framework (as the figure spells it) and percent_of_papers.
    """
    figure = drawing.new_figure(
        body_in=4.5, title=language["title_article_2018_papers"], footer=language["credit_papers"]
    )
    axes = figure.subplots()
    months = sorted(papers_2018["month"].unique())
    shares = papers_2018.pivot(index="month", columns="framework", values="percent_of_papers").loc[months]
    for framework in papers_2018["framework"].unique():
        colour, marker = looks(framework)
        axes.plot(shares[framework].to_numpy(), color=colour, marker=marker, markersize=4.5, label=framework)
    axes.set_xticks(range(len(months)), minor=True)
    axes.set_xticks(range(0, len(months), 4), months[::4], rotation=90)
    axes.set_xlim(-0.6, len(months) - 0.4)
    axes.set_ylabel(language["axis_papers"])
    axes.grid(axis="y")
    axes.legend(loc="upper left", labelspacing=0.2, handlelength=1.5, borderaxespad=0)
    return figure


def looks(framework: str) -> tuple[str, str]:
    """Colour and marker of a framework of the figure."""
    if framework in OTHERS:
        return OTHERS[framework]
    adapter = catalogue.adapter(MEASURED[framework])
    return adapter.colour, adapter.marker


# This is not a chart of speeds, so no page shows it.
FIGURE = registry.Figure("article-2018-papers", draw, section="", place=12, each=lambda _: [{}])
