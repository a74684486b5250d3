"""Results of many machines become one: each run once, each under its machine, and unusable files are named."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pages
from framebench.analyse import failures
from framebench.analyse.table import read_record, table
from framebench.exchange.export import exported
from framebench.exchange.merge import main, merged
from framebench.exchange.sealed import unpacked
from framebench.plan import matrix
from framebench.plan.config import Part
from framebench.record import write
from runs import runs

pytestmark = pytest.mark.check

MACHINE = {"cpu_model": "AMD EPYC (R) 7", "cpu_cores": 2, "memory_total_mib": 8000, "device_name": "AMD EPYC (R) 7"}
SPEEDS = {"pytorch": [200.0, 210.0, 190.0], "tensorflow": [100.0, 110.0, 90.0]}


def left(folder: Path, scale: float = 1, **changes) -> Path:
    """A results folder with two frameworks in three rounds, `scale` times as fast, and their certificates."""
    for record in runs(MACHINE | changes, **{name: [scale * one for one in of] for name, of in SPEEDS.items()}):
        write(folder / matrix.RECORD.format(**record), record)
    for framework in SPEEDS:
        path = folder / "certificates" / "article-cnn" / f"{framework}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(pages.certificate("article-cnn", framework)), encoding="utf-8")
    return folder


def packed(folder: Path, output: Path) -> Path:
    output.write_bytes(exported(folder))
    return output


def together(*parts: Path | tuple[str, Path]):
    return merged([Part(str(one[1]), one[0]) if isinstance(one, tuple) else Part(str(one)) for one in parts])


def devices(whole) -> list[str]:
    return sorted({record["device"] for record in whole.records})


def one_record(folder: Path) -> Path:
    return min(folder.glob("runs/**/round-1.json"))


def reasons(whole) -> Sequence[str]:
    return [f"{row['part']} {row['file']} {row['reason']}" for row in whole.left_out]


def test_every_run_of_every_part_is_in_the_table_with_its_machine(tmp_path):
    left(tmp_path / "a"), left(tmp_path / "b", 2)
    whole = together(("lab", packed(tmp_path / "a", tmp_path / "a.zip")), ("home", tmp_path / "b"))
    assert not whole.left_out and len(whole.records) == 12
    frame = table(whole.records)
    assert set(frame["device"]) == {"cpu@lab", "cpu@home"}
    assert [row["runs"] for row in whole.parts] == [6, 6]
    for record in whole.records:
        place = matrix.RECORD.format(**record | {"device": "cpu"})
        folder = tmp_path / ("a" if record["device"] == "cpu@lab" else "b")
        assert read_record(folder / place) | {"device": record["device"]} == record


def test_a_record_in_two_parts_counts_once_whatever_they_are_called(tmp_path):
    part = left(tmp_path / "a")
    whole = together(part, packed(part, tmp_path / "a.zip"), ("other", part))
    assert not whole.left_out and len(whole.records) == 6
    assert len(devices(whole)) == 1 and "other" not in devices(whole)[0]
    assert {row["machine"] for row in whole.certificates} == {devices(whole)[0].partition("@")[2]}


def test_records_of_the_same_run_that_differ_are_both_named_and_left_out(tmp_path):
    left(tmp_path / "a"), left(tmp_path / "b")
    path = one_record(tmp_path / "b")
    path.write_text(
        path.read_text(encoding="utf-8").replace("200.0", "201.0").replace("100.0", "101.0"), encoding="utf-8"
    )
    whole = together(tmp_path / "a", tmp_path / "b")
    assert len(whole.records) == 5
    assert [row["part"] for row in whole.left_out] == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert {row["file"] for row in whole.left_out} == {path.relative_to(tmp_path / "b").as_posix()}
    assert all("give the parts of two machines two names" in row["reason"] for row in whole.left_out)
    assert len(together(tmp_path / "a", ("b", tmp_path / "b")).records) == 7


def test_a_part_without_a_name_is_called_by_what_its_records_tell(tmp_path):
    left(tmp_path / "a"), left(tmp_path / "b", 2, memory_total_mib=16_000), left(tmp_path / "c", memory_total_mib=8010)
    names = devices(together(tmp_path / "a", tmp_path / "b"))
    assert len(names) == 2 and all(name.startswith("cpu@amd-epyc-7-") for name in names)
    assert devices(together(tmp_path / "c")) == devices(together(tmp_path / "a"))


def test_cards_of_one_model_stay_apart_by_their_uuid(tmp_path):
    left(tmp_path / "a", device="p100", device_uuid="GPU-1"), left(tmp_path / "b", device="p100", device_uuid="GPU-2")
    assert len(devices(together(tmp_path / "a", tmp_path / "b"))) == 2


def test_fields_missing_in_an_older_version_are_null(tmp_path):
    path = one_record(left(tmp_path / "a"))
    old = {
        name: value
        for name, value in json.loads(path.read_text(encoding="utf-8")).items()
        if value is not None and value != []
    }
    path.write_text(json.dumps(old), encoding="utf-8")
    whole = together(tmp_path / "a")
    assert not whole.left_out and len(whole.records) == 6
    assert {record["framebench_version"] for record in whole.records} == {None}
    # The same run, written by either version, is one run.
    left(tmp_path / "b")
    assert len(together(tmp_path / "a", tmp_path / "b").records) == 6


def test_parts_of_two_versions_of_framebench_keep_theirs(tmp_path):
    left(tmp_path / "a", framebench_version="0.1.0"), left(tmp_path / "b", framebench_version="0.2.0")
    frame = table(together(("lab", tmp_path / "a"), ("home", tmp_path / "b")).records)
    assert frame.groupby("device")["framebench_version"].unique().map(list).to_dict() == {
        "cpu@home": ["0.2.0"],
        "cpu@lab": ["0.1.0"],
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"[" * 100_000, "is n"),
        (b'{"other": 1}', "'other' was unexpected"),
        (b'{"seed": 99999999999999999999}', "holds a number of 20 digits"),
    ],
)
def test_a_foreign_or_damaged_record_is_named_and_the_rest_is_merged(tmp_path, content, reason):
    path = one_record(left(tmp_path / "a"))
    path.write_bytes(content)
    whole = together(tmp_path / "a")
    assert len(whole.records) == 5
    (said,) = reasons(whole)
    assert path.relative_to(tmp_path / "a").as_posix() in said and reason in said


def test_a_record_in_the_place_of_another_is_named(tmp_path):
    path = one_record(left(tmp_path / "a"))
    shutil.copy(path, path.with_name("round-9.json"))
    shutil.copy(path, tmp_path / "a" / "runs" / "stray.json")
    whole = together(tmp_path / "a")
    assert len(whole.records) == 6 and len(whole.left_out) == 2
    assert all("another run than its place says" in one for one in reasons(whole))


@pytest.mark.parametrize(
    ("field", "value"),
    [("framework", "mxnet"), ("workload", "my-net"), ("track", "heroic"), ("input", "tape"), ("framework", "\u202emx")],
)
def test_a_record_of_what_is_not_known_here_is_named_and_the_rest_is_merged(tmp_path, field, value):
    left(tmp_path / "a")
    for record in runs(MACHINE, pytorch=[100.0]):
        changed = record | {field: value}
        write(tmp_path / "a" / matrix.RECORD.format(**changed), changed)
    whole = together(tmp_path / "a")
    assert len(whole.records) == 6
    (row,) = whole.left_out
    assert row["reason"].startswith(f"{field} {value!r} is not known here; known: ")


def test_a_damaged_archive_and_a_part_that_is_not_there_are_named(tmp_path):
    part = left(tmp_path / "a")
    content = bytearray(packed(part, tmp_path / "a.zip").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    (tmp_path / "empty").mkdir()
    whole = together(part, tmp_path / "a.zip", tmp_path / "none", tmp_path / "empty")
    assert len(whole.records) == 6
    assert [row["part"] for row in whole.left_out] == [str(tmp_path / name) for name in ("a.zip", "none", "empty")]


def test_a_certificate_that_is_none_is_named(tmp_path):
    part = left(tmp_path / "a")
    for name in ("pytorch", "keras-torch"):
        (part / "certificates" / "article-cnn" / f"{name}.json").write_text("[]", encoding="utf-8")
    whole = together(part)
    assert len(whole.records) == 6 and len(whole.left_out) == 2
    assert [one["framework"] for one in whole.certificates] == ["tensorflow"]


def test_a_search_for_tuned_settings_is_exported_and_not_merged(tmp_path):
    search = left(tmp_path / "a") / "tuning/cpu/article-cnn/pytorch/float32/device.json"
    write(search, {"chosen": {}, "trials": []})
    archive = packed(tmp_path / "a", tmp_path / "a.zip")
    assert search.relative_to(tmp_path / "a").as_posix() in unpacked(archive)[0]
    for part in (tmp_path / "a", archive):
        assert not together(part).left_out
        main(["--parts", json.dumps([{"path": str(part)}]), "--output", str(tmp_path / f"merged-{part.name}")])
        assert not (tmp_path / f"merged-{part.name}" / "tuning").exists()


def test_the_number_of_first_rounds_is_kept_by_machine_and_a_part_without_it_is_left_out(tmp_path):
    left(tmp_path / "a"), left(tmp_path / "b", 2)
    block = {"device": "cpu", "workload": "article-cnn", "track": "default", "precision": "float32"}
    rows = [block | {"input": "device", "batch_size": 32, "rounds": 5, "at_least": 3, "ci_half_width": 0.02}]
    (tmp_path / "a" / "rounds.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "b" / "rounds.json").write_text("[{}]", encoding="utf-8")
    whole = together(("lab", tmp_path / "a"), ("home", tmp_path / "b"))
    assert [row["device"] for row in whole.rounds] == ["cpu@lab"]
    assert len(whole.records) == 6 and len(whole.left_out) == 1


def test_merged_results_can_be_merged_again_and_keep_their_machines(tmp_path):
    left(tmp_path / "a"), left(tmp_path / "b", 2), left(tmp_path / "c", 3)
    parts = [{"path": str(tmp_path / name), "name": name} for name in "ab"]
    main(["--parts", json.dumps(parts), "--output", str(tmp_path / "merged")])
    whole = together(("again", tmp_path / "merged"), ("a", tmp_path / "a"), ("c", tmp_path / "c"))
    assert not whole.left_out and len(whole.records) == 18
    assert devices(whole) == ["cpu@a", "cpu@b", "cpu@c"]
    assert [row["duplicates"] for row in whole.parts] == [0, 6, 0]


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_byte_of_a_part_is_changed_the_others_are_merged(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("part")
    part, other = left(folder / "a"), left(folder / "b", 2)
    path = data.draw(st.sampled_from(sorted(part.rglob("*.json"))))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    whole = together(("a", part), ("b", other))
    assert sum(record["device"] == "cpu@b" for record in whole.records) == 6
    named = [row for row in whole.left_out if row["part"] == str(part)]
    assert len(whole.records) + sum(row["file"].startswith("runs/") for row in named) == 12
    table(whole.records)


def test_the_command_writes_a_results_folder_and_the_last_rule_fails_for_what_was_left_out(tmp_path, capsys):
    path = one_record(left(tmp_path / "a"))
    path.write_bytes(b"{")
    arguments = ["--parts", json.dumps([{"path": str(tmp_path / "a")}]), "--output", str(tmp_path / "merged")]
    main(arguments)
    assert "5 runs of amd-epyc" in capsys.readouterr().err
    plan = [Path(line) for line in (tmp_path / "merged" / "plan.txt").read_text(encoding="utf-8").splitlines()]
    assert plan == sorted((tmp_path / "merged").glob("runs/**/*.json")) and len(plan) == 5
    with pytest.raises(SystemExit, match=r"1 files or parts were left out of the merge:\n.*round-1\.json: is not JSON"):
        failures.main(["--left-out", str(tmp_path / "merged" / "left_out.csv")])
    with pytest.raises(SystemExit, match="holds records already"):
        main(arguments)


def test_a_merge_of_nothing_says_why(tmp_path):
    with pytest.raises(SystemExit, match=r"no results that can be merged\n.*none: cannot be read"):
        main(["--parts", json.dumps([{"path": str(tmp_path / "none")}]), "--output", str(tmp_path / "merged")])
    assert not (tmp_path / "merged").exists()
