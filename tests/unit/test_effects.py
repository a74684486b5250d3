"""Effects: the same framework, tuned or not, with either input."""

import json

import pandas as pd
import pytest

from framebench.analyse import command
from framebench.analyse.effects import COLUMNS, KEPT, NOT_SHOWN, effects
from framebench.analyse.statistics import METHOD, MIN_ROUNDS
from framebench.analyse.table import table, write_table
from framebench.plan import catalogue
from framebench.record import BLOCK
from runs import runs

pytestmark = pytest.mark.check

SPEEDS = {"pytorch": [100.0, 200.0, 150.0], "tensorflow": [300.0, 310.0, 290.0]}
TUNED = {"pytorch": [150.0, 330.0, 225.0], "tensorflow": [300.0, 310.0, None]}
HOST = {"pytorch": [90.0, 180.0, 135.0]}


def measurements() -> pd.DataFrame:
    records = runs(**SPEEDS) + runs({"track": "tuned"}, **TUNED) + runs({"input": "host"}, **HOST)
    return table(records + runs({"track": "tuned", "batch_size": 64}, pytorch=[1.0, 2.0, 3.0]))


def test_a_framework_has_a_row_for_each_effect_of_which_both_sides_were_measured():
    frame = effects(measurements(), 0.95)
    assert list(frame.columns) == list(COLUMNS) and frame["batch_size"].eq(32).all()
    pipeline, of_pytorch, of_tensorflow = frame.to_dict("records")
    assert (pipeline["effect"], pipeline["framework"], pipeline["track"]) == ("host ÷ device", "pytorch", "default")
    assert pipeline["ratio"] == pytest.approx(0.9) and pd.isna(pipeline["input"])
    assert pipeline["ci_low"] == pytest.approx(pipeline["ci_high"])
    assert (of_pytorch["effect"], of_pytorch["input"]) == ("tuned ÷ default", "device") and pd.isna(of_pytorch["track"])
    assert of_pytorch["ratio"] == pytest.approx((1.5 * 1.65 * 1.5) ** (1 / 3))
    assert of_pytorch["ci_low"] < of_pytorch["ratio"] < of_pytorch["ci_high"]
    assert (of_pytorch["rounds"], of_pytorch["confidence"], of_pytorch["method"]) == (3, 0.95, METHOD)
    assert of_tensorflow["rounds"] == MIN_ROUNDS - 1 and of_tensorflow["ratio"] == pytest.approx(1)
    assert pd.isna([of_tensorflow["ci_low"], of_tensorflow["ci_high"]]).all()


def test_a_side_that_never_ran_leaves_a_row_without_a_ratio():
    (row,) = effects(table(runs(**HOST) + runs({"input": "host"}, pytorch=[None])), 0.95).to_dict("records")
    assert pd.isna(row["ratio"]) and row["rounds"] == 0


def test_rounds_set_by_the_first_ones_give_the_wider_interval():
    records = runs(pytorch=[90.0, 110.0, 105.0, 101.0, 100.0, 102.0]) + runs({"input": "host"}, pytorch=[100.0] * 6)
    block = dict(zip(BLOCK, ("cpu", "article-cnn", "default", "float32", "host", 32), strict=True))
    plain, wider = (effects(table(records), 0.95, first).iloc[0] for first in ({}, {tuple(block.values()): 3}))
    assert wider["ci_low"] < plain["ci_low"] and wider["method"].endswith("the first 3")


def test_the_command_writes_what_the_function_returns(tmp_path):
    write_table(measurements(), tmp_path / "m.csv")
    options = ["--measurements", str(tmp_path / "m.csv"), "--output", str(tmp_path / "effects.csv"), "--confidence"]
    command.main(["effects", *options, "0.95"])
    frame = pd.read_csv(tmp_path / "effects.csv", dtype=COLUMNS)
    pd.testing.assert_frame_equal(frame, effects(measurements(), 0.95), check_exact=True)
    with pytest.raises(SystemExit, match=r"m\.csv: confidence is 0\.0, expected a level"):
        command.main(["effects", *options, "0"])


def test_one_track_and_one_input_have_no_effects():
    assert effects(table(runs(**SPEEDS)), 0.95).empty


def tuned(framework: str, tuning: dict, gain: float, spread: float = 0.01) -> list[dict]:
    """Five rounds of both tracks, the tuned one faster by a gain that scatters."""
    speeds = [100.0 * gain * (1 + spread * place) for place in (-2, -1, 0, 1, 2)]
    searched = [one | {"tuning": json.dumps(tuning)} for one in runs({"track": "tuned"}, **{framework: speeds})]
    return runs(**{framework: [100.0] * 5}) + searched


def test_defaults_that_were_kept_are_no_effect_and_cost_the_others_nothing():
    defaults = catalogue.adapter("tensorflow").defaults
    other = catalogue.adapter("pytorch").defaults | {"channels_last": True}
    frame = effects(table(tuned("tensorflow", defaults, 1.3) + tuned("pytorch", other, 1.3)), 0.95)
    pytorch, tensorflow = frame.to_dict("records")
    assert tensorflow["verdict"] == KEPT and pd.isna([tensorflow["p"], tensorflow["p_adjusted"]]).all()
    assert tensorflow["ratio"] > 1.29  # measured all the same
    assert pytorch["verdict"] == "faster" and pytorch["p_adjusted"] == pytorch["p"]


def test_a_verdict_on_an_effect_is_adjusted_for_the_number_of_effects():
    other = catalogue.adapter("pytorch").defaults | {"channels_last": True}
    blocks = [tuned("pytorch", other, 1.035, 0.015)]
    alone = effects(table(blocks[0]), 0.95).iloc[0]
    assert alone["verdict"] == "faster" and alone["ci_low"] > 1
    for size in (64, 128, 256):
        blocks.append([one | {"batch_size": size} for one in tuned("pytorch", other, 1.0, 0.015)])
    first = effects(table([one for block in blocks for one in block]), 0.95).iloc[0]
    assert first["p"] == pytest.approx(alone["p"]) and first["p_adjusted"] == pytest.approx(4 * alone["p"])
    # Its own interval excludes 1 as before.
    assert (first["verdict"], first["ci_low"]) == (NOT_SHOWN, alone["ci_low"])
    slower = effects(table(tuned("pytorch", other, 0.7)), 0.95).iloc[0]
    assert slower["verdict"] == "slower"
