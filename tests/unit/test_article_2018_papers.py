"""The article's figure of papers has the points that were read off it, and gaps where there are none."""

import warnings

import numpy as np
import pandas as pd
import pytest

from framebench import languages
from framebench.analyse import given
from framebench.figures import article_2018_papers, drawing
from framebench.plan.catalogue import ROOT

pytestmark = pytest.mark.check

POINTS = pd.read_csv(ROOT / given.resource("papers_2018"))
# In the order of the article's legend.
FRAMEWORKS = ["theano", "tensorflow", "keras", "caffe", "torch", "pytorch", "mxnet", "chainer", "cntk"]


@pytest.mark.parametrize("name", languages.languages())
def test_every_point_is_drawn_and_a_hidden_one_is_a_gap(name, tmp_path):
    language = languages.load(name)
    with warnings.catch_warnings(), drawing.style(language):
        warnings.simplefilter("error")
        figure = article_2018_papers.draw(POINTS, language)
        drawing.save(figure, *(tmp_path / f"a.{kind}" for kind in ("svg", "png", "txt")), language)
    (axes,) = figure.axes
    lines = axes.get_lines()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == FRAMEWORKS
    assert [axes.get_xticklabels()[i].get_text() for i in (0, -1)] == ["2014-10", "2018-02"]
    for framework, line in zip(FRAMEWORKS, lines, strict=True):
        drawn = POINTS[POINTS["framework"] == framework]["percent_of_papers"].to_numpy()
        np.testing.assert_array_equal(line.get_ydata(), drawn)
    assert np.isnan(lines[FRAMEWORKS.index("tensorflow")].get_ydata()).sum() > 10


def test_no_two_frameworks_look_alike_and_those_measured_here_look_as_everywhere():
    looks = [article_2018_papers.looks(framework) for framework in FRAMEWORKS]
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == len(FRAMEWORKS)
    assert article_2018_papers.looks("pytorch") == drawing.framework_styles(["pytorch"])["pytorch"]
