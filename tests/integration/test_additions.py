"""A figure is one file and its title, and a table is one file: nothing else is edited."""

import sys

import pytest

from framebench import languages

pytestmark = pytest.mark.test

TABLE = '''"""Runs of each framework."""

import pandas as pd

from framebench.analyse.tables import Table


def counts(measurements: pd.DataFrame) -> pd.DataFrame:
    """Count the runs of each framework."""
    return measurements.groupby("framework").size().rename("runs").reset_index()


TABLE = Table("counts", counts, keys=["framework"])
'''
FIGURE = '''"""Runs of each framework, as bars."""

import seaborn

from framebench.figures import drawing, registry


def draw(counts, *, language, labels):
    """Draw a bar for each framework."""
    figure = drawing.new_figure(2, language["title_run_counts"], "")
    rows = counts.assign(framework=counts["framework"].map(labels))
    seaborn.barplot(rows, x="runs", y="framework", ax=figure.subplots())
    return figure


FIGURE = registry.Figure("run-counts", draw, section="steadiness", place=60)
'''


def test_a_new_table_and_a_new_figure_are_one_file_each(workspace):
    package = workspace.folder / "workflow/framebench"
    (package / "analyse/counts.py").write_text(TABLE, encoding="utf-8")
    (package / "figures/run_counts.py").write_text(FIGURE, encoding="utf-8")
    for language in languages.languages():
        with (package / f"languages/{language}.yaml").open("a", encoding="utf-8") as file:
            file.write("\ntitle_run_counts: Runs\n")
    plan = workspace.plan()
    assert {"results/counts.csv", "results/figures/en/run-counts.svg"} <= plan.outputs
    (workspace.folder / "counts.csv").write_text("framework,runs\npytorch,3\ntensorflow,2\n", encoding="utf-8")
    words = "--language ko --counts counts.csv --output-svg a.svg --output-png a.png --output-caption a.txt"
    drawn = workspace.run(
        "env", "PYTHONPATH=workflow", sys.executable, "-m", "framebench", "figure", "run-counts", *words.split()
    )
    assert drawn.returncode == 0, drawn.stderr
    assert (workspace.folder / "a.png").stat().st_size > 1000
