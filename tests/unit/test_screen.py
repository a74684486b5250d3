"""The answer's screen follows from the adjusted verdicts alone, on a terminal and in a file."""

import json
from dataclasses import asdict
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import simulated
from framebench import languages
from framebench.analyse import machines, selection
from framebench.answer import command, terminal
from framebench.answer.screen import MOST_ROWS, Made, screen
from framebench.report.results import read

pytestmark = pytest.mark.check

LABELS = {"tensorflow": "TensorFlow", "keras-tensorflow": "Keras (TensorFlow)", "pytorch": "PyTorch"}
SIZES = {"article-cnn": 128, "vgg-cnn": 64}
SMALL = [("article-cnn", "device", size) for size in (32, 128, 512)]


def made(tables, *, question=simulated.QUESTION, language="en", **changes):
    given = {"measurements": tables.measurements, "comparisons": tables.comparisons, "effects": tables.effects}
    words = {"article_batch_sizes": SIZES, "language": languages.load(language), "labels": LABELS}
    return screen(Made(**(given | changes), **words, baseline="tensorflow", question=question))


def answered(tables, **verdicts):
    """The comparisons with these verdicts of PyTorch against Keras, by batch size; the ratio agrees with the
    verdict."""
    rows = tables.comparisons.copy()
    for size, verdict in verdicts.items():
        of_size = rows["batch_size"] == int(size.removeprefix("b"))
        for first, second, said in (
            ("pytorch", "keras-tensorflow", verdict),
            ("keras-tensorflow", "pytorch", {"faster": "slower", "slower": "faster"}.get(verdict, verdict)),
        ):
            these = of_size & (rows["framework"] == first) & (rows["reference"] == second)
            ratio = {"faster": 2.0, "slower": 0.5}.get(said, 1.01)
            rows.loc[these, ["ratio", "ci_low", "ci_high", "verdict"]] = [ratio, 0.9 * ratio, 1.1 * ratio, said]
            rows.loc[these, ["rounds_to_decide", "minutes_to_decide", "finds"]] = [12, 6.0, 0.123]
    return rows


@pytest.fixture(scope="module")
def tables():
    return simulated.campaign(blocks=SMALL, noise=0.02)


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ({"b32": "faster", "b128": "faster", "b512": "faster"}, "As documented: PyTorch is 2.00 times as fast."),
        ({"b32": "slower", "b128": "slower", "b512": "slower"}, "As documented: Keras is 2.00 times as fast."),
        (
            {"b32": "slower", "b128": "undecided", "b512": "same"},
            "As documented: Keras is faster in 1 of 3 cases, PyTorch in none.",
        ),
        (
            {"b32": "slower", "b128": "slower", "b512": "faster"},
            "As documented: PyTorch is faster in 1 of 3 cases, Keras in 2.",
        ),
        ({"b32": "same", "b128": "same", "b512": "same"}, "As documented: PyTorch and Keras are equally fast."),
        # "Equally fast" is said only where every row shows it.
        (
            {"b32": "same", "b128": "undecided", "b512": "undecided"},
            "As documented: no difference between PyTorch and Keras is shown.",
        ),
        (
            {"b32": "not comparable: x", "b128": "not comparable: x", "b512": "not comparable: x"},
            "As documented: PyTorch and Keras cannot be compared.",
        ),
    ],
)
def test_the_headline_says_what_all_rows_say_together(tables, verdicts, said):
    assert made(tables, comparisons=answered(tables, **verdicts)).headline == [said]


def test_a_row_has_the_ratio_its_interval_and_the_verdict_in_words(tables):
    comparisons = answered(tables, b32="slower", b128="undecided", b512="same")
    (group,) = made(tables, comparisons=comparisons).groups
    assert group.title == "As documented"
    slower, undecided, same = group.rows
    assert (slower.name, slower.numbers, slower.winner) == (
        "small CNN, batch 32",
        ("0.50", "0.45–0.55"),
        "keras-tensorflow",
    )
    assert slower.says.startswith("Keras faster")
    assert undecided.says == "undecided: these rounds find 12 %; 12 rounds decide it, about 6.0 min more"
    assert (undecided.winner, same.winner, same.says) == (None, None, "the same within 10 %")


def test_a_pair_that_was_not_compared_is_a_row_with_the_reason():
    tables = simulated.campaign(blocks=SMALL[:1], failed=[("pytorch", "article-cnn", 32)])
    (row,) = made(tables).groups[0].rows
    assert (row.ratio, row.numbers, row.winner) == (None, ("", ""), None)
    assert row.says.startswith("not comparable: PyTorch out of memory")


