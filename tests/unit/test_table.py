"""The table of measurements: every record is in it once, unchanged, and nothing else."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from framebench.analyse import command
from framebench.analyse.table import TableError, one_line, read_record, read_table, shown, table, write_table
from framebench.record import SCHEMA, record, write

pytestmark = pytest.mark.check

FIELDS = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]


def run(**changes) -> dict:
    values = {
        "device": "cpu",
        "workload": "article-cnn",
        "framework": "pytorch",
        "track": "default",
        "precision": "float32",
        "input": "device",
        "batch_size": 32,
        "round": 1,
        "order": 7,
        "seed": 20180629,
        "status": "ok",
        "images_per_s": 1234.5,
    }
    return record(**values | changes)


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@st.composite
def records(draw) -> dict:
    """A record of any values that the schema allows, nulls among them."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    kinds = {
        "integer": st.integers(1, 2**53),
        "number": st.floats(allow_nan=False, allow_infinity=False),
        "boolean": st.booleans(),
        "string": text,
        "null": st.none(),
    }
    values = run(round=draw(st.integers(1, 10**6)))
    for name, field in FIELDS.items():
        if isinstance(field.get("type"), list):
            values[name] = draw(st.one_of([kinds[kind] for kind in field["type"]]))
    return values | {"images_per_s": 1.5}


def test_the_columns_are_the_schema_s_with_blocks_and_flags_summed_up():
    blocks = [{"t0_ns": 0, "t1_ns": 10, "steps": 5}, {"t0_ns": 10, "t1_ns": 30, "steps": 8}]
    frame = table([run(blocks=blocks, flags=["warm-up did not converge", "machine was busy"])])
    names = [name for name in FIELDS if name not in ("warmup_intervals", "story")]
    at = names.index("blocks")
    assert list(frame.columns) == [*names[:at], "block_count", "block_steps", *names[at + 1 :]]
    row = frame.iloc[0]
    assert (row["block_count"], row["block_steps"]) == (2, 13)
    assert row["flags"] == "warm-up did not converge;machine was busy"


def test_rows_have_the_same_order_whatever_the_order_of_the_records():
    runs = [
        run(framework=framework, batch_size=batch_size, round=number)
        for framework in ("pytorch", "keras-tensorflow")
        for batch_size in (128, 32)
        for number in (10, 2, 1)
    ]
    frame = table(runs)
    pd.testing.assert_frame_equal(frame, table(runs[::-1]))
    assert frame["batch_size"].tolist() == [32] * 6 + [128] * 6
    assert frame["round"].tolist() == [1, 2, 10] * 4


def test_missing_values_stay_null_and_are_never_0(tmp_path):
    empty = {name: value for name, value in run().items() if value is not None and value != []}
    write_table(table([empty]), tmp_path / "m.csv")
    frame = read_table(tmp_path / "m.csv")
    missing = [name for name in frame.columns if name not in empty and name != "flags"]
    assert "images_per_s_mad" in missing and "block_count" in missing
    assert frame[missing].isna().all(axis=None)
    assert frame["flags"].tolist() == [""]


@given(text=st.text(st.sampled_from("a=\n\r\x1e\x85\x1b\u202e ")))
def test_a_text_that_is_shown_twice_is_shown_as_once(text):
    assert shown(shown(text)) == shown(text)


@settings(max_examples=50)
@given(record=records())
@example(record=run(reason="\x1e\x85"))
def test_a_table_read_back_is_the_table_that_was_written(tmp_path_factory, record):
    path = tmp_path_factory.getbasetemp() / "round-trip.csv"
    frame = table([record, run(round=record["round"] + 1)])
    write_table(frame, path)
    # An empty text and no text are both an empty field of the file.
    texts = frame.select_dtypes("str").columns.drop("flags")
    pd.testing.assert_frame_equal(read_table(path), frame.assign(**frame[texts].replace("", None)))


def test_types_are_those_of_the_schema(tmp_path):
    write_table(table([run(git_dirty=True, parameters=10, threads=None)]), tmp_path / "m.csv")
    frame = read_table(tmp_path / "m.csv")
    types = frame[["git_dirty", "parameters", "threads", "images_per_s", "device", "batch_size"]].dtypes
    assert [str(kind) for kind in types] == ["boolean", "Int64", "Int64", "float64", "str", "Int64"]


