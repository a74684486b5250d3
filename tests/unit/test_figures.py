"""Figures show what the tables say, in every language, gaps and odd names included."""

import csv
import math
import sys
import warnings
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager

from framebench import languages
from framebench.analyse.comparisons import COLUMNS
from framebench.figures import __main__ as command
from framebench.figures import article, article_2018, drawing, memory, ratio, throughput

PUBLISHED = Path(__file__).parents[2] / "workflow/resources/rosetta-2018.csv"
LABELS = {
    "tensorflow": "TensorFlow",
    "keras-tensorflow": "Keras (TensorFlow)",
    "pytorch": "PyTorch",
    "jax": "JAX",
    "keras-jax": "Keras (JAX)",
    "keras-torch": "Keras (PyTorch)",
}
THREE = ["tensorflow", "keras-tensorflow", "pytorch"]
SIZES = {"article-cnn": 128, "vgg-cnn": 64}
OF_ARTICLE = [("article-cnn", "device", 32), ("article-cnn", "device", 128), ("article-cnn", "host", 128)]
OF_RUN = ["reason", "images_per_s", "host_rss_import_mib", "host_rss_built_mib", "host_rss_training_peak_mib"]
HOSTILE = r"Tesla_$P$100 {x}^2 \frac% & <b> " + "and so on " * 20


def tables(*, frameworks=THREE, blocks=OF_ARTICLE, rounds=5, failed=(), not_comparable=(), device_name=HOSTILE):
    """measurements and comparisons, with the speeds 1000, 2000, … images/s in the order of `frameworks`.

    `failed` holds (framework, workload, batch size), `not_comparable` frameworks.
    """
    runs, compared = [], []
    for workload, input, batch_size in blocks:
        block = {"device": "cpu", "workload": workload, "track": "default", "precision": "float32"}
        block |= {"input": input, "batch_size": batch_size}
        broken = {framework for framework in frameworks if (framework, workload, batch_size) in failed}
        for i, framework in enumerate(frameworks, start=1):
            for round_ in range(1, rounds + 1):
                run = {"framework": framework, "round": round_, "device_name": device_name, "threads": 2}
                run |= {"framework_version": f"{i}.0", "started_unix_s": 1_700_000_000 + 3600 * round_}
                if framework in broken:
                    run |= {"status": "out_of_memory", "reason": "std::bad_alloc"}
                else:
                    run |= {"status": "ok", "images_per_s": 1000 * i * (1 + 0.01 * round_)}
                    run |= {"host_rss_import_mib": 500, "host_rss_built_mib": 600, "host_rss_training_peak_mib": 900}
                runs.append(block | run)
        for (i, framework), (j, reference) in permutations(enumerate(frameworks, start=1), 2):
            row = {"framework": framework, "reference": reference, "confidence": 0.95, "rounds": rounds}
            if broken & {framework, reference}:
                row["verdict"] = "not comparable: out of memory"
            else:
                row |= {"ratio": i / j, "verdict": "faster" if i > j else "slower"}
                if rounds > 2:
                    row |= {"ci_low": 0.9 * i / j, "ci_high": 1.1 * i / j}
                else:
                    row["verdict"] = f"not comparable: only {rounds} rounds, an interval needs 3"
            if {framework, reference} & set(not_comparable):
                row["verdict"] = "not comparable: no valid certificate"
            compared.append(block | row)
    return (
        pd.DataFrame(runs).reindex(columns=[*runs[0], *(column for column in OF_RUN if column not in runs[0])]),
        pd.DataFrame(compared, columns=list(COLUMNS)),
    )


def published_time(framework, problem, gpu):
    """Straight from the text of the resource, by the name printed there."""
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


def test_the_article_form_shows_ratios_to_the_baseline_at_the_articles_batch_size():
    measurements, comparisons = tables()
    speeds = article.relative_speeds(measurements, comparisons, "cpu", "tensorflow", SIZES)
    assert list(speeds["framework"]) == ["pytorch", "keras-tensorflow", "tensorflow"]
    assert list(speeds["ratio"]) == [3, 2, 1]
    assert set(speeds["batch_size"]) == {128}
    assert set(speeds["input"]) == {"device"}
    assert np.isnan(speeds["ci_low"].iloc[-1])


def test_the_article_form_is_sorted_by_the_gru_where_there_is_one():
    measurements, comparisons = tables(blocks=[("article-cnn", "device", 128), ("gru-imdb", "device", 64)])
    of_gru = comparisons["workload"] == "gru-imdb"
    comparisons.loc[of_gru & (comparisons["framework"] == "keras-tensorflow"), "ratio"] = 9.0
    speeds = article.relative_speeds(
        measurements, comparisons, "cpu", "tensorflow", {"article-cnn": 128, "gru-imdb": 64}
    )
    assert list(speeds["framework"].unique()) == ["keras-tensorflow", "pytorch", "tensorflow"]


