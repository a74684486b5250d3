"""The search for the settings of track `tuned`, on speeds that are known."""

from collections.abc import Callable
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebench.measure.tune import Settings, Trial, search

pytestmark = pytest.mark.check

OPTIONS = {"allocator": ("system", "other"), "layout": (False, True), "steps": (1, 10, 100)}


def measured(speed: Callable[[Settings], float | None]) -> Callable[[Settings], Trial]:
    return lambda settings: Trial(settings, speed(settings), None if speed(settings) else "crashed")


@given(
    gains=st.fixed_dictionaries(
        {
            name: st.lists(st.integers(10, 400), min_size=len(values), max_size=len(values), unique=True)
            for name, values in OPTIONS.items()
        }
    )
)
def test_one_pass_finds_the_best_settings_where_options_act_independently(gains):
    speed = {name: dict(zip(OPTIONS[name], some, strict=True)) for name, some in gains.items()}
    best, trials = search(OPTIONS, 5, measured(lambda settings: prod(speed[name][settings[name]] for name in settings)))
    assert best == {name: max(values, key=values.get) for name, values in speed.items()}
    assert len(trials) <= 5


@given(trials=st.integers(1, 30), noise=st.lists(st.floats(0.5, 2.0), min_size=30, max_size=30))
def test_the_trials_are_spent_and_no_more_and_begin_with_the_default_settings(trials, noise):
    speeds = iter(noise)
    _, made = search(OPTIONS, trials, lambda settings: Trial(settings, next(speeds)))
    assert len(made) == trials
    assert made[0].settings == {"allocator": "system", "layout": False, "steps": 1}
    assert all(set(trial.settings) == set(OPTIONS) for trial in made)


def test_speeds_of_the_same_settings_are_averaged_and_one_lucky_trial_does_not_decide():
    speeds = {False: iter([100, 100, 100, 100]), True: iter([120, 50, 50, 50])}
    best, made = search({"layout": (False, True)}, 6, lambda s: Trial(s, next(speeds[s["layout"]])))
    assert [trial.settings["layout"] for trial in made[:3]] == [False, True, True]
    assert best == {"layout": False}


def test_settings_that_fail_are_kept_in_the_trials_and_never_tried_again_or_chosen():
    best, made = search(OPTIONS, 20, measured(lambda settings: None if settings["layout"] else 1.0))
    assert not best["layout"]
    failed = [trial for trial in made if trial.images_per_s is None]
    assert failed
    assert all(trial.reason == "crashed" for trial in failed)
    assert len({str(trial.settings) for trial in failed}) == len(failed)


def test_default_settings_that_fail_end_the_search_with_their_reason():
    with pytest.raises(RuntimeError, match="default settings cannot be measured: crashed"):
        search(OPTIONS, 5, measured(lambda settings: None))


def test_where_every_option_fails_the_default_settings_remain():
    best, _ = search({"layout": (False, True)}, 10, measured(lambda settings: None if settings["layout"] else 1.0))
    assert best == {"layout": False}