def test_a_flip_is_told_where_verdicts_show_one_and_only_there(tables):
    def told(**verdicts):
        return next(note.text for note in made(tables, comparisons=answered(tables, **verdicts)).notes)

    assert told(b32="slower", b128="undecided", b512="faster") == (
        "small CNN: between batch 32 and 512, PyTorch becomes the faster."
    )
    assert told(b32="slower", b128="undecided", b512="undecided") == "No flip is shown from batch 32 to 512."
    one_size = simulated.campaign(blocks=SMALL[:1])
    assert made(one_size).notes[0].text == "One batch size was measured, so this is not known."


def test_the_best_settings_that_turn_the_answer_are_a_flip_too():
    tables = simulated.campaign(blocks=SMALL[1:2], tracks=["default", "tuned"], noise=0.01)
    rows = answered(tables, b128="slower")
    tuned = (rows["track"] == "tuned") & (rows["framework"] == "pytorch") & (rows["reference"] == "keras-tensorflow")
    rows.loc[tuned, ["ratio", "ci_low", "ci_high", "verdict"]] = [1.5, 1.4, 1.6, "faster"]
    shown = made(tables, comparisons=rows)
    assert shown.headline == ["As documented: Keras is 2.00 times as fast.", "Tuned: PyTorch is 1.50 times as fast."]
    assert shown.notes[0].text == "small CNN, batch 128: with the best settings of each, PyTorch becomes the faster."
    assert [group.title for group in shown.groups] == ["As documented", "Best settings of each"]


def test_how_sure_gives_the_differences_found_and_the_rounds_that_decide(tables):
    texts = {note.title: note.text for note in made(tables, comparisons=answered(tables, b32="undecided")).notes}
    assert texts["How sure?"].startswith("At this noise, these rounds find differences of ")
    assert "Up to 12 rounds decide 1 of the 1 undecided. That takes about 6.0 minutes more." in texts["How sure?"]


@pytest.mark.parametrize(
    ("finds", "said"),
    [(0.0083, "0.8 %"), (0.123, "12 %"), (1.5, "150 %"), (74656.22, ">1,000 %"), (float("inf"), ">1,000 %")],
)
def test_a_difference_that_rounds_find_is_told_to_two_digits(tables, finds, said):
    comparisons = answered(tables, b32="undecided")
    comparisons.loc[comparisons["verdict"] == "undecided", "finds"] = finds
    assert f"these rounds find {said};" in made(tables, comparisons=comparisons).groups[0].rows[0].says


def test_settings_are_told_with_a_gain_only_where_it_is_shown():
    tables = simulated.campaign(blocks=SMALL[1:2], tracks=["default", "tuned"], noise=0.01)

    def told(effects):
        return next(note.text for note in made(tables, effects=effects).notes if note.title == "What is “tuned”?")

    assert "PyTorch: tbbmalloc, channels-last, 1.8" in told(tables.effects)
    assert "Keras: as documented, as the search showed nothing faster." in told(tables.effects)
    assert "PyTorch: tbbmalloc, channels-last." in told(tables.effects.assign(verdict="not shown"))


def test_without_a_question_every_pair_with_the_baseline_has_its_rows(tables):
    shown = made(tables, question=None)
    assert shown.question == "Which framework on A CPU?"
    assert [row.name for row in shown.groups[0].rows][:2] == [
        "small CNN, batch 32, Keras (TensorFlow) ÷ TensorFlow",
        "small CNN, batch 32, PyTorch ÷ TensorFlow",
    ]


def test_at_most_ten_rows_are_shown_and_the_others_counted():
    blocks = [("article-cnn", "device", 2**i) for i in range(3, 15)]
    shown = made(simulated.campaign(blocks=blocks, rounds=3))
    rows = [row for group in shown.groups for row in group.rows]
    assert [row.name for row in rows] == ["small CNN, batch 128"] and len(rows) <= MOST_ROWS
    assert shown.left_out == "11 more rows: comparisons.csv"


def test_korean_has_all_of_it(tables):
    comparisons = answered(tables, b32="slower", b128="undecided", b512="same")
    english, korean = (made(tables, comparisons=comparisons, language=name) for name in ("en", "ko"))
    assert len(korean.notes) == len(english.notes) and len(korean.headline) == len(english.headline)
    assert korean.headline == ["문서에 나온 설정: 비교 3건 중 1건에서 Keras가 빠르고, PyTorch가 빠른 경우는 없음."]