def test_the_article_form_keeps_failed_and_missing_cells():
    blocks = [("article-cnn", "device", 128), ("vgg-cnn", "device", 64)]
    measurements, comparisons = tables(blocks=blocks, failed=[("pytorch", "article-cnn", 128)])
    missing = (measurements["framework"] == "keras-tensorflow") & (measurements["workload"] == "vgg-cnn")
    speeds = article.relative_speeds(measurements[~missing], comparisons.iloc[:0], "cpu", "tensorflow", SIZES)
    states = speeds.set_index(["framework", "workload"])["state"]
    assert states["pytorch", "article-cnn"] == "out_of_memory"
    assert states["keras-tensorflow", "vgg-cnn"] == "not_measured"
    assert len(states) == 6


def test_throughput_sums_up_each_cell_and_leaves_failed_ones_without_numbers():
    measurements, _ = tables(failed=[("pytorch", "article-cnn", 32)])
    summary = throughput.summary(measurements, 0.95).set_index(["framework", "input", "batch_size"])
    cell = summary.loc["keras-tensorflow", "device", 128]
    assert cell["mean"] == pytest.approx(math.prod(2000 * (1 + 0.01 * r) for r in range(1, 6)) ** 0.2)
    assert cell["low"] < 2060 < cell["high"]
    failed = summary.loc["pytorch", "device", 32]
    assert failed["state"] == "out_of_memory"
    assert failed[["mean", "low", "high"]].isna().all()


