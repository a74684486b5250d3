"""The search for the settings of track `tuned`, with known speeds."""

from collections.abc import Callable
from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from framebench.measure.tune import BLOCKS, PROCESSES, T95, Settings, Trial, bound, search, still_in

pytestmark = pytest.mark.check

OPTIONS = {"allocator": ("system", "other"), "layout": (False, True), "steps": (1, 10, 100)}
DEFAULT = {"allocator": "system", "layout": False, "steps": 1}
CYCLES = BLOCKS


def measured(speed: Callable[[Settings], float | None], calls: list | None = None):
    """Makes trials at these speeds, or failed ones where there is none; `calls` keeps the requests."""

    def run(stage: int, several: list[Settings]) -> list[Trial]:
        if calls is not None:
            calls.append((stage, several))
        return [
            Trial(
                settings,
                stage,
                [speed(settings)] * CYCLES if speed(settings) else [],
                None if speed(settings) else "crashed",
            )
            for settings in several
        ]

    return run


def factors(**of: dict) -> Callable[[Settings], float]:
    """A speed that is the product of the factors of these option values."""
    return lambda settings: 100 * float(np.prod([of[name].get(settings[name], 1) for name in of]))


def test_changes_that_help_are_tried_together_and_the_fastest_is_chosen():
    calls: list = []
    speed = factors(allocator={"other": 1.5}, layout={True: 0.5}, steps={10: 1.2, 100: 1.3})
    chosen, trials = search(OPTIONS, measured(speed, calls))
    assert chosen == DEFAULT | {"allocator": "other", "steps": 100}
    assert [stage for stage, _ in calls] == [1, 2]
    assert calls[0][1] == [DEFAULT, *(DEFAULT | {name: value} for name in OPTIONS for value in OPTIONS[name][1:])]
    assert calls[1][1][0] == DEFAULT
    assert len(trials) == 5 + 3


def test_changes_that_hurt_one_another_are_not_taken_together():
    def speed(settings):
        changed = sum(settings[name] != DEFAULT[name] for name in OPTIONS)
        return {0: 100, 1: 130 if settings["layout"] else 120}.get(changed, 50)

    chosen, _ = search(OPTIONS, measured(speed))
    assert chosen == DEFAULT | {"layout": True}


@given(st.dictionaries(st.sampled_from(sorted(OPTIONS)), st.floats(0.2, 1.0)))
def test_where_nothing_is_faster_the_default_settings_are_kept_after_one_stage(worth):
    calls: list = []
    speed = factors(**{name: dict.fromkeys(OPTIONS[name][1:], factor) for name, factor in worth.items()})
    chosen, _ = search(OPTIONS, measured(speed, calls))
    assert chosen == DEFAULT
    assert len(calls) == 1


def test_a_gain_that_two_processes_may_differ_by_is_not_chosen():
    chosen, _ = search(OPTIONS, measured(factors(layout={True: 1 + PROCESSES / 2})))
    assert chosen == DEFAULT


def test_settings_that_fail_are_told_and_never_chosen():
    speed = factors(layout={True: 2.0})
    chosen, trials = search(OPTIONS, measured(lambda one: None if one["allocator"] == "other" else speed(one)))
    assert chosen == DEFAULT | {"layout": True}
    assert [trial.reason for trial in trials if trial.settings["allocator"] == "other"] == ["crashed"]


def test_where_the_default_settings_cannot_be_measured_there_is_no_search():
    with pytest.raises(RuntimeError, match="the default settings cannot be measured: crashed"):
        search(OPTIONS, measured(lambda settings: None))


def noisy(generator: np.random.Generator, gains: Callable[[Settings], float], process=0.05, cycle=0.07, window=0.1):
    """Speeds with the noise of processes, of cycles that all share, and of blocks."""

    def run(stage: int, several: list[Settings]) -> list[Trial]:
        shared = cycle * generator.standard_normal(CYCLES)
        return [
            Trial(
                settings,
                stage,
                [
                    100 * gains(settings) * exp(of_process + of_cycle + window * generator.standard_normal())
                    for of_cycle in shared
                ],
            )
            for settings in several
            for of_process in [process * generator.standard_normal()]
        ]

    return run


def test_settings_without_gain_are_seldom_chosen_and_a_large_gain_is_found():
    """The share of false choices among 1,000 searches, at the noise of a shared machine, is at most the level."""
    generator = np.random.default_rng(7)
    false = sum(search(OPTIONS, noisy(generator, lambda settings: 1.0))[0] != DEFAULT for _ in range(1000))
    assert false <= 0.05 * 1000
    gains = factors(layout={True: 1.5 / 1}, allocator={"other": 0.9})
    found = sum(search(OPTIONS, noisy(generator, gains))[0]["layout"] for _ in range(200))
    assert found >= 0.9 * 200


def test_the_default_settings_stay_in_and_those_shown_to_be_slower_do_not():
    assert still_in([[1.0, 1.0], [100.0, 100.0], [1.0, 1.0]]) == [True, True, True]
    assert still_in([[1.0] * 3, [100.0] * 3, [1.0] * 3]) == [True, True, False]
    assert still_in([[1.0] * 3, [], [0.5] * 3]) == [True, True, False]


def test_the_points_of_students_t_are_scipys():
    for freedom, point in enumerate(T95, start=1):
        assert point == pytest.approx(stdtrit(freedom, 0.95), abs=5e-4)
    assert bound([1.0]) == float("-inf")
    assert bound([2.0, 2.0, 2.0]) == 2.0
