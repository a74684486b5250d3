"""Differences between equal cards of two machines, or two versions on one, are shown; nothing else is compared."""

import pandas as pd
import pytest

from framebench.analyse.agreement import APART, FASTER, SLOWER, TOGETHER, TOO_FEW, agreement
from framebench.analyse.comparisons import comparisons
from framebench.analyse.table import read_table, table, write_table
from runs import WITHIN, runs

pytestmark = pytest.mark.check

CARD = {"device_name": "Tesla P100", "lock_digest": "d", "framework_version": "1"}


def on(machine: str, speeds: list[float | None], **changes) -> list[dict]:
    uuid = {"device": f"p100@{machine}", "device_uuid": f"GPU-{machine}"}
    return runs(CARD | uuid | changes, pytorch=speeds, tensorflow=[100.0, 101.0, 102.0, 99.0])


def of(records: list[dict], framework: str = "pytorch"):
    frame = agreement(table(records), 0.95)
    return frame[frame["framework"] == framework].to_dict("records")


def test_equal_cards_that_differ_are_apart_and_those_that_do_not_are_not():
    records = on("a", [200.0, 201.0, 199.0, 200.0]) + on("b", [100.0, 101.0, 99.0, 100.0])
    (row,) = of(records)
    assert (row["machine"], row["reference"], row["verdict"]) == ("a", "b", APART)
    assert row["ci_low"] < 2 < row["ci_high"] and row["ratio"] == pytest.approx(2, rel=0.01)
    assert (row["images_per_s"], row["reference_images_per_s"], row["runs"]) == (200, 100, 4)
    assert (row["version"], row["reference_version"]) == ("1, lock d", "1, lock d")
    (row,) = of(records, "tensorflow")
    assert row["verdict"] == TOGETHER and row["ratio"] == pytest.approx(1)


def test_with_too_few_runs_there_is_a_ratio_and_no_verdict():
    (row,) = of(on("a", [200.0, None, None, 200.0]) + on("b", [100.0] * 4))
    assert (row["verdict"], row["ratio"], row["runs"]) == (TOO_FEW, pytest.approx(2), 2)


def test_two_machines_show_their_software_and_no_version_is_blamed():
    (row,) = of(on("a", SLOW) + on("b", FAST, lock_digest="e"))
    assert (row["version"], row["reference_version"]) == ("1, lock d", "1, lock e")
    assert row["verdict"] == APART and pd.isna(row["since"])


FAST, SLOW = [200.0, 201.0, 199.0, 200.0], [100.0, 101.0, 99.0, 100.0]
OF_ONE = {"device_uuid": "GPU-1", "cpu_model": "EPYC", "cpu_cores": 2, "memory_total_mib": 24105}


@pytest.mark.parametrize(
    ("newer", "older", "since"),
    [
        ({"framework_version": "2.10.0"}, {"framework_version": "2.9.1+cpu"}, "2.10.0"),
        ({"backend": "tensorflow 2.20.0"}, {"backend": "tensorflow 2.9.0"}, "tensorflow 2.20.0"),
        # Two locks, or versions without an order: the newer is what was measured later.
        ({"lock_digest": "f" * 64, "started_unix_s": 2e9}, {"started_unix_s": 1e9}, f"lock {'f' * 12}"),
        (
            {"framework_version": "nightly", "started_unix_s": 2e9},
            {"framework_version": "main", "started_unix_s": 1e9},
            "nightly",
        ),
    ],
)
@pytest.mark.parametrize(("new", "old"), [("a", "b"), ("b", "a")])
def test_a_version_of_one_machine_is_blamed_whatever_the_parts_are_called(newer, older, since, new, old):
    for of_newer, of_older, verdict in ((SLOW, FAST, SLOWER), (FAST, SLOW, FASTER)):
        (row,) = of(on(new, of_newer, **OF_ONE | newer) + on(old, of_older, **OF_ONE | older))
        assert (row["machine"], row["reference"], row["verdict"], row["since"]) == (new, old, verdict, since)
        assert (row["ratio"] < 1) == (verdict == SLOWER)


def test_a_version_is_blamed_only_where_a_difference_is_shown():
    newer = OF_ONE | {"framework_version": "2"}
    (row,) = of(on("new", FAST, **newer) + on("old", FAST, **OF_ONE))
    assert (row["verdict"], row["since"]) == (TOGETHER, "2")
    (row,) = of(on("new", FAST[:2], **newer) + on("old", SLOW[:2], **OF_ONE))
    assert row["verdict"] == TOO_FEW


def test_no_version_is_blamed_where_one_of_two_sets_has_runs_of_both():
    both = on("a", SLOW, **OF_ONE)
    both[0]["framework_version"] = "2"
    (row,) = of(both + on("b", FAST, **OF_ONE))
    assert row["verdict"] == APART and pd.isna(row["since"])
    assert row["version"] == "2, lock d; 1, lock d"


def test_the_same_version_twice_on_one_machine_is_no_newer():
    (row,) = of(on("a", SLOW, **OF_ONE) + on("b", FAST, **OF_ONE))
    assert row["verdict"] == APART and pd.isna(row["since"])


@pytest.mark.parametrize("change", [{"device_name": "Tesla K80"}, {"batch_size": 64}, {"track": "tuned"}])
def test_other_cards_and_cells_are_not_held_against_each_other(change):
    assert not of(on("a", [200.0] * 4) + on("b", [100.0] * 4, **change))


def test_processors_of_one_name_are_equal_only_with_as_many_cores():
    cpus = [
        on(name, [100.0] * 4, device_uuid=None, cpu_cores=cores) for name, cores in zip("abc", (2, 2, 4), strict=True)
    ]
    (row,) = of([*cpus[0], *cpus[1], *cpus[2]])
    assert (row["machine"], row["reference"], row["cores"]) == ("a", "b", 2)


def test_two_cards_of_one_machine_are_no_two_machines():
    assert not of(on("a", [200.0] * 4) + on("a", [100.0] * 4, device="left@a"))


def test_frameworks_are_compared_within_one_machine_only_and_tables_tell_it(tmp_path):
    measured = table(on("a", [200.0] * 4) + on("b", [50.0] * 4))
    compared = comparisons(measured, 0.95, WITHIN)
    for frame, name in ((measured, "m.csv"), (compared, "c.csv")):
        write_table(frame, tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8").startswith("machine,device,")
    assert read_table(tmp_path / "m.csv")["device"].equals(measured["device"])
    ratios = compared[compared["framework"] == "pytorch"].set_index("device")["ratio"]
    assert ratios["p100@a"] == pytest.approx(4 * ratios["p100@b"])


def test_one_machines_tables_have_no_column_for_it(tmp_path):
    write_table(table(on("a", [200.0] * 4, device="p100")), tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text(encoding="utf-8").startswith("device,")
