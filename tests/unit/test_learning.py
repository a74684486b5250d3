"""A framework that learns less than another in as many steps is detected; honest ones are not accused."""

import numpy as np
import pandas as pd
import pytest

from framebench.analyse.learning import learned_less

pytestmark = pytest.mark.check


def runs(framework: str, falls, steps=400, rounds=5, **columns) -> pd.DataFrame:
    frame = {
        "framework": framework,
        "status": "ok",
        "round": range(1, rounds + 1),
        "loss_first": 2.3,
        "loss_last": 2.3 - np.asarray(falls),
        "training_steps": steps,
    }
    return pd.DataFrame(frame | columns)


def test_one_that_learns_less_in_more_steps_is_told_with_both_numbers():
    less = runs("pytorch", [0.5, 0.52, 0.48, 0.55, 0.5], steps=500)
    more = runs("tensorflow", [1.5, 1.52, 1.48, 1.5, 1.55])
    said = "the loss of pytorch fell by 0.51, that of tensorflow by 1.51 in no more steps"
    assert learned_less(less, more) == learned_less(more, less) == said


@pytest.mark.parametrize(
    ("less", "more"),
    [
        # Slower, so that it has taken fewer steps.
        (runs("a", [0.5] * 5, steps=399), runs("b", [1.5] * 5)),
        # By less than what one path's jumps make.
        (runs("a", [1.30] * 5), runs("b", [1.5] * 5)),
        # In too few rounds.
        (runs("a", [0.5] * 2, rounds=2), runs("b", [1.5] * 2, rounds=2)),
        # Records of an earlier version, and of inference.
        (runs("a", [0.5] * 5).drop(columns="training_steps"), runs("b", [1.5] * 5)),
        (runs("a", [0.5] * 5, training_steps=None), runs("b", [1.5] * 5)),
        (runs("a", [0.5] * 5, status="failed"), runs("b", [1.5] * 5)),
    ],
)
def test_nothing_else_is(less, more):
    assert learned_less(less, more) == ""


def test_equal_falls_are_no_difference():
    assert learned_less(runs("a", [1.0] * 5), runs("b", [1.0] * 5)) == ""


def test_honest_frameworks_are_told_apart_by_chance_less_than_once_in_a_thousand_pairs():
    """Random scatter of the rounds alone; 2,000 pairs each of 3 and 5 rounds: 4 are expected at most."""
    generator = np.random.default_rng(1)
    told = 0
    for rounds in (3, 5):
        for _ in range(2000):
            falls = generator.normal(1.0, 0.3, (2, rounds))
            told += bool(learned_less(runs("a", falls[0], rounds=rounds), runs("b", falls[1], rounds=rounds)))
    assert told <= 16, "twice what two tests of 4,000 pairs give at the level"