def test_version_of_framebench_is_a_column_and_null_in_older_records(tmp_path):
    older = {name: value for name, value in run(round=2).items() if name != "framebench_version"}
    path = written(tmp_path / "round-2.json", older)
    write_table(table([run(framebench_version="0.1.0"), read_record(path)]), tmp_path / "m.csv")
    versions = read_table(tmp_path / "m.csv")["framebench_version"]
    assert versions[0] == "0.1.0" and pd.isna(versions[1])


def test_words_that_look_like_nulls_stay_words(tmp_path):
    write_table(table([run(status="failed", reason="NA", backend="null")]), tmp_path / "m.csv")
    row = read_table(tmp_path / "m.csv").iloc[0]
    assert (row["reason"], row["backend"]) == ("NA", "null")


def test_a_reason_of_several_lines_keeps_them_in_one_row(tmp_path):
    reason = 'Traceback:\n  "x", line 1\r 10 %\r100 %\r\nValueError: a,b \udcff'
    write_table(table([run(status="failed", reason=reason)]), tmp_path / "m.csv")
    frame = read_table(tmp_path / "m.csv")
    expected = 'Traceback:\n  "x", line 1\n 10 %\n100 %\nValueError: a,b \\udcff'
    assert frame["reason"].tolist() == [expected]


def test_two_records_of_one_run_are_refused():
    with pytest.raises(ValueError, match=r"two records are of the same run .*framework pytorch, round 1"):
        table([run(), run(images_per_s=2.0)])


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({name: value for name, value in run().items() if name != "seed"}, "'seed' is a required property"),
        (run() | {"images_per_second": 1}, "'images_per_second' was unexpected"),
        (run() | {"batch_size": "32"}, r"\$\.batch_size: '32' is not of type 'integer'"),
        (run() | {"status": "fine"}, r"\$\.status: 'fine' is not one of"),
        (run() | {"blocks": [{"t0_ns": 0, "t1_ns": 1, "steps": 0}]}, r"\$\.blocks\[0\]\.steps: 0 is less"),
        (run(images_per_s=None), "the status is ok, but images_per_s is None"),
        (run(images_per_s=0), "the status is ok, but images_per_s is 0"),
        (run(loss_last=float("nan")), "NaN is not a number that JSON has"),
        (["another", "file"], r"is not of type 'object'"),
    ],
)
def test_files_that_are_no_records_are_refused_by_name(tmp_path, content, fault):
    path = written(tmp_path / "round-1.json", content)
    with pytest.raises(TableError, match=rf"round-1\.json: .*{fault}.*delete it") as error:
        read_record(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b'{"device": "cp', b"\xff\xfe"], ids=["empty", "cut off", "not text"])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "round-1.json").write_bytes(content)
    with pytest.raises(TableError, match=r"round-1\.json: is not JSON"):
        read_record(tmp_path / "round-1.json")


def test_the_command_makes_the_table_of_thousands_of_records(tmp_path):
    paths = [tmp_path / f"{number}.json" for number in range(1, 2_001)]
    for number, path in enumerate(paths, start=1):
        written(path, run(round=number))
    (tmp_path / "list").write_text("\n".join(map(str, paths)) + "\n", encoding="utf-8")
    command.main(["measurements", "--records", str(tmp_path / "list"), "--output", str(tmp_path / "m.csv")])
    assert read_table(tmp_path / "m.csv")["round"].tolist() == list(range(1, 2_001))


def test_the_command_keeps_the_old_table_when_a_record_is_bad(tmp_path):
    write(tmp_path / "good.json", run())
    written(tmp_path / "bad.json", {})
    (tmp_path / "m.csv").write_text("old", encoding="utf-8")
    (tmp_path / "list").write_text(f"{tmp_path}/good.json\n{tmp_path}/bad.json\n", encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        command.main(["measurements", "--records", str(tmp_path / "list"), "--output", str(tmp_path / "m.csv")])
    assert str(end.value).startswith(f"{tmp_path / 'bad.json'}: ")
    assert (tmp_path / "m.csv").read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.json", "good.json", "list", "m.csv"]


def test_a_missing_record_list_or_folder_is_named(tmp_path):
    (tmp_path / "list").write_text(f"{tmp_path}/none.json\n", encoding="utf-8")
    for listing in ("list", "none"):
        options = ["--records", str(tmp_path / listing), "--output", str(tmp_path / "m.csv")]
        with pytest.raises(SystemExit, match=r"none.*cannot be read"):
            command.main(["measurements", *options])
    (tmp_path / "file").touch()
    (tmp_path / "list").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"file/m\.csv: cannot be written"):
        command.main(
            ["measurements", "--records", str(tmp_path / "list"), "--output", str(tmp_path / "file" / "m.csv")]
        )


