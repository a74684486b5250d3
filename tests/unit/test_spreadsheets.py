"""Tables that spreadsheets open, and tables that spreadsheets have saved."""

import codecs
import csv

import pandas as pd
import pytest

import simulated
from framebench.analyse import aa, agreement, failures, given
from framebench.analyse.table import TableError, read_csv, read_table, shown, write_table
from framebench.figures import command as figures
from framebench.plan import catalogue
from framebench.report import rehearsal

pytestmark = pytest.mark.check


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A folder with the two tables that most others are made from."""
    folder = tmp_path_factory.mktemp("tables")
    for name, frame in simulated.campaign(noise=0.02).by_name().items():
        write_table(frame, folder / f"{name}.csv")
    return folder


def swapped(text, separator=";", decimal=","):
    """The text of a CSV file as a spreadsheet of another country saves it."""
    rows = [[cell.replace(".", decimal) for cell in row] for row in csv.reader(text.splitlines())]
    return "\r\n".join(separator.join(f'"{one}"' if separator in one else one for one in row) for row in rows)


# joelpt/quickfort#29, nyetwurk/ecuxplot#14, SheetJS/sheetjs#2239
SAVED = {
    "semicolons and decimal commas": (lambda text: swapped(text).encode(), "separated by semicolons"),
    "tabs": (lambda text: swapped(text, "\t", ".").encode(), "separated by tabs"),
    "UTF-16": (lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"), "UTF-16"),
    "UTF-16 without a mark": (lambda text: text.encode("utf-16-le"), "UTF-16"),
    "an encoding of one country": (lambda text: f"{text}größer".encode("latin-1"), "not UTF-8"),
    "decimal commas in quotes": (lambda text: swapped(text, ",").encode(), "convert|no number with a decimal point"),
    "an empty column": (lambda text: "\n".join(f"{one}," for one in text.splitlines()).encode(), "Unnamed"),
    "an empty row": (lambda text: text.encode() + b"," * text.splitlines()[0].count(",") + b"\n", "empty row|convert"),
    "another name of a column": (
        lambda text: text.replace("workload", "Workload", 1).encode(),
        "in Workload, workload",
    ),
    "each row in quotes": (lambda text: "\n".join(f'"{one}"' for one in text.splitlines()).encode(), "columns differ"),
    "nothing": (lambda text: b"", "No columns"),
    "a sum under the table": (
        lambda text: f"{text}{',' * text.splitlines()[0].count(',')}12.5\n".encode(),
        "a row has nothing but numbers|cast",
    ),
    "a workbook": (lambda text: b"PK\x03\x04\x14\0\x06\0" + bytes(99), "a spreadsheet's own file, not CSV"),
    "a workbook of old": (lambda text: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "a spreadsheet's own file"),
}


@pytest.mark.parametrize("name", ["measurements", "comparisons"])
@pytest.mark.parametrize("saved", SAVED)
def test_a_table_that_a_spreadsheet_saved_in_its_manner_is_refused_in_a_short_line(tables, tmp_path, name, saved):
    write, cause = SAVED[saved]
    path = tmp_path / f"{name}.csv"
    path.write_bytes(write((tables / path.name).read_text(encoding="utf-8")))
    readers = [lambda: read_csv(path, given.columns_of(name)), *([lambda: read_table(path)] * (name == "measurements"))]
    for read in readers:
        with pytest.raises(TableError, match=cause) as refused:
            read()
        assert str(refused.value).startswith(f"{path}: is no table: ")
        assert len(str(refused.value).removeprefix(str(tmp_path))) < 200
        assert "\n" not in str(refused.value)


def test_a_run_that_is_there_twice_is_refused_and_equal_rows_of_a_summary_are_not(tables, tmp_path):
    """With one block, the quietest pair and the noisiest are the same, and so are their rows of power.csv."""
    for name in ("measurements", "comparisons"):
        text = (tables / f"{name}.csv").read_text(encoding="utf-8")
        (tmp_path / f"{name}.csv").write_text(f"{text}{text.splitlines()[1]}\n", encoding="utf-8")
    with pytest.raises(TableError, match="a row is there twice"):
        read_csv(tmp_path / "measurements.csv", given.columns_of("measurements"))
    assert len(read_csv(tmp_path / "comparisons.csv", given.columns_of("comparisons")))


def test_a_truth_in_the_words_of_a_country_is_refused(tables, tmp_path):
    path = tmp_path / "measurements.csv"
    text = (tables / path.name).read_text(encoding="utf-8")
    path.write_text(text.replace("True", "WAHR").replace("False", "FALSCH"), encoding="utf-8")
    with pytest.raises(TableError, match=r"'WAHR' in warmup_converged is neither True nor False: make it again$"):
        read_csv(path, given.columns_of("measurements"))


@pytest.mark.parametrize(
    ("name", "change", "cause"),
    [
        ("papers-2018", ("2014-10", "Oct 14"), "'Oct 14' in month is no month such as 2014-10"),
        ("papers-2018", (",1.2\n", ',"1,2"\n'), "'1,2' in percent_of_papers is no number with a decimal point"),
        ("papers-2018", ("month,", "Month,"), "its columns differ from this version's in Month, month"),
        ("rosetta-2018", (",54\n", ',"1,054"\n'), "'1,054' in value is no number with a decimal point"),
        ("gpu-peaks", (",4370,", ",########,"), "'########' in gflops is no number with a decimal point"),
    ],
)
def test_published_numbers_that_a_spreadsheet_changed_are_refused_before_measuring(
    tmp_path, monkeypatch, name, change, cause
):
    """They are read at the end of a campaign; months as dates were drawn in the order of their letters.

    https://github.com/SheetJS/sheetjs/issues/2225: a spreadsheet makes dates of texts.
    """
    resource = given.resource
    path = tmp_path / f"{name}.csv"
    path.write_text((catalogue.ROOT / resource(name)).read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    monkeypatch.setattr(given, "resource", lambda one: path if resource(one).name == path.name else resource(one))
    with pytest.raises(TableError) as refused:
        rehearsal.rehearse(tmp_path / "results", ["en"])
    assert str(refused.value) == f"{path}: is no table: {cause}: make it again"


def test_every_command_refuses_it_in_a_line(tables, tmp_path):
    paths = {name: tmp_path / f"{name}.csv" for name in ("measurements", "comparisons", "largest_batch", "left_out")}
    for path in paths.values():
        path.write_text("device;workload\ncpu;article-cnn\n", encoding="utf-8")
    good = tables / "measurements.csv"
    said = tmp_path / "said"
    calls = [
        lambda: failures.main(["--largest-batch", str(paths["largest_batch"])]),
        lambda: failures.main(["--left-out", str(paths["left_out"])]),
        lambda: failures.main(["--measurements", str(paths["measurements"])]),
        lambda: aa.main(
            ["--comparisons", str(paths["comparisons"]), "--measurements", str(good), "--output", str(said)]
        ),
        lambda: figures.main(
            ["article-2018-p100", "--language", "en", "--rosetta-2018", str(paths["comparisons"])]
            + [word for kind in ("svg", "png", "caption") for word in (f"--output-{kind}", str(said))]
        ),
    ]
    for call in calls:
        with pytest.raises(SystemExit, match="separated by semicolons"):
            call()


def test_a_spreadsheet_that_keeps_the_manner_of_the_table_is_no_hindrance(tables, tmp_path):
    path = tmp_path / "measurements.csv"
    text = (tables / path.name).read_text(encoding="utf-8")
    path.write_bytes(codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode())
    pd.testing.assert_frame_equal(read_table(path), read_table(tables / path.name))


def test_a_table_with_more_than_ascii_begins_with_the_mark_of_utf_8(tmp_path):
    """Without it, Excel opens the file in its country's encoding: sqlpage/SQLPage#528"""
    for text, mark in (("그래픽 카드", codecs.BOM_UTF8), ("card", b"")):
        write_table(pd.DataFrame({"name": [text], "count": [1]}), tmp_path / "t.csv")
        assert (tmp_path / "t.csv").read_bytes() == mark + f"name,count\n{text},1\n".encode()
        assert list(read_csv(tmp_path / "t.csv")["name"]) == [text]


