"""Figures show the tables' values in every language, including gaps and odd names."""

import csv
import math
import re
import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.text import Text

import simulated
from framebench import languages
from framebench.analyse import given, payback, rosetta, selection
from framebench.analyse.largest_batch import COLUMNS as OF_SEARCHES
from framebench.answer import gains
from framebench.figures import (
    article,
    article_2018,
    campaign,
    command,
    drawing,
    effects,
    first_step,
    fonts,
    forest,
    largest_batch,
    memory,
    over_batch_size,
    ratio,
    registry,
    stacked,
    then_and_now,
    warmup,
)
from framebench.plan import catalogue, config, matrix
from framebench.plan.bindings import Gpu
from framebench.record import RUN

pytestmark = pytest.mark.check

PUBLISHED = Path(__file__).parents[2] / "workflow/resources/rosetta-2018.csv"
LABELS = {
    "tensorflow": "TensorFlow",
    "keras-tensorflow": "Keras (TensorFlow)",
    "pytorch": "PyTorch",
    "jax": "JAX",
    "keras-jax": "Keras (JAX)",
    "keras-torch": "Keras (PyTorch)",
}
SIZES = {"article-cnn": 128, "resnet50-features": 32, "vgg-cnn": 64}
WITH_GRU = SIZES | {"gru-imdb": 64}
PHONE_PX = 328  # of a picture in the page, on a screen of 360
KOREAN = languages.load("ko")
HOSTILE = r"Tesla_$P$100 {x}^2 \frac% & <b> " + "and so on " * 20


def published_time(framework, problem, gpu):
    """The values, read from the text of the resource by the names printed there."""
    with PUBLISHED.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (row["framework"], row["problem"], row["gpu"]) == (framework, problem, gpu):
                return float(row["value"])
    raise AssertionError(f"no published value of {framework}, {problem}, {gpu}")


# The bars of the original charts, left to right.
ORIGINAL = {
    "K80": [
        "Julia - Knet",
        "MXNet",
        "TensorFlow",
        "PyTorch",
        "CNTK",
        "Keras (TensorFlow)",
        "R - Keras (TensorFlow)",
        "Keras (CNTK)",
    ],
    "P100": [
        "CNTK",
        "PyTorch",
        "TensorFlow",
        "MXNet",
        "R - Keras (TensorFlow)",
        "Keras (TensorFlow)",
        "Keras (CNTK)",
    ],
}
PRINTED_AS = {
    "TensorFlow": "Tensorflow",
    "MXNet": "MXNet(Module API)",
    "Keras (TensorFlow)": "Keras(TF)",
    "R - Keras (TensorFlow)": "R - Keras(TF)",
    "Keras (CNTK)": "Keras(CNTK)",
}


@pytest.mark.parametrize("gpu", ORIGINAL)
def test_the_articles_charts_have_the_original_order_and_the_published_ratios(gpu):
    speeds = article_2018.relative_speeds(pd.read_csv(PUBLISHED), gpu)
    assert list(speeds.index) == ORIGINAL[gpu]
    for framework in speeds.index:
        for problem in article_2018.PROBLEMS:
            printed = PRINTED_AS.get(framework, framework)
            if framework == "PyTorch" and problem == "gru_imdb_training_s":
                printed = "Pytorch"
            expected = published_time("Tensorflow", problem, gpu) / published_time(printed, problem, gpu)
            assert speeds.at[framework, problem] == pytest.approx(expected, rel=1e-12)


def test_some_ratios_of_the_articles_charts_by_hand():
    p100 = article_2018.relative_speeds(pd.read_csv(PUBLISHED), "P100")
    assert p100.at["CNTK", "gru_imdb_training_s"] == pytest.approx(22 / 15)
    assert p100.at["PyTorch", "gru_imdb_training_s"] == pytest.approx(22 / 16)  # as published, slip and all
    assert p100.at["Keras (CNTK)", "resnet50_features_s_per_1000_images"] == pytest.approx(1.8 / 5.9)
    k80 = article_2018.relative_speeds(pd.read_csv(PUBLISHED), "K80")
    assert k80.at["MXNet", "cnn_cifar10_training_s"] == pytest.approx(173 / 145)


def of_article(tables, track="default", sizes=SIZES):
    runs = selection.article_form(tables.measurements, track, sizes)
    return article.relative_speeds(runs, tables.comparisons, "tensorflow")


def test_the_article_form_shows_ratios_to_the_baseline_at_the_articles_batch_size():
    speeds = of_article(simulated.campaign())
    assert list(speeds["framework"]) == ["pytorch", "keras-tensorflow", "tensorflow"]
    assert list(speeds["ratio"]) == pytest.approx([3, 2, 1])
    assert set(speeds["batch_size"]) == {128}
    assert set(speeds["input"]) == {"device"}
    assert np.isnan(speeds["ci_low"].iloc[-1])


def test_the_article_form_of_the_tuned_track_holds_nothing_of_the_default_one():
    both = simulated.campaign(tracks=["default", "tuned"])
    expected = [3 * simulated.GAINS["pytorch"] / simulated.GAINS["tensorflow"], 2 / simulated.GAINS["tensorflow"], 1]
    assert list(of_article(both, "tuned")["ratio"]) == pytest.approx(expected)
    assert list(of_article(both)["ratio"]) == pytest.approx([3, 2, 1])


def test_the_article_form_is_sorted_by_the_gru_where_there_is_one():
    tables = simulated.campaign(blocks=[("article-cnn", "device", 128), ("gru-imdb", "device", 64)])
    of_gru = tables.comparisons["workload"] == "gru-imdb"
    tables.comparisons.loc[of_gru & (tables.comparisons["framework"] == "keras-tensorflow"), "ratio"] = 9.0
    speeds = of_article(tables, sizes=WITH_GRU)
    assert list(speeds["framework"].unique()) == ["keras-tensorflow", "pytorch", "tensorflow"]


def test_a_problem_of_the_article_has_its_place_in_every_chart_of_that_form():
    sizes = {**WITH_GRU, "vgg-cnn": 64, "resnet50-features": 32}
    tables = simulated.campaign(blocks=[(workload, "device", size) for workload, size in sizes.items()])
    drawn = list(of_article(tables, sizes=sizes)["workload"].unique())
    assert drawn == ["article-cnn", "vgg-cnn", "gru-imdb", "resnet50-features"]


def test_no_problem_has_the_colour_of_a_framework():
    for colour, _ in drawing.framework_styles([*LABELS, "mxnet", "tinygrad"]).values():
        near = [math.dist(to_rgba(colour), to_rgba(problem)) for problem in drawing.PROBLEMS]
        assert min(near) > 0.25, colour