def test_no_records_make_a_table_without_rows(tmp_path):
    (tmp_path / "list").touch()
    command.main(["measurements", "--records", str(tmp_path / "list"), "--output", str(tmp_path / "m.csv")])
    pd.testing.assert_frame_equal(read_table(tmp_path / "m.csv"), table([]))


@pytest.mark.parametrize("content", ["", "device,workload\ncpu,x\n", "\x00\x01"])
def test_another_file_is_no_table(tmp_path, content):
    (tmp_path / "m.csv").write_text(content, encoding="utf-8")
    with pytest.raises(TableError, match=r"m\.csv: is no table"):
        read_table(tmp_path / "m.csv")


BLOCKS = [{"t0_ns": 0, "t1_ns": 2 * 10**9, "steps": 10}, {"t0_ns": 2 * 10**9, "t1_ns": 6 * 10**9, "steps": 10}]
# With batches of 32, these are 160 and 80 images a second.
FOLLOWS = {
    "blocks": BLOCKS,
    "images_per_s": 120.0,
    "images_per_s_mad": 40.0,
    "step_ms": 300.0,
    "timed_s": 6.0,
    "flops_per_sample": 10**9,
    "achieved_gflops": 120.0,
    "warmup_intervals": [{"t0_ns": 0, "t1_ns": 10**9, "steps": 1}, {"t0_ns": 10**9, "t1_ns": 4 * 10**9, "steps": 5}],
    "steps_per_call": 1,
    "time_to_first_step_s": 1.0,
    "warmup_s": 3.0,
    "warmup_steps": 5,
    "start_s": 2.0,
    "lead_in_s": 0.5,
    "waiting_s": 4.0,
    "check_s": 0.25,
    "diagnosis_s": 0.25,
    "end_s": 1.0,
    "process_s": 18.0,
    "energy_j": 64.0,
    "images_per_j": 10.0,
}


def test_a_record_whose_fields_follow_from_its_intervals_is_read(tmp_path):
    path = tmp_path / "round-1.json"
    path.write_text(json.dumps(run(**FOLLOWS)), encoding="utf-8")
    assert read_record(path)["images_per_s"] == 120.0


@pytest.mark.parametrize(
    "name",
    [
        *("images_per_s", "images_per_s_mad", "step_ms", "timed_s", "achieved_gflops", "time_to_first_step_s"),
        *("warmup_s", "warmup_steps", "steps_per_call", "process_s", "images_per_j"),
    ],
)
def test_a_field_that_contradicts_the_rest_of_its_record_is_told_with_file_and_field(tmp_path, name):
    path = tmp_path / "round-1.json"
    path.write_text(json.dumps(run(**FOLLOWS | {name: FOLLOWS[name] * 2})), encoding="utf-8")
    expected = rf"round-1\.json: {name} is \S+, but \S+ follows from the rest of the record: it is damaged[^\n]+$"
    with pytest.raises(TableError, match=expected):
        read_record(path)
    path.write_text(
        json.dumps(run(**FOLLOWS | {name: None}) if name != "images_per_s" else run(**FOLLOWS)), encoding="utf-8"
    )
    read_record(path)


@pytest.mark.parametrize(
    ("told", "as_shown"),
    [
        ("NVIDIA\x00 H100\x1b[31m", r"NVIDIA\x00 H100\x1b[31m"),
        ("model \u202egpj.exe", r"model \u202egpj.exe"),
        ("a\r\nb\x85c", "a\nb\nc"),
        ("\ud800", r"\ud800"),
        ("AMD EPYC™ 세대", "AMD EPYC™ 세대"),
    ],
)
def test_invisible_characters_are_escaped(told, as_shown):
    assert table([run(device_name=told)]).loc[0, "device_name"] == as_shown


def test_colours_of_a_terminal_are_no_part_of_a_reason():
    """ipazc/mtcnn#101, NeuromorphicProcessorProject/snn_toolbox#16: Keras prints its messages in bold."""
    assert one_line("\x1b[1mInvalid\x1b[0m\n  \x1b[38;5;9minput", 20) == "Invalid input"