@pytest.mark.parametrize("start", "=+-@")
def test_a_text_is_no_formula(start, tmp_path):
    """hhurz/tableExport.jquery.plugin#230"""
    text = f'{start}HYPERLINK("http://x")'
    frame = pd.DataFrame({"device": ["cpu"], "reason": [text], "ratio": [-1.5]})
    write_table(frame, tmp_path / "t.csv")
    read = read_csv(tmp_path / "t.csv")
    assert list(read["reason"]) == [shown(text)] == [f"\\x{ord(start):02x}{text[1:]}"]
    assert list(read["ratio"]) == [-1.5]


def test_numbers_keep_their_kind(tmp_path):
    frame = pd.DataFrame(
        {
            "rounds": pd.array([1, None], dtype="Int64"),
            "converged": pd.array([True, None], dtype="boolean"),
            "reason": pd.array([None, "=x"], dtype="str"),
        }
    )
    write_table(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "rounds,converged,reason\n1,True,\n,,\\x3dx\n"


def test_the_tables_of_a_campaign_and_the_published_numbers_are_read(tables):
    for path in [*tables.glob("*.csv"), *(catalogue.ROOT / given.RESOURCES).glob("*.csv")]:
        assert list(read_csv(path, given.columns_of(path.stem)))


def test_a_table_of_machines_declares_their_column_and_is_read_with_it(tmp_path):
    row = dict.fromkeys(agreement.COLUMNS, "1")
    pd.DataFrame([row]).to_csv(tmp_path / "agreement.csv", index=False)
    assert list(read_csv(tmp_path / "agreement.csv", agreement.COLUMNS).columns) == list(agreement.COLUMNS)