def bars(axes):
    """Each framework, by its colour, and the height of every bar, from left to right."""
    names = {to_rgba(colour): name for name, (colour, _) in drawing.framework_styles(LABELS).items()}
    drawn = sorted(axes.patches, key=lambda bar: bar.get_x())
    return [(names.get(bar.get_facecolor()), pytest.approx(bar.get_height())) for bar in drawn]


def article_of(tables, **changes):
    language = languages.load("en")
    values = {"device": "cpu", "baseline": "tensorflow", "question": simulated.QUESTION} | changes
    with drawing.style(language):
        figure = article.draw(
            tables.measurements,
            tables.comparisons,
            article_batch_sizes=SIZES,
            language=language,
            labels=LABELS,
            **values,
        )
        figure.draw_without_rendering()
    return figure


def test_the_answer_is_drawn_as_the_ratio_that_is_asked_for_default_and_tuned_in_one_chart():
    both = simulated.campaign(tracks=["default", "tuned"])
    figure = article_of(both)
    axes = figure.axes[-1]
    assert axes.get_title("left") == "Relative speed (Keras (TensorFlow)=1)"
    gains = simulated.GAINS
    tuned = [1.5 * gains["pytorch"], 1, gains["tensorflow"] / 2]
    frameworks = ["pytorch", "keras-tensorflow", "tensorflow"]
    assert bars(axes) == list(zip(frameworks * 2, [1.5, 1, 0.5, *tuned], strict=True))
    groups = [tick.get_text().split("\n") for tick in axes.get_xticklabels()]
    assert [group[-1] for group in groups] == ["default settings", "tuned settings"]
    assert {"1.50", "0.50", "2.85"} <= set(texts(figure))


def test_without_a_question_or_one_of_its_two_speeds_are_relative_to_the_baseline():
    for tables, question in (
        (simulated.campaign(), None),
        (simulated.campaign(frameworks=["pytorch", "tensorflow"]), simulated.QUESTION),
    ):
        axes = article_of(tables, question=question).axes[-1]
        assert axes.get_title("left") == "Relative speed (TensorFlow=1)"
        assert ("tensorflow", 1) in bars(axes)


def test_bars_that_find_no_room_beside_one_another_stand_in_charts_of_their_own():
    sizes = {"article-cnn": 128, "gru-imdb": 64, "resnet50-features": 32, "vgg-cnn": 64}
    tables = simulated.campaign(blocks=[(workload, "device", size) for workload, size in sizes.items()])
    language = languages.load("en")
    with drawing.style(language):
        drawn = figures(tables, language)["article-cpu"]
    groups = [[tick.get_text().split("\n")[0] for tick in axes.get_xticklabels()] for axes in drawn.axes[1:]]
    assert groups == [["article-cnn", "vgg-cnn", "gru-imdb"], ["resnet50-features"]]


def test_a_speed_that_is_not_comparable_is_a_hollow_bar_with_its_reason_in_the_caption():
    figure = article_of(simulated.campaign(uncertified=["pytorch"]))
    hollow = [bar for bar in figure.axes[-1].patches if bar.get_facecolor()[3] == 0]
    assert len(hollow) == 1
    assert "Hollow, not comparable: " in figure.caption
    assert "Hollow" not in article_of(simulated.campaign()).caption


def test_the_article_form_keeps_failed_and_missing_cells():
    blocks = [("article-cnn", "device", 128), ("vgg-cnn", "device", 64)]
    tables = simulated.campaign(blocks=blocks, failed=[("pytorch", "article-cnn", 128)])
    runs = tables.measurements
    runs = runs[(runs["framework"] != "keras-tensorflow") | (runs["workload"] != "vgg-cnn")]
    speeds = article.relative_speeds(runs, tables.comparisons.iloc[:0], "tensorflow")
    states = speeds.set_index(["framework", "workload"])["state"]
    assert states["pytorch", "article-cnn"] == "out_of_memory"
    assert states["keras-tensorflow", "vgg-cnn"] == "not_measured"
    assert len(states) == 6


def then_and_now_of(tables, name="en"):
    language = languages.load(name)
    with drawing.style(language):
        return then_and_now.draw(
            tables.measurements,
            tables.comparisons,
            pd.read_csv(PUBLISHED),
            device=tables.measurements["device"].iloc[0],
            baseline="tensorflow",
            article_batch_sizes=WITH_GRU,
            language=language,
            labels=LABELS,
        )


OF_THE_ARTICLE = [("vgg-cnn", "device", 64), ("gru-imdb", "device", 64), ("gru-imdb", "device", 256)]


def test_then_and_now_has_the_measured_problems_of_the_article_alone_on_one_scale():
    figure = then_and_now_of(simulated.campaign(blocks=[*simulated.OF_ARTICLE, *OF_THE_ARTICLE]))
    _, then, now = figure.axes
    assert then.get_title(loc="left") == "2018: Tesla P100 (TensorFlow=1)"
    assert now.get_title(loc="left") == "Now: A CPU (TensorFlow=1)"
    assert then.get_ylim() == now.get_ylim()
    assert [tick.get_text() for tick in then.get_xticklabels()] == ORIGINAL["P100"]
    frameworks = ["pytorch", "keras-tensorflow", "tensorflow"]
    assert bars(now) == [(name, speed) for name, speed in zip(frameworks, (3, 2, 1), strict=True) for _ in range(2)]
    named = [None, None, "pytorch", "pytorch", "tensorflow", "tensorflow", *[None] * 4, *["keras-tensorflow"] * 2]
    assert [name for name, _ in bars(then)] == [*named, None, None]
    assert len({bar.get_hatch() for bar in then.patches}) == 2
    said = [*texts(figure), figure.caption]
    assert not any("not measured" in text or "ResNet-50 -" in text or "article-cnn" in text for text in said)
    assert "gru-imdb, batch 64 repeats the problem of 2018 “RNN (GRU) on IMDB" in figure.caption


def test_then_and_now_is_sorted_as_the_article_and_keeps_a_failed_cell():
    tables = simulated.campaign(blocks=OF_THE_ARTICLE, failed=[("pytorch", "gru-imdb", 64)])
    figure = then_and_now_of(tables)
    assert [tick.get_text() for tick in figure.axes[2].get_xticklabels()] == [
        "Keras (TensorFlow)",
        "TensorFlow",
        "PyTorch",
    ]
    assert texts(figure).count("out of memory") == 1


def test_the_whiskers_are_the_intervals_of_the_table():
    tables = simulated.campaign(noise=0.05, blocks=OF_THE_ARTICLE)
    lines = [one for one in then_and_now_of(tables).axes[2].collections if isinstance(one, LineCollection)]
    drawn = sorted(tuple(segment[:, 1]) for line in lines for segment in line.get_segments())
    speeds = of_article(tables, sizes=WITH_GRU).dropna(subset="ci_low")
    np.testing.assert_allclose(drawn, sorted(zip(speeds["ci_low"], speeds["ci_high"], strict=True)))