def written(tmp_path, tables) -> Path:
    """The text that the command writes of these tables."""
    needed = {name: tmp_path / f"{name}.csv" for name in command.NEEDS}
    for name, path in needed.items():
        tables.by_name()[name].to_csv(path, index=False)
    options = [f"--{name}={path}" for name, path in needed.items()]
    text, shown = tmp_path / "verdict.en.txt", tmp_path / "verdict.en.json"
    asked = ["--question", *simulated.QUESTION, "--baseline=tensorflow", "--language=en"]
    command.main([*options, *asked, f"--output={text}", f"--screen={shown}"])
    return text


def test_two_devices_of_one_model_are_named_by_the_model_and_their_own_names(tmp_path):
    """Two partitions of nodes with one processor, or two requests for one card, had the same lines."""
    west, east, other = "the P100 (west)", "the P100 (east)", "a K80"
    gpus = {"west": "the P100", "east": "the P100", "other": "a K80"}
    text = written(tmp_path, simulated.campaign(blocks=SMALL[:1], gpus=gpus)).read_text(encoding="utf-8")
    for one in (west, east, other):
        assert f"- On {one}, PyTorch is " in text, "the sentences"
        assert f"\n{one}: As documented" in text, "the table"
    assert text.startswith(f"PyTorch or Keras (TensorFlow) on {east}, {other}, {west}?")
    page = read(tmp_path, "en").measurements
    assert selection.device_name(page, "west") == west
    # On two machines, the machines tell them apart.
    merged = page.assign(device=page["device"].map({"west": "a@x", "east": "a@y", "other": "b@x"}))
    merged["device_name"] = "the P100"
    named = machines.told_apart(merged)
    assert {device: selection.device_name(named, device) for device in ("a@x", "a@y", "b@x")} == {
        **{"a@x": "the P100 (a) (x)", "a@y": "the P100 (y)", "b@x": "the P100 (b) (x)"},
    }


def test_the_command_writes_the_screen_and_the_sentences_for_people_and_for_the_end_of_a_campaign(tmp_path, tables):
    lines = written(tmp_path, tables).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "PyTorch or Keras (TensorFlow) on A CPU?"
    assert "In detail" in lines and any(line.startswith("- On A CPU, ") for line in lines)
    assert max(map(len, lines)) <= terminal.FILE_WIDTH and not any(line != line.rstrip() for line in lines)
    # A terminal shows the same.
    console = Console(file=StringIO(), width=terminal.FILE_WIDTH, color_system=None)
    terminal.show(json.loads((tmp_path / "verdict.en.json").read_text(encoding="utf-8")), console)
    assert [line.rstrip() for line in console.file.getvalue().splitlines()] == lines[: lines.index("In detail") - 1]


def test_a_terminal_shows_hostile_names_as_they_are(tables):
    measurements = tables.measurements.assign(device_name="[bold]evil[/] :smile:")
    console = Console(file=StringIO(), width=200, color_system=None)

    terminal.show(asdict(made(tables, measurements=measurements)), console)
    assert "[bold]evil[/] :smile:?" in console.file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_cut_off_on_a_narrow_terminal(tables, width):

    console = Console(file=StringIO(), width=width, color_system=None)
    terminal.show(asdict(made(tables)), console)
    said = console.file.getvalue()
    assert "…" not in said and max(map(len, said.splitlines())) <= width
    assert all(words in said for words in ("1.4", "small", "128"))


@pytest.mark.parametrize(("started", "older"), [(None, False), (-60, False), (60, True)])
def test_an_answer_from_before_a_failed_invocation_is_called_older(tmp_path, capsys, tables, started, older):
    screen_file = tmp_path / "verdict.en.json"
    screen_file.write_text(json.dumps(asdict(made(tables))), encoding="utf-8")
    at = None if started is None else screen_file.stat().st_mtime + started
    terminal.end(tmp_path, "en", ["Proof of mine: equal"], started=at)
    said = capsys.readouterr().err
    assert ("the answer of an earlier invocation" in said) == older
    assert said.splitlines()[-2] == "Proof of mine: equal"
    assert said.splitlines()[-1].startswith(f"Page: {tmp_path}/report.en.html   Details: ")


def test_without_an_answer_only_missing_runs_are_told(tmp_path, capsys):
    terminal.end(tmp_path, "en", ["a line"])
    assert capsys.readouterr().err == ""
    terminal.end(tmp_path, "en", ["a line"], missing="1 of 2 runs are there.")
    assert capsys.readouterr().err == "1 of 2 runs are there.\n"
