"""Track `tuned` through the whole workflow: searched once, applied in every run, recorded, never mixed."""

import csv
import json

import pytest

from conftest import TINY, Workspace, copy_of
from framebench.plan import catalogue

pytestmark = [pytest.mark.all, pytest.mark.usefixtures("installed")]
FRAMEWORKS = ("keras-tensorflow", "pytorch")


@pytest.fixture(scope="module")
def tuned(certified, tmp_path_factory) -> Workspace:
    """A campaign of both tracks in every framework, measured up to its tables."""
    workspace = copy_of(certified, tmp_path_factory.mktemp("tuned"))
    (entry,) = TINY["matrix"]
    workspace.configure(matrix=[entry | {"tracks": ["default", "tuned"]}], frameworks=list(FRAMEWORKS))
    result = workspace.snakemake("results/effects.csv")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "tuning article-cnn in pytorch, stage 1 of 2: 4 settings" in result.stdout + result.stderr
    return workspace


def rows(workspace, table):
    with (workspace.folder / "results" / table).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_change_of_one_setting_was_tried_beside_the_defaults(tuned, framework):
    found = json.loads(
        (tuned.folder / f"results/tuning/cpu/article-cnn/{framework}/float32/device.json").read_text(encoding="utf-8")
    )
    options = catalogue.adapter(framework).options_of("cpu", trains=True)
    defaults = {name: values[0] for name, values in options.items()}
    changes = [defaults | {name: value} for name, values in options.items() for value in values[1:]]
    first = [trial for trial in found["trials"] if trial["stage"] == 1]
    assert [trial["settings"] for trial in first] == [defaults, *changes]
    assert sum(bool(trial["images_per_s"]) for trial in first) > 1, found["trials"]
    assert found["chosen"] in [trial["settings"] for trial in found["trials"]]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_settings_chosen_are_in_every_tuned_record_and_in_no_default_one(tuned, framework):
    found = json.loads(
        (tuned.folder / f"results/tuning/cpu/article-cnn/{framework}/float32/device.json").read_text(encoding="utf-8")
    )
    runs = [row for row in rows(tuned, "measurements.csv") if row["framework"] == framework]
    assert {row["track"]: row["tuning"] for row in runs} == {"default": "", "tuned": json.dumps(found["chosen"])}
    assert all(row["status"] == "ok" for row in runs)


def test_each_framework_is_compared_with_its_own_defaults(tuned):
    effects = rows(tuned, "effects.csv")
    assert {row["framework"] for row in effects} == set(FRAMEWORKS)
    assert {row["effect"] for row in effects} == {"tuned ÷ default"}


def test_nothing_is_searched_or_measured_again(tuned):
    plan = tuned.plan("results/effects.csv")
    assert "tune" not in plan.jobs and not plan.measuring


def test_a_campaign_that_adds_the_track_proves_it_in_the_frameworks_that_have_it(tuned):
    plan = tuned.plan("certificates")
    assert plan.jobs["observe"] == plan.jobs["certificate"] == len(FRAMEWORKS)