def test_the_chart_of_then_is_that_of_the_card_itself_or_of_the_newer_one():
    cards = ["Tesla K80", "Tesla P100-PCIE-16GB", "NVIDIA H200", "A CPU"]
    assert [then_and_now.nearest(card) for card in cards] == ["K80", "P100", "P100", "P100"]


def test_the_workloads_of_then_and_now_are_those_of_the_published_problems():
    assert set(pd.read_csv(PUBLISHED)["problem"]) == set(rosetta.WORKLOADS)
    assert {"vgg-cnn", "gru-imdb"} <= set(catalogue.workloads()) & set(rosetta.WORKLOADS.values())


def test_there_is_a_then_and_now_of_each_device_where_a_problem_of_the_article_is_measured():
    configuration = configured((["default"], ["device"], [64]), (["tuned"], ["device"], [64]))
    assert "then-and-now-cpu" not in of_campaign(configuration)
    of_vgg = [replace(entry, workload="vgg-cnn") for entry in configuration.matrix]
    found = of_campaign(replace(configuration, matrix=(of_vgg[0],)))
    assert {"then-and-now-cpu", "then-and-now-h200"} <= set(found)
    assert "then-and-now-cpu" not in of_campaign(replace(configuration, matrix=(of_vgg[1],)))


@pytest.mark.parametrize("name", languages.languages())
@pytest.mark.parametrize(
    "situation",
    [
        {},
        {"frameworks": ["tensorflow"]},
        {"frameworks": list(LABELS), "uncertified": ["pytorch"]},
        {"failed": [(framework, "gru-imdb", 64) for framework in simulated.THREE]},
    ],
)
def test_then_and_now_draws_without_a_warning_and_nothing_sticks_out(situation, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        language = languages.load(name)
        with drawing.style(language):
            figure = then_and_now_of(
                simulated.campaign(noise=0.05, device_name=HOSTILE, blocks=OF_THE_ARTICLE, **situation), name
            )
            check_extent(figure)


@pytest.mark.parametrize(("measured", "chosen"), [([32, 256, 1024], 256), ([64, 256], 64), ([512], 512)])
def test_a_figure_speaks_of_the_batch_size_nearest_to_the_articles_in_every_panel(measured, chosen):
    blocks = [("article-cnn", input, size) for input in ("device", "host") for size in measured]
    runs = simulated.campaign(blocks=blocks, rounds=1, tracks=["default", "tuned"]).measurements
    at_size = selection.at_article_size(runs, SIZES)
    assert set(at_size["batch_size"]) == {chosen}
    assert at_size.groupby(selection.PANEL).ngroups == 4


def test_throughput_sums_up_each_cell_and_leaves_failed_ones_without_numbers():
    measurements = simulated.campaign(failed=[("pytorch", "article-cnn", 32)]).measurements
    summary = over_batch_size.summary(measurements, 0.95).set_index(["framework", "input", "batch_size"])
    cell = summary.loc["keras-tensorflow", "device", 128]
    assert cell["mean"] == pytest.approx(math.prod(2000 * (1 + 0.01 * r) for r in range(1, 6)) ** 0.2)
    assert cell["low"] < 2060 < cell["high"]
    failed = summary.loc["pytorch", "device", 32]
    assert failed["state"] == "out_of_memory"
    assert failed[["mean", "low", "high"]].isna().all()


def stars(blocks, gpu="Tesla P100-PCIE-16GB"):
    """The stars of the figure throughput, with place and face, in every panel, and the figure's texts."""
    tables = simulated.campaign(blocks=blocks, gpus={"gpu": gpu}, tracks=["default", "tuned"])
    language = languages.load("en")
    with drawing.style(language):
        figure = over_batch_size.draw(
            tables.measurements,
            0.95,
            over_batch_size.THROUGHPUT,
            published=tables.literature,
            language=language,
            labels=LABELS,
        )
        said = [*texts(figure), figure.caption]
    lines = [[line for line in axes.lines if line.get_marker() == "*"] for axes in figure.axes[1:]]
    return [
        [(line.get_xdata()[0], line.get_ydata()[0]) for line in of_panel if len(line.get_xdata())] for of_panel in lines
    ], said


def test_published_speeds_are_stars_beside_the_runs_of_that_card_and_problem_only():
    (of_default, of_host, *others), said = stars(
        [("article-cnn", "device", size) for size in (32, 128)]
        + [("article-cnn", "host", 128), ("vgg-cnn", "device", 64)]
    )
    assert sorted(y for _, y in of_default) == [800, 6000]
    assert [x for x, _ in of_default] == pytest.approx([64, 64], rel=0.3)  # side by side
    assert not of_host and not any(others)
    assert "(article-cnn 2018: PyTorch, TensorFlow)" in " ".join(" ".join(said).split())


def test_stars_stand_on_the_lines_of_a_single_batch_size_and_nowhere_on_another_card():
    (of_default, *_), _ = stars([("article-cnn", "device", 128)])
    assert sorted(of_default) == [(800, 2), (6000, 1)]
    panels, said = stars([("article-cnn", "device", 128)], gpu="NVIDIA H200")
    assert not any(panels)
    assert not any("Stars" in text for text in said)


def test_two_rounds_have_a_mean_but_no_interval():
    summary = over_batch_size.summary(simulated.campaign(rounds=2).measurements, 0.95)
    assert summary["mean"].notna().all()
    assert summary[["low", "high"]].isna().all(axis=None)


def test_the_ratios_begin_with_the_question_and_have_every_pair_once():
    compared = simulated.campaign().comparisons
    others = [("keras-tensorflow", "tensorflow"), ("pytorch", "tensorflow")]
    for question in (simulated.QUESTION, None):
        rows = ratio.compared(compared, "tensorflow", question)
        pairs = list(rows[["framework", "reference"]].drop_duplicates().itertuples(index=False, name=None))
        assert pairs == ([question, *others] if question else others)
        assert len(rows) == 3 * len(pairs)


def test_memory_levels_never_fall():
    measurements = simulated.campaign().measurements
    measurements["host_rss_built_mib"] = 400
    levels = memory.levels(measurements)
    assert (levels["host_rss_built_mib"] == 500).all()
    assert (levels["host_rss_training_peak_mib"] == 900).all()


def test_the_wait_for_the_first_step_is_the_median_over_the_runs_that_are_ok():
    runs = simulated.campaign(blocks=[("article-cnn", "device", 128)]).measurements
    of_pytorch = runs["framework"] == "pytorch"
    runs.loc[of_pytorch, "import_s"] = [1.0, 2.0, 3.0, 4.0, 100.0]
    runs.loc[of_pytorch, "build_s"] = 0.1
    runs.loc[of_pytorch & (runs["round"] == 5), "status"] = "failed"
    wait = stacked.summed(runs, first_step.STACK.parts).set_index("framework").loc["pytorch"]
    assert wait["import_s"] == 2.5
    assert wait["sums"] == pytest.approx([1.16, 2.16, 3.16, 4.16])


def test_parts_reported_by_the_first_round_only_are_summed_for_that_round_only():
    runs = simulated.campaign(blocks=[("article-cnn", "device", 128)]).measurements
    runs["time_to_first_step_s"] = runs["round"].astype(float)
    wait = stacked.summed(runs, first_step.STACK.parts)
    assert (wait["time_to_first_step_s"] == 1).all()
    assert wait["sums"].map(len).eq(1).all() and wait["state"].eq("ok").all()


def test_each_run_of_the_campaign_stands_against_the_median_of_its_own_cell():
    shown = campaign.residuals(simulated.campaign(failed=[("pytorch", "article-cnn", 32)]).measurements)
    assert len(shown) == 40
    of_round = shown.groupby("round")["percent"]
    assert list(of_round.min()) == pytest.approx([100 * (1 + 0.01 * r) / 1.03 - 100 for r in range(1, 6)])
    assert list(of_round.max()) == pytest.approx(list(of_round.min()))
    assert shown["minutes"].min() == 0


@pytest.mark.parametrize(
    ("p", "said"),
    [
        ((0.01, 0.4), "Speed drifts by −1.2 % per hour (p = 0.01). The place inside a round explains nothing beyond"),
        ((0.6, 0.0005), "A drift of −1.2 % per hour is no more than chance gives (p = 0.6). Speed depends on"),
        ((math.nan, math.nan), "There are too few runs to show a drift. There are too few runs to tell whether"),
    ],
)
def test_the_campaign_says_whether_clock_and_order_explain_anything(p, said):
    row = {"drift_per_hour": -0.012, "drift_p": p[0], "order_p": p[1]}
    words = campaign.in_words(row, 0.05, languages.load("en"))
    assert words.replace("\N{NO-BREAK SPACE}", " ").startswith(said)
    assert "p =" not in words  # nor broken there


def tuned_runs(framework, **changes):
    runs = simulated.campaign(tracks=["default", "tuned"], blocks=[("article-cnn", "device", 128)]).measurements
    return runs[runs["framework"] == framework].assign(**changes)


def test_why_a_framework_gains_names_what_was_chosen_and_the_page_faults_before_and_after():
    english = languages.load("en")
    assert gains.explained(tuned_runs("pytorch"), english) == (
        "tbbmalloc saves the page faults of memory handed back to the system (5,400 → 3 per step), "
        "channels-last saves conversions of the memory layout"
    )
    assert "10 steps per call" in gains.explained(tuned_runs("tensorflow"), english)
    assert "per step" not in gains.explained(tuned_runs("pytorch", minor_faults_per_step=math.nan), english)


def test_a_search_that_keeps_the_defaults_is_said_to_have_found_nothing():
    english = languages.load("en")
    assert gains.explained(tuned_runs("keras-tensorflow"), english) == english["why_nothing"]
    assert gains.explained(tuned_runs("keras-tensorflow", tuning=None), english) == ""


def test_a_gain_that_is_not_shown_has_no_cause():
    tables = simulated.campaign(tracks=["default", "tuned"], blocks=[("article-cnn", "device", 128)])
    widened = tables.effects.copy()
    widened.loc[widened["framework"] == "pytorch", "verdict"] = "not shown"  # though its own interval excludes 1
    said = effects.reasons(tables.measurements, widened, SIZES, languages.load("en"), LABELS)
    assert "PyTorch, article-cnn: no gain shown" in said
    assert any(sentence.startswith("TensorFlow, article-cnn: tbbmalloc saves") for sentence in said)


def test_a_loss_that_is_shown_is_called_one():
    tables = simulated.campaign(tracks=["default", "tuned"], blocks=[("article-cnn", "device", 128)])
    slower = tables.effects.copy()
    slower.loc[slower["framework"] == "pytorch", ["ci_low", "ratio", "ci_high", "verdict"]] = [
        0.77,
        0.87,
        0.99,
        "slower",
    ]
    said = effects.reasons(tables.measurements, slower, SIZES, languages.load("en"), LABELS)
    assert "PyTorch, article-cnn: slower than by default" in said


def test_a_framework_whose_search_kept_the_defaults_has_no_effect_that_is_drawn():
    tables = simulated.campaign(tracks=["default", "tuned"])
    language = languages.load("en")
    with drawing.style(language):
        tuned, host = figures(tables, language)["effects"].axes
        # The search of keras-tensorflow finds nothing; its input is an effect all the same.
        names = [{text.get_text() for text in axes.findobj(Text)} & set(LABELS.values()) for axes in (tuned, host)]
    assert names == [{"PyTorch", "TensorFlow"}, {LABELS[name] for name in simulated.THREE}]


def test_effects_of_nothing_say_so():
    blocks = [("article-cnn", "device", 128)]
    tables = simulated.campaign(frameworks=["keras-tensorflow"], tracks=["default", "tuned"], blocks=blocks)
    language = languages.load("en")
    with drawing.style(language):
        figure = effects.draw(
            tables.measurements,
            tables.effects,
            tables.payback,
            article_batch_sizes=SIZES,
            language=language,
            labels=LABELS,
        )
        assert language["nothing_tuned"] in texts(figure)


def test_warm_up_ends_where_steps_are_first_as_fast_as_those_at_its_end():
    steps = {"pytorch": [100, 10, 13, 10, 10], "tensorflow": [900, 40, 30, 10.5, 10], "jax": [10, 10, 10, 10, 10]}
    rows = [
        dict.fromkeys(RUN, "x") | {"framework": name, "round": 1, "interval": i, "t_s": i + 0.5, "step_ms": step}
        for name, of_run in steps.items()
        for i, step in enumerate(of_run)
    ]
    found = warmup.fast_after(pd.DataFrame(rows)).set_index("framework")["value"]
    assert found.to_dict() == {"pytorch": 0.5, "tensorflow": 2.5, "jax": 0}


def test_warm_up_has_a_dot_per_framework_and_tells_what_did_not_settle():
    tables = simulated.campaign(blocks=[("article-cnn", "device", 128)])
    tables.measurements["warmup_converged"] = tables.measurements["round"] > 1
    language = languages.load("en")
    with drawing.style(language):
        drawn = figures(tables, language)["warmup"]
    (axes,) = drawn.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["Keras (TensorFlow)", "PyTorch", "TensorFlow"]
    assert "In 3 of 15 runs step times had not settled" in drawn.caption


@pytest.mark.parametrize("span", [(0.98, 1.03), (0.2, 1.1), (0.5, 3), (0.01, 40), (1e-6, 1e7), (0.9, 2.6)])
def test_ticks_of_a_ratio_do_not_overlap(span):
    line = dict(zip(forest.COLUMNS, ["", "article-cnn, batch 128", "0.62 (0.57–0.67)"], strict=False))
    line |= {"ratio": 1.0, "ci_low": span[0], "ci_high": span[1], "colour": "#000000", "marker": "o"}
    with drawing.style(languages.load("en")):
        figure, (axes,) = drawing.panels([0.5], "", "")
        forest.draw(axes, pd.DataFrame([line | {"shown": True, "barred": False}]))
        figure.draw_without_rendering()
        ticks = [tick.get_window_extent() for tick in axes.get_xticklabels()]
    assert 1 <= len(ticks) <= forest.MOST_TICKS
    assert all(one.x1 < other.x0 for one, other in pairwise(ticks))


def test_workloads_of_which_the_same_is_to_be_said_share_a_sentence():
    blocks = [("article-cnn", "device", 128), ("vgg-cnn", "device", 64)]
    tables = simulated.campaign(tracks=["default", "tuned"], blocks=blocks)
    measurements = tables.measurements
    of_vgg = (measurements["workload"] == "vgg-cnn") & (measurements["framework"] == "pytorch")
    measurements.loc[of_vgg & (measurements["track"] == "tuned"), "minor_faults_per_step"] = 40
    said = effects.reasons(measurements, tables.effects, SIZES, languages.load("en"), LABELS)
    assert [sentence.split(":")[0] for sentence in said] == [
        "Keras (TensorFlow), article-cnn, vgg-cnn",
        "PyTorch, article-cnn",
        "PyTorch, vgg-cnn",
        "TensorFlow, article-cnn, vgg-cnn",
    ]


def test_after_how_many_samples_tuning_has_paid_is_said_where_a_gain_is_shown():
    tables = simulated.campaign(tracks=["default", "tuned"], blocks=[("article-cnn", "device", 128)])
    runs = tables.measurements
    runs.loc[(runs["framework"] == "tensorflow") & (runs["track"] == "tuned"), "time_to_first_step_s"] += 2
    table = payback.payback(runs, 0.95)
    said = effects.paybacks(runs, table, SIZES, languages.load("en"), LABELS)
    no_gain, at_once, after = table.sort_values("framework").to_dict("records")
    assert [row["verdict"] for row in (no_gain, at_once, after)] == [payback.NO_GAIN, payback.AT_ONCE, payback.AFTER]
    assert said == [
        "PyTorch, article-cnn: starting takes no longer, so it pays at once",
        f"TensorFlow, article-cnn: starting takes {after['extra_s']:.2g} s longer, made up for after "
        f"{after['images']:,.0f} samples ({after['images_low']:,.0f}–{after['images_high']:,.0f})",
    ]
    slower = table.assign(verdict=payback.NEVER)
    for name in languages.languages():
        assert len(effects.paybacks(runs, slower, SIZES, languages.load(name), LABELS)) == 3


def configured(*entries):
    """config.yaml with one matrix entry per (tracks, inputs, batch sizes)."""
    default = config.load(config.readable(catalogue.ROOT / "config.yaml"), "config.yaml")
    keys = ("tracks", "inputs", "batch_sizes")
    matrix = tuple(replace(default.matrix[0], **dict(zip(keys, map(tuple, entry), strict=True))) for entry in entries)
    h200 = Gpu("h200", "GPU-1", "NVIDIA H200", None, None, "host")
    return replace(default, devices=("cpu", "h200"), gpus=(h200,), matrix=matrix)


@pytest.mark.parametrize(
    ("entries", "effects"),
    [
        ([(["default"], ["device"], [32, 128])], False),
        ([(["default"], ["device"], [32]), (["default"], ["host"], [128])], False),
        ([(["default"], ["device"], [32, 128]), (["default"], ["host"], [128])], True),
        ([(["default"], ["device"], [32]), (["tuned"], ["device"], [32])], True),
        ([(["default"], ["device"], [32]), (["tuned"], ["device"], [128])], False),
    ],
)
def test_a_campaign_has_the_figures_that_it_has_something_for(entries, effects):
    found = of_campaign(configured(*entries))
    assert {"article-cpu", "article-h200", "throughput", "ratio", "memory", "warmup", "first-step", "campaign"} <= {
        *found
    }
    assert ("effects" in found) == effects
    assert {"gpu-memory", "energy", "devices"} <= set(found)


def test_a_campaign_on_the_cpu_alone_has_no_figures_of_gpus_or_of_several_devices():
    alone = replace(configured((["default"], ["device"], [32])), devices=("cpu",), gpus=())
    assert not {"gpu-memory", "energy", "devices"} & set(of_campaign(alone))


def save(figure, folder, name, language):
    drawing.save(figure, folder / f"{name}.svg", folder / f"{name}.png", folder / f"{name}.txt", language)


def texts(figure):
    figure.draw_without_rendering()  # makes the tick labels
    return shown(figure)


def shown(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible()]


def check_extent(figure):
    """Every character has a glyph, no text is smaller than 9 pixels on a phone, and none extends beyond the sides."""
    before = texts(figure)
    figure.set_layout_engine("none")  # it is finished, and takes most of the next drawing
    fonts.replace_glyphs(figure, KOREAN)
    assert shown(figure) == before
    beside_the_axis = {tick for axes in figure.axes for tick in axes.get_xticklabels()}
    for text in set(figure.findobj(Text)) - beside_the_axis:
        if text.get_text():
            assert text.get_fontsize() * PHONE_PX / (72 * drawing.WIDTH_IN) >= 9, text
            assert text.get_window_extent().x0 >= -1, text
            assert text.get_window_extent().x1 <= figure.bbox.x1, text


def of_campaign(configuration):
    """The figures of a configuration's measurements."""
    return registry.names(registry.Scope(matrix.cells(configuration), configuration.on_gpus))


SITUATIONS = {
    "usual": {},
    "both tracks, a busy round": {"tracks": ["default", "tuned"], "busy_rounds": [2]},
    "one framework": {"frameworks": ["tensorflow"], "tracks": ["default", "tuned"]},
    "one framework, one batch size, a long title": {
        "frameworks": ["tensorflow"],
        "blocks": [("resnet50-features", "device", 32)],
    },
    "one round": {"rounds": 1},
    "six frameworks, six batch sizes": {
        "frameworks": list(LABELS),
        "blocks": [("article-cnn", "device", 2**i) for i in range(3, 9)],
    },
    "failed cells": {"failed": [("pytorch", "article-cnn", 32), ("tensorflow", "article-cnn", 128)]},
    "nothing but failures": {
        "failed": [(name, "article-cnn", size) for name in simulated.THREE for size in (32, 128)],
    },
    "no interval": {"rounds": 2},
    "two precisions": {"precisions": ["float32", "bfloat16"]},
    "no float32": {"precisions": ["bfloat16"]},
    "not comparable": {"uncertified": ["pytorch"]},
    "two GPUs": {"gpus": {"h200": "NVIDIA H200", "l4": "NVIDIA L4"}, "precisions": ["float32", "bfloat16"]},
    "a GPU of which others published": {"gpus": {"p100": "Tesla P100-PCIE-16GB"}},
    "a GPU, failed cells": {"gpus": {"l4": HOSTILE}, "failed": [("pytorch", "article-cnn", 32)]},
}


def figures(tables, language):
    """Every figure of measurements, by its name."""
    published = {name: pd.read_csv(catalogue.ROOT / given.resource(name)) for name in ("rosetta_2018", "papers_2018")}
    values = tables.by_name() | published | {"confidence": 0.95, "baseline": "tensorflow"}
    values["question"] = simulated.QUESTION
    scope = registry.scope_of(tables.measurements.to_dict("records"))
    return {name: command.draw(name, values, language) for name in registry.names(scope)}


IN_ENGLISH = ("usual", "one framework, one batch size, a long title")  # which is longer there
# A few before every commit; all of them take a minute and a half.
IN_CHECK = ("usual", "failed cells")


@pytest.mark.parametrize(
    ("situation", "name"),
    [
        pytest.param(situation, name, marks=() if situation in IN_CHECK else pytest.mark.test)
        for name, situations in {"en": IN_ENGLISH, "ko": SITUATIONS}.items()
        for situation in situations
    ],
)
def test_every_figure_draws_without_a_warning_and_nothing_sticks_out(situation, name):
    tables = simulated.campaign(noise=0.05, device_name=HOSTILE, **SITUATIONS[situation])
    language = languages.load(name)
    with warnings.catch_warnings(), drawing.style(language):
        warnings.simplefilter("error")
        for figure in figures(tables, language).values():
            check_extent(figure)


def test_the_tracks_stand_in_panels_of_their_own():
    tables = simulated.campaign(tracks=["default", "tuned"], rounds=3)
    language = languages.load("en")
    with drawing.style(language):
        drawn = figures(tables, language)
    titles = {name: [" ".join(axes.get_title(loc="left").split()) for axes in drawn[name].axes] for name in drawn}
    assert list(filter(None, titles["ratio"])) == ["default settings", "tuned settings"]
    for name in ("throughput", "memory", "warmup", "first-step"):
        assert [("tuned settings" in title) for title in titles[name] if title] == [False, True] * 2, name


def test_the_precisions_stand_in_panels_and_lines_of_their_own():
    tables = simulated.campaign(precisions=["float32", "bfloat16"], rounds=3)
    language = languages.load("en")
    with drawing.style(language):
        drawn = figures(tables, language)
    titles = {name: [axes.get_title(loc="left") for axes in drawn[name].axes] for name in drawn}
    for name in ("throughput", "memory", "warmup", "first-step"):
        assert [("bfloat16" in title) for title in titles[name] if title] == [True, False] * 2, name
    for name in ("ratio", "effects"):
        lines = [text for text in texts(drawn[name]) if text.startswith("article-cnn, batch")]
        assert sum("bfloat16" in line for line in lines) == len(lines) / 2 > 0, name
    assert not any("bfloat16" in text for text in texts(drawn["article-cpu"]))


def test_no_number_is_made_of_runs_in_two_precisions():
    both = simulated.campaign(precisions=["float32", "bfloat16"])
    for precision in ("float32", "bfloat16"):
        alone = simulated.campaign(precisions=[precision])
        of_both = over_batch_size.summary(both.measurements, 0.95)
        of_both = of_both[of_both["precision"] == precision].reset_index(drop=True)
        pd.testing.assert_frame_equal(of_both, over_batch_size.summary(alone.measurements, 0.95))
        compared = both.comparisons[both.comparisons["precision"] == precision]
        assert list(compared["ratio"]) == pytest.approx(list(alone.comparisons["ratio"]))
        assert len(both.comparisons) == 2 * len(compared) == 2 * len(alone.comparisons)
    percent = campaign.residuals(both.measurements)["percent"]
    assert percent.abs().max() < 3  # 1 % more a round; bfloat16 has half the speed of float32
    assert list(of_article(both)["ratio"]) == pytest.approx([3, 2, 1])


def test_there_is_no_chart_in_the_articles_form_without_float32():
    configuration = configured((["default"], ["device"], [32]))
    lower = replace(configuration, matrix=(replace(configuration.matrix[0], precisions=("bfloat16",)),))
    assert not any(name.startswith(("article-cpu", "article-h200")) for name in of_campaign(lower))


def searches(devices=("h200", "l4"), **changes):
    """A table of searches for the largest batch, 1,000 images with TensorFlow; `changes` for PyTorch's."""
    frameworks = {"tensorflow": {"largest": 1000}, "pytorch": {"largest": 2000} | changes}
    rows = [
        {
            **{"device": device, "workload": workload, "framework": framework, "precision": precision},
            **{"status": "ok", "bound": "out_of_memory", "reason": "batch 3000: no room"},
            **{"gpu_memory_total_mib": 143_000.0, "host_memory_mib": math.nan, "device_name": HOSTILE},
            **{"framework_version": "1.0", "threads": 2, "started_unix_s": 1.7e9, "flags": math.nan},
            **found,
        }
        for device in devices
        for workload in SIZES
        for precision in ("float32", "bfloat16")
        for framework, found in frameworks.items()
    ]
    return pd.DataFrame(rows)


FAILED = {"status": "failed", "largest": math.nan, "bound": math.nan, "reason": f"batch 3000: {HOSTILE}"}


@pytest.mark.parametrize(
    ("table", "name"),
    [
        # The longer texts are in English.
        (searches(), "ko"),
        (searches(devices=["h100-1"], bound="at_most"), "en"),
        (searches(devices=[f"h100-{i}" for i in range(8)], largest=65_536, bound="at_most"), "en"),
        (searches(**FAILED), "en"),
        (searches(devices=["cpu"], host_memory_mib=4096, gpu_memory_total_mib=math.nan, device_name=math.nan), "ko"),
        (searches(**FAILED).query("framework == 'pytorch'"), "ko"),
        (searches(flags="other_process_on_gpu;stand_in"), "en"),
    ],
)
def test_the_largest_batch_draws_without_a_warning_and_nothing_sticks_out(table, name):
    language = languages.load(name)
    with warnings.catch_warnings(), drawing.style(language):
        warnings.simplefilter("error")
        check_extent(largest_batch.draw(table, language=language, labels=LABELS))


def of_largest_batch(table):
    language = languages.load("en")
    with drawing.style(language):
        figure = largest_batch.draw(table, language=language, labels=LABELS)
        return [*texts(figure), *figure.caption.split("\n")]


def test_the_largest_batch_stands_at_each_bar_under_its_device_on_one_scale():
    table = searches()
    table.loc[table["device"] == "l4", "largest"] /= 4
    # The other numbers stand on the axes too.
    said = of_largest_batch(table)
    of_each_device = len(SIZES) * len(("float32", "bfloat16"))
    assert (said.count("2,000"), said.count("250")) == (of_each_device, of_each_device)
    assert "article-cnn · float32" in said
    language = languages.load("en")
    with drawing.style(language):
        first, second, *_ = largest_batch.draw(table, language=language, labels=LABELS).axes
    headings = [text.get_text() for text in first.texts]
    assert headings == ["h200", "l4"]
    assert first.get_xlim() == second.get_xlim()
    assert [name for name, _ in bars(first)].count("pytorch") == 2


def test_a_largest_batch_beyond_which_none_was_tried_is_shown_as_such():
    said = of_largest_batch(searches(bound="at_most"))
    searched = len(searches()) // 2
    assert (said.count("≥ 2,000"), said.count("1,000")) == (searched, searched)


def test_a_search_that_found_none_is_a_gap_with_its_reason():
    said = of_largest_batch(searches(**FAILED | {"reason": "batch 3000: KeyError: x"}))
    assert said.count("failed") == len(searches()) // 2
    assert any("PyTorch, article-cnn, float32, l4: batch 3000: KeyError: x" in text for text in said)
    said = of_largest_batch(searches()[:-1])
    assert said.count("not measured") == 1


def test_under_the_largest_batch_stand_the_memory_it_has_and_what_disturbed_the_search():
    said = "\n".join(of_largest_batch(searches()))
    assert "h200: 143,000 MiB of GPU memory" in said
    assert "Searched 2023-11-14 (UTC)" in " ".join(said.split())
    assert "stand-in" not in said and "Another process" not in said
    said = " ".join("\n".join(of_largest_batch(searches(flags="other_process_on_gpu;stand_in"))).split())
    assert "made with a stand-in for the NVIDIA driver" in said
    assert "may have taken memory: h200, l4" in said
    on_cpu = searches(devices=["cpu"], host_memory_mib=4096, gpu_memory_total_mib=math.nan)
    assert "cpu: 4,096 MiB of host memory allowed to the process" in "\n".join(of_largest_batch(on_cpu))


def test_there_is_a_figure_of_the_largest_batch_where_it_is_searched():
    without = configured((["default"], ["device"], [32]))
    asked = replace(without, largest_batch=config.LargestBatch(1024, 32768, None))
    for found, searched in ((asked, True), (without, False), (replace(asked, devices=("cpu",)), False)):
        assert bool(matrix.largest_batch_paths(found)) == searched
        assert ("largest-batch" in registry.names(registry.Scope(searched=searched))) == searched


def test_a_value_that_no_run_has_leaves_a_gap_and_no_error():
    tables = simulated.campaign(noise=0.05)
    tables.by_name()  # made while there is every column
    for column in ["time_to_first_step_s", "warmup_converged", "started_unix_s", "host_rss_training_peak_mib"]:
        tables.measurements[column] = None
    language = languages.load("en")
    with drawing.style(language):
        drawn = figures(tables, language)
        assert texts(drawn["first-step"]).count("not measured") == 6
        assert texts(drawn["memory"]).count("not measured") == 9


def test_a_footer_has_two_lines_and_in_full_stands_in_the_caption_where_they_are_too_few():
    language = languages.load("en")
    with drawing.style(language):
        drawn = figures(simulated.campaign(), language)
        long = figures(simulated.campaign(device_name=HOSTILE), language)
    for name, figure in drawn.items():
        assert len(figure.get_supxlabel().split("\n")) <= 2, name
    assert "TensorFlow\N{NO-BREAK SPACE}1.0" in drawn["memory"].get_supxlabel()
    assert "TensorFlow\N{NO-BREAK SPACE}1.0" not in drawn["memory"].caption
    assert long["memory"].get_supxlabel().count("\n") == 1 and long["memory"].get_supxlabel().endswith(" …")
    assert HOSTILE.strip() in long["memory"].caption


@pytest.mark.parametrize("name", languages.languages())
@pytest.mark.parametrize("gpu", rosetta.GPUS)
def test_the_articles_charts_draw_without_a_warning(gpu, name, tmp_path):
    language = languages.load(name)
    with warnings.catch_warnings(), drawing.style(language):
        warnings.simplefilter("error")
        figure = article_2018.draw(pd.read_csv(PUBLISHED), gpu, language)
        save(figure, tmp_path, "a", language)
    assert (tmp_path / "a.png").stat().st_size > 10_000
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert language[f"problem_{next(iter(rosetta.WORKLOADS))}"] in set(ElementTree.fromstring(svg).itertext())
    families = set(re.findall(r"font-family: ([^;\"]+)", svg))
    assert families == {", ".join([*(f"'{font}'" for font in language.fonts), "sans-serif"])}
    assert (tmp_path / "a.txt").read_text(encoding="utf-8").splitlines()[0] == language["slips"].split("\n")[0]


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    language = languages.load("ko")
    tables = simulated.campaign(tracks=["default", "tuned"], rounds=1)
    for i in (1, 2):
        with drawing.style(language):
            figure = memory.draw(tables.measurements, language=language, labels=LABELS)
            save(figure, tmp_path, str(i), language)
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_a_glyph_that_no_font_has_is_replaced_where_a_record_has_it_and_an_error_where_a_language_does(tmp_path):
    language = languages.load("en")
    measurements = simulated.campaign(device_name="CPU \U00013000").measurements
    with drawing.style(language):
        figure = memory.draw(measurements, language=language, labels=LABELS)
        own = replace(language, texts={**language.texts, "fonts_note": "\U00013000"})
        with pytest.raises(fonts.FontError, match=r"have no glyph for \U00013000; .*`fc-list :charset=13000` lists"):
            save(figure, tmp_path, "a", own)
        save(figure, tmp_path, "a", language)
        assert any(text.startswith("CPU ?") for text in texts(figure))


def test_korean_is_drawn_in_the_regular_and_the_bold_nanum_gothic():
    with drawing.style(languages.load("ko")):
        regular = font_manager.findfont("NanumGothic", fallback_to_default=False)
        bold = font_manager.FontProperties(family="NanumGothic", weight="bold")
        assert Path(regular).name == "NanumGothic.ttf"
        assert Path(font_manager.findfont(bold)).name == "NanumGothicExtraBold.ttf"


def test_a_framework_keeps_its_colour_whatever_it_is_drawn_with():
    assert drawing.framework_styles(LABELS)["pytorch"] == drawing.framework_styles(["pytorch"])["pytorch"]
    assert len(set(drawing.framework_styles([*LABELS, "mxnet", "tinygrad"]).values())) == 8


def test_the_date_is_the_records_and_in_utc():
    measurements = simulated.campaign(device_name="CPU").measurements
    text = drawing.provenance(measurements, languages.load("en"), LABELS)
    assert text == (
        "CPU; CPU threads: 2\n2023-11-14 / 2023-11-15 (UTC); rounds: 5\n"
        "Keras\N{NO-BREAK SPACE}2.0, PyTorch\N{NO-BREAK SPACE}3.0, TensorFlow\N{NO-BREAK SPACE}1.0"
    )


def run(monkeypatch, tmp_path, arguments):
    monkeypatch.chdir(tmp_path)
    outputs = ["--output-svg", "a.svg", "--output-png", "a.png", "--output-caption", "a.txt"]
    command.main([*arguments.split(), *outputs])


def test_the_command_draws_the_articles_chart_from_the_resource_alone(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path, f"article-2018-k80 --language ko --rosetta-2018 {PUBLISHED}")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


TABLES = ["measurements", "comparisons", "effects", "payback", "warmup", "order", "limits", "literature"]
SETTINGS = {"confidence": 0.95, "baseline": "tensorflow", "question": simulated.QUESTION}


def options_of(name):
    """The options of a figure: files by the names of the tables."""
    figure, _ = registry.find(name)
    files = {need: f"{need}.csv" for need in figure.needs if need in TABLES}
    return " ".join(given.words(files | {setting: SETTINGS[setting] for setting in figure.settings}))


# One of each kind of input that figures are drawn from.
@pytest.mark.parametrize("name", ["article-cpu", "then-and-now-cpu", "throughput", "effects", "warmup", "energy"])
def test_the_command_draws_a_figure_of_measurements(name, monkeypatch, tmp_path):
    gpus = {"l4": "NVIDIA L4"} if name in ("energy", "gpu-memory") else None
    blocks = OF_THE_ARTICLE if name == "then-and-now-cpu" else simulated.OF_ARTICLE
    tables = simulated.campaign(tracks=["default", "tuned"], rounds=3, gpus=gpus, blocks=blocks)
    for table in TABLES:
        getattr(tables, table).to_csv(tmp_path / f"{table}.csv", index=False)
    run(monkeypatch, tmp_path, f"{name} --language en {options_of(name)}")
    assert (tmp_path / "a.png").exists()


def test_the_command_draws_the_largest_batch_from_its_table_alone(monkeypatch, tmp_path):
    searches().reindex(columns=list(OF_SEARCHES)).to_csv(tmp_path / "largest.csv", index=False)
    run(monkeypatch, tmp_path, "largest-batch --language ko --largest-batch largest.csv")
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize("name", ["largest-batch", "memory", "campaign"])
def test_the_command_names_what_a_figure_needs(name, monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, f"{name} --language en")
    needs = registry.find(name)[0].needs
    assert all(f"--{need.replace('_', '-')}" in capsys.readouterr().err for need in needs[-1:])


OF_PAIRS = "--measurements measurements.csv --comparisons comparisons.csv --baseline tensorflow"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("bars", "unknown figure 'bars'; there is: article-<device>, .*article-2018-<gpu>, .*timeline-<device>$"),
        ("article-2018-v100 --language en", "nothing was published of 'V100'; there is: P100, K80$"),
        ("memory --language tlh --measurements measurements.csv", "unknown language 'tlh'; there is: en, ko$"),
        ("article-2018-k80 --language en --rosetta-2018 none.csv", "none.csv"),
        (
            "energy --language en --measurements measurements.csv --confidence 0.95",
            "this figure shows GPUs, and none was measured$",
        ),
        (
            f"then-and-now-cpu --language en {OF_PAIRS}",
            "device 'cpu' has no measurements of vgg-cnn, gru-imdb, resnet50-features in float32 to draw$",
        ),
        (f"article-h200 --language en {OF_PAIRS}", "device 'h200'; there is: cpu$"),
        (
            f"article-cpu --language en {OF_PAIRS.replace('tensorflow', 'jax')}",
            "framework 'jax'; there is: keras-tensorflow, pytorch, tensorflow$",
        ),
    ],
)
def test_the_command_refuses_in_one_line(arguments, error, monkeypatch, tmp_path):
    tables = simulated.campaign(rounds=1)
    tables.measurements.to_csv(tmp_path / "measurements.csv", index=False)
    tables.comparisons.to_csv(tmp_path / "comparisons.csv", index=False)
    with pytest.raises(SystemExit, match=error) as refused:
        run(monkeypatch, tmp_path, arguments)
    assert str(refused.value).startswith("error: ")
    assert "\n" not in str(refused.value)


