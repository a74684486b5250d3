"""Equal cards of two machines that are not equally fast are shown, and nothing else is held against another."""

import pytest

from framebench.analyse.agreement import APART, TOGETHER, TOO_FEW, agreement
from framebench.analyse.comparisons import comparisons
from framebench.analyse.table import read_table, table, write_table
from runs import runs

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
    assert row["same_software"]
    (row,) = of(records, "tensorflow")
    assert row["verdict"] == TOGETHER and row["ratio"] == pytest.approx(1)


def test_with_too_few_runs_there_is_a_ratio_and_no_verdict():
    (row,) = of(on("a", [200.0, None, None, 200.0]) + on("b", [100.0] * 4))
    assert (row["verdict"], row["ratio"], row["runs"]) == (TOO_FEW, pytest.approx(2), 2)


def test_other_software_is_told():
    (row,) = of(on("a", [200.0] * 4) + on("b", [100.0] * 4, lock_digest="e"))
    assert not row["same_software"]


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
    compared = comparisons(measured, 0.95)
    for frame, name in ((measured, "m.csv"), (compared, "c.csv")):
        write_table(frame, tmp_path / name)
        assert (tmp_path / name).read_text().startswith("machine,device,")
    assert read_table(tmp_path / "m.csv")["device"].equals(measured["device"])
    ratios = compared[compared["framework"] == "pytorch"].set_index("device")["ratio"]
    assert ratios["p100@a"] == pytest.approx(4 * ratios["p100@b"])


def test_one_machines_tables_have_no_column_for_it(tmp_path):
    write_table(table(on("a", [200.0] * 4, device="p100")), tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text().startswith("device,")
