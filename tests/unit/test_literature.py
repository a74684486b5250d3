"""Published speeds are compared with ours on the same card and problem, and with nothing else."""

import pandas as pd
import pytest

from framebench.analyse import command, given, rosetta
from framebench.analyse.literature import COLUMNS, is_model, literature
from framebench.analyse.table import table, write_table
from framebench.plan.catalogue import ROOT
from runs import run

pytestmark = pytest.mark.check

PUBLISHED = pd.read_csv(ROOT / given.resource("published_speeds"))
OF_2018 = rosetta.points(pd.read_csv(ROOT / given.resource("rosetta_2018")))
POINT = {
    **{"gpu": "Tesla P100", "problem": "vgg-cnn", "framework": "pytorch", "year": 2018, "precision": "float32"},
    **{"batch_size": 64, "images_per_s": 200.0, "source": "a source", "differs": "this"},
}


def measured(*speeds: float, framework="pytorch", **changes) -> list[dict]:
    p100 = {"device": "p100", "device_name": "Tesla P100-PCIE-16GB", "workload": "vgg-cnn", "batch_size": 64}
    return [run(framework, number, speed, **p100 | changes) for number, speed in enumerate(speeds, start=1)]


def beside(records: list[dict], **changes) -> list[dict]:
    return literature(table(records), pd.DataFrame([POINT | changes]), 0.95).to_dict("records")


def test_ours_stands_beside_a_point_as_a_ratio_with_its_interval_and_the_reason_why_it_is_not_1():
    (row,) = beside(measured(300, 310, 290))
    assert list(row) == list(COLUMNS)
    assert row["images_per_s"] == pytest.approx((300 * 310 * 290) ** (1 / 3))
    assert row["ratio"] == pytest.approx(row["images_per_s"] / 200)
    assert row["ci_low"] < row["ratio"] < row["ci_high"]
    assert (row["device"], row["batch_size"], row["rounds"], row["differs"]) == ("p100", 64, 3, "this")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gpu": "NVIDIA H200"}, "no GPU of this model"),
        ({"problem": "resnet50-training"}, "problem resnet50-training on this GPU"),
        ({"framework": "CNTK"}, "framework CNTK on this GPU"),
        ({"precision": "tf32"}, "precision tf32 on this GPU"),
    ],
)
def test_a_point_that_nothing_is_beside_keeps_its_row_and_says_what_is_not_measured(changes, reason):
    (row,) = beside(measured(300, 310, 290), **changes)
    assert row["differs"] == f"not measured here: {reason}"
    assert row["published_images_per_s"] == 200
    assert pd.isna([row["ratio"], row["images_per_s"], row["device"]]).all()


def test_only_default_runs_that_are_ok_stand_beside_a_point():
    records = measured(900, 900, 900, track="tuned") + measured(None, None, None)
    (row,) = beside(records)
    assert row["differs"].startswith("not measured here") and pd.isna(row["ratio"])


def test_the_nearest_input_and_batch_size_is_compared_with_the_published_one():
    records = [
        *measured(100, 100, 100, batch_size=32),
        *measured(300, 300, 300, batch_size=96),
        *measured(70, 70, 70, batch_size=64, input="host"),
    ]
    (row,) = beside(records)
    assert (row["input"], row["batch_size"], row["images_per_s"]) == ("device", 96, pytest.approx(300))
    (row,) = beside(records, batch_size=None)
    assert row["batch_size"] == 96


def test_each_device_of_the_model_has_a_row_and_too_few_rounds_no_interval():
    rows = beside(measured(300, 310) + measured(290, 280, device="p100-2"))
    assert [row["device"] for row in rows] == ["p100", "p100-2"]
    assert pd.isna(rows[0]["ci_low"]) and rows[0]["ratio"] > 1


def test_a_model_is_the_card_itself_or_what_the_source_does_not_tell_apart():
    assert is_model("Tesla P100", "Tesla P100-SXM2-16GB") and is_model("NVIDIA H200", "NVIDIA H200")
    assert not is_model("NVIDIA H200", "NVIDIA H200 NVL")
    assert not is_model("Tesla P100", "Tesla P1000") and not is_model("Tesla K80", None)


def test_the_times_of_2018_are_speeds_by_the_samples_of_their_notebooks():
    speeds = OF_2018.set_index(["gpu", "problem", "framework"])["images_per_s"]
    assert speeds["Tesla P100", "vgg-cnn", "pytorch"] == pytest.approx(9801, abs=1)
    assert speeds["Tesla P100", "vgg-cnn", "tensorflow"] == pytest.approx(8769, abs=1)
    assert speeds["Tesla P100", "vgg-cnn", "keras-tensorflow"] == pytest.approx(6579, abs=1)
    assert speeds["Tesla K80", "gru-imdb", "pytorch"] == pytest.approx(74_880 / 31)
    assert speeds["Tesla P100", "resnet50-features", "tensorflow"] == pytest.approx(1000 / 1.8)
    assert OF_2018.notna().all(axis=None)


def test_every_point_has_a_source_and_names_a_card_and_what_differs():
    assert list(PUBLISHED.columns) == list(OF_2018.columns)
    assert PUBLISHED.drop(columns="batch_size").notna().all(axis=None)
    assert PUBLISHED["source"].str.startswith("https://").all()
    assert set(PUBLISHED["gpu"]) <= set(pd.read_csv(ROOT / given.resource("gpu_peaks"))["gpu"])
    assert not PUBLISHED.duplicated(["gpu", "problem", "framework", "precision", "source"]).any()


def test_the_command_lists_every_point_there_is(tmp_path):
    write_table(table(measured(300, 310, 290)), tmp_path / "m.csv")
    options = ["--measurements", str(tmp_path / "m.csv"), "--output", str(tmp_path / "literature.csv")]
    command.main(["literature", *options, "--confidence", "0.95"])
    frame = pd.read_csv(tmp_path / "literature.csv", dtype=COLUMNS)
    assert len(frame) == len(PUBLISHED) + len(OF_2018)
    (row,) = frame.dropna(subset="ratio").to_dict("records")
    assert (row["gpu"], row["problem"], row["framework"], row["year"]) == ("Tesla P100", "vgg-cnn", "pytorch", 2018)
    (tmp_path / "m.csv").write_text("a,b\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="is no table"):
        command.main(["literature", *options, "--confidence", "0.95"])
