"""Tables and figures declare themselves, and their declared needs exist."""

import argparse

import pandas as pd
import pytest

from framebench import languages
from framebench.analyse import given
from framebench.analyse.tables import SETTINGS, of_campaign, tables
from framebench.figures import registry
from framebench.plan.catalogue import PACKAGE, ROOT
from framebench.record import Cell

pytestmark = pytest.mark.check

CELLS = [Cell("cpu", "vgg-cnn", "pytorch", track, "float32", "device", 64) for track in ("default", "tuned")]
ON_GPU = [Cell("l4", "vgg-cnn", "pytorch", "default", "float32", "host", 64)]
# Whatever there may be to draw.
EVERYTHING = registry.Scope([*CELLS, *ON_GPU], gpus=["l4"], sampled=["l4"], searched=True)


def known(need):
    return need in tables() or need in given.FILES or (ROOT / given.resource(need)).is_file()


@pytest.mark.parametrize("name", tables())
def test_a_table_is_made_of_what_there_is_and_of_no_table_that_is_made_of_it(name):
    table = tables()[name]
    assert all(known(need) for need in table.needs)
    assert set(table.settings) <= set(SETTINGS)
    found, waiting = set(), [name]
    while waiting:
        needs = [need for need in tables()[waiting.pop()].needs if need in tables()]
        assert name not in needs
        waiting += set(needs) - found
        found |= set(needs)


def test_a_campaign_has_every_table_but_those_of_a_search_and_of_a_merge():
    assert set(tables()) - set(of_campaign()) == {"largest_batch", "agreement"}
    assert "agreement" in of_campaign(merged=True) and "largest_batch" in of_campaign(searched=True)


@pytest.mark.parametrize("figure", registry.figures(), ids=lambda figure: figure.name)
def test_a_figure_is_drawn_of_what_there_is_and_has_a_title_and_a_section_of_the_page_or_none(figure):
    assert all(known(need) for need in figure.needs)
    page = (ROOT / PACKAGE / "report/page.html").read_text(encoding="utf-8")
    assert not figure.section or f"pictures.{figure.section}" in page
    assert figure.each(EVERYTHING), "no campaign would draw it"
    for fields in figure.each(EVERYTHING):
        assert registry.find(figure.name.format(**fields)) == (figure, fields)
        for language in languages.languages():
            assert figure.title_in(languages.load(language), fields, {"cpu": "A CPU", "l4": "NVIDIA L4"})


def test_no_two_figures_have_one_place_in_the_page():
    places = [figure.place for figure in registry.figures()]
    assert len(set(places)) == len(places)


def test_without_measurements_there_are_the_figures_of_2018():
    assert registry.names(registry.Scope()) == ["article-2018-p100", "article-2018-k80", "article-2018-papers"]


def test_the_scope_of_runs_has_each_cell_once_and_the_gpus():
    rows = [
        vars(cell) | {"device_uuid": uuid} for cell, uuid in [(CELLS[0], None), (CELLS[0], None), (ON_GPU[0], "GPU-1")]
    ]
    rows.append(vars(CELLS[1]) | {"device_uuid": float("nan")})
    scope = registry.scope_of(pd.DataFrame(rows).to_dict("records"))
    assert (scope.cells, scope.gpus) == ([CELLS[0], *ON_GPU, CELLS[1]], ["l4"])


def test_the_words_of_a_command_line_give_the_values_back():
    values = {"measurements": "m.csv", "certificates": ["a b.json", "c.json"], "rounds": [], "confidence": 0.95}
    assert given.words(values | {"across_cards": True}) == [
        *("--measurements", "m.csv", "--certificates", "a b.json", "c.json", "--rounds", "--confidence", "0.95"),
        "--across-cards",
    ]
    assert given.words({"across_cards": False, "question": None}) == []


@pytest.mark.parametrize("values", [{"question": ("a", "b")}, {"question": None}])
def test_the_question_and_the_margins_come_back_from_the_command_line(values):
    values |= {"same_within": {"cpu": 0.1, "gpu": 0.03}}
    parser = argparse.ArgumentParser()
    given.add_options(parser, [], values)
    read = given.read(parser.parse_args(given.words(values)), [], values)
    assert read == values | {"question": values["question"] and list(values["question"])}