def test_two_rounds_have_a_mean_but_no_interval():
    summary = throughput.summary(tables(rounds=2)[0], 0.95)
    assert summary["mean"].notna().all()
    assert summary[["low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize("wanted", [[1.0], [5.0, 1.0, 1.1], [0.0, 0.0, 0.0, 0.0], [1, 1.9, 2.8, 3.7]])
def test_labels_stand_apart_in_their_order(wanted):
    places = np.array(throughput.spread(wanted, 1.0))
    order = np.argsort(wanted, kind="stable")
    assert np.all(np.diff(places[order]) >= 1 - 1e-9)


def test_labels_that_have_room_stay_where_they_are():
    assert throughput.spread([7.0, 1.0, 3.0], 1.0) == [7.0, 1.0, 3.0]


def test_the_forest_begins_with_the_question_and_has_every_pair_once():
    _, comparisons = tables()
    rows = ratio.forest(comparisons, "tensorflow")
    pairs = list(rows[["framework", "reference"]].drop_duplicates().itertuples(index=False, name=None))
    question = ("pytorch", "keras-tensorflow")
    assert pairs == [question, ("keras-tensorflow", "tensorflow"), ("pytorch", "tensorflow")]
    assert len(rows) == 9


def test_memory_levels_never_fall():
    measurements, _ = tables()
    measurements["host_rss_built_mib"] = 400
    levels = memory.levels(measurements)
    assert (levels["host_rss_built_mib"] == 500).all()
    assert (levels["host_rss_training_peak_mib"] == 900).all()


SITUATIONS = {
    "usual": {},
    "one framework": {"frameworks": ["tensorflow"]},
    "six frameworks, six batch sizes": {
        "frameworks": list(LABELS),
        "blocks": [("article-cnn", "device", 2**i) for i in range(3, 9)],
    },
    "failed cells": {"failed": [("pytorch", "article-cnn", 32), ("tensorflow", "article-cnn", 128)]},
    "nothing but failures": {"failed": [(name, "article-cnn", size) for name in THREE for size in (32, 128)]},
    "no interval": {"rounds": 2},
    "not comparable": {"not_comparable": ["pytorch"]},
}


@pytest.mark.parametrize("name", languages.languages())
@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_figure_draws_without_a_warning(situation, name):
    measurements, comparisons = tables(**SITUATIONS[situation])
    language = languages.load(name)
    with warnings.catch_warnings(), drawing.style(language):
        warnings.simplefilter("error")
        for figure in [
            article.draw(measurements, comparisons, "cpu", "tensorflow", SIZES, language=language, labels=LABELS),
            throughput.draw(measurements, 0.95, language, LABELS),
            ratio.draw(measurements, comparisons, "tensorflow", language, LABELS),
            memory.draw(measurements, language, LABELS),
        ]:
            drawing.check_glyphs(figure)


@pytest.mark.parametrize("name", languages.languages())
@pytest.mark.parametrize("gpu", article_2018.GPUS)
def test_the_articles_charts_draw_without_a_warning(gpu, name, tmp_path):
    language = languages.load(name)
    with warnings.catch_warnings(), drawing.style(language):
        warnings.simplefilter("error")
        figure = article_2018.draw(pd.read_csv(PUBLISHED), gpu, language)
        drawing.save(figure, tmp_path / "a.svg", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_no_small_print_sticks_out_of_the_figure():
    measurements, comparisons = tables()
    language = languages.load("ko")
    with drawing.style(language):
        figure = article.draw(measurements, comparisons, "cpu", "tensorflow", SIZES, language=language, labels=LABELS)
        figure.draw_without_rendering()
        for text in figure.texts:
            assert text.get_window_extent().x1 <= figure.bbox.x1


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    language = languages.load("ko")
    measurements, comparisons = tables()
    for i in (1, 2):
        with drawing.style(language):
            figure = article.draw(
                measurements, comparisons, "cpu", "tensorflow", SIZES, language=language, labels=LABELS
            )
            drawing.save(figure, tmp_path / f"{i}.svg", tmp_path / f"{i}.png")
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_a_glyph_that_no_font_has_is_an_error(tmp_path):
    language = languages.load("en")
    measurements, _ = tables(device_name="CPU \U000e0041")
    with drawing.style(language):
        figure = memory.draw(measurements, language, LABELS)
        with pytest.raises(drawing.GlyphError, match=r"U\+E0041.*it stands in the text 'CPU"):
            drawing.save(figure, tmp_path / "a.svg", tmp_path / "a.png")


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
    measurements, _ = tables(device_name="CPU")
    text = drawing.provenance(measurements, languages.load("en"), LABELS)
    assert text == (
        "CPU; CPU threads: 2\nKeras (TensorFlow) 2.0, PyTorch 3.0, TensorFlow 1.0\n"
        "Measured 2023-11-14 / 2023-11-15 (UTC); rounds: 5"
    )


def run(monkeypatch, tmp_path, arguments):
    monkeypatch.chdir(tmp_path)
    outputs = ["--output-svg", "a.svg", "--output-png", "a.png"]
    monkeypatch.setattr(sys, "argv", ["figures", *arguments.split(), *outputs])
    command.main()


def test_the_command_draws_the_articles_chart_from_the_resource_alone(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path, f"article-2018-k80 --language ko --resource {PUBLISHED}")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["article-cpu", "throughput", "ratio", "memory"])
def test_the_command_draws_a_figure_of_measurements(name, monkeypatch, tmp_path):
    measurements, comparisons = tables()
    measurements.to_csv(tmp_path / "m.csv", index=False)
    comparisons.to_csv(tmp_path / "c.csv", index=False)
    run(monkeypatch, tmp_path, f"{name} --language en --measurements m.csv --comparisons c.csv")
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("bars --language en", "unknown figure 'bars'; there is: article-2018-p100, .*memory$"),
        ("article-2018-v100 --language en", "unknown figure 'article-2018-v100'; there is: "),
        ("memory --language tlh", "unknown language 'tlh'; there is: en, ko$"),
        ("memory --language en", "figure 'memory' needs --measurements$"),
        ("article-2018-k80 --language en --resource none.csv", "none.csv"),
        (
            "article-h200 --language en --measurements m.csv --comparisons c.csv",
            "device 'h200'; there is: cpu$",
        ),
        (
            "article-cpu --language en --measurements m.csv --comparisons c.csv --baseline jax",
            "framework 'jax'; there is: keras-tensorflow, pytorch, tensorflow$",
        ),
    ],
)
def test_the_command_refuses_in_one_line(arguments, error, monkeypatch, tmp_path):
    measurements, comparisons = tables()
    measurements.to_csv(tmp_path / "m.csv", index=False)
    comparisons.to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(SystemExit, match=error) as refused:
        run(monkeypatch, tmp_path, arguments)
    assert str(refused.value).startswith("error: ")
    assert "\n" not in str(refused.value)


def test_the_footer_tells_the_rounds_of_cells_that_differ_in_them():
    measurements, _ = tables(rounds=5)
    fewer = measurements[(measurements["framework"] != "pytorch") | (measurements["round"] <= 4)]
    language = languages.load("en")
    assert "rounds: 5" in drawing.provenance(measurements, language, LABELS)
    assert "rounds: 4–5" in drawing.provenance(fewer, language, LABELS)