def test_results_of_the_stand_in_say_so_under_every_figure():
    measurements = simulated.campaign(rounds=1).measurements
    language = languages.load("en")
    assert "stand-in" not in drawing.provenance(measurements, language, LABELS)
    measurements.loc[3, "flags"] = "busy_machine;stand_in"
    said = drawing.provenance(measurements, language, LABELS)
    assert said.startswith(language["stand_in"])
    with drawing.style(language):
        footer = drawing.new_figure(1, "", said).get_supxlabel()
    assert " ".join(footer.split()).startswith(language["stand_in"])  # whole, above the two lines


def test_the_footer_tells_the_rounds_of_cells_that_differ_in_them():
    measurements = simulated.campaign().measurements
    fewer = measurements[(measurements["framework"] != "pytorch") | (measurements["round"] <= 4)]
    language = languages.load("en")
    assert "rounds: 5" in drawing.provenance(measurements, language, LABELS)
    assert "rounds: 4–5" in drawing.provenance(fewer, language, LABELS)


def test_tuned_runs_stand_only_beside_default_runs_of_the_same_input():
    runs = simulated.campaign(tracks=["default", "tuned"], rounds=1).measurements
    assert set(selection.both_tracks(runs, SIZES)["track"]) == {"default", "tuned"}
    assert set(selection.both_tracks(runs, SIZES)["input"]) == {"device"}
    only_host_tuned = runs[(runs["track"] == "default") | (runs["input"] == "host")]
    assert set(selection.both_tracks(only_host_tuned, SIZES)["track"]) == {"default"}
