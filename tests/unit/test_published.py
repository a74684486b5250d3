"""Every published table, verdict and page, and every statement about them, follows from the archived raw records."""

import html
import json
import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from conftest import PROJECT
from framebench import languages
from framebench.analyse import aa, command
from framebench.analyse.tables import of_campaign, tables
from framebench.exchange.results import ROUNDS, is_certificate, is_run, is_tuning
from framebench.exchange.sealed import unpacked
from framebench.frameworks import self_comparison
from framebench.plan import matrix

pytestmark = pytest.mark.check

PUBLISHED = PROJECT / "results" / "published"
ARCHIVE = "framebench-results.zip"
SETS = sorted(path for path in PUBLISHED.iterdir() if path.is_dir())
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
# The campaigns of the sets, and of the frameworks against themselves inside a set.
CAMPAIGNS = sorted(path.parent for path in PUBLISHED.rglob(ARCHIVE))
OF_AA = ("measurements", "comparisons")
QUESTION = ("--question", "pytorch", "keras-tensorflow")
MARGINS = ("--same-within", '{"cpu": 0.1, "gpu": 0.03}')
BLOCK = ("device", "workload", "track", "precision", "input", "batch_size")
# Sentences that compare two frameworks, in every language; those on tuning and on the number of comparisons do not.
COMPARES = re.compile("times as fast as|is as fast as|it is undecided|배 빠르|배 빠릅니다|이내로 같습니다|결론이 나지")

of_sets = pytest.mark.parametrize("folder", SETS, ids=lambda path: path.name)
of_campaigns = pytest.mark.parametrize(
    "folder", CAMPAIGNS, ids=lambda path: path.relative_to(PUBLISHED).as_posix().replace("/", "-")
)


@cache
def archived(folder: Path) -> Mapping[str, bytes]:
    return unpacked(folder / ARCHIVE)[0]


def records(folder: Path) -> list[dict]:
    """The raw records of a campaign in the order in which they were measured."""
    found = [json.loads(content) for name, content in archived(folder).items() if is_run(name)]
    return sorted(found, key=lambda record: record["order"])


def certificates(folder: Path) -> dict[str, dict]:
    """Certificates by path; a campaign of the frameworks against themselves counts under those of its set."""
    of = archived(folder if folder in SETS else folder.parent)
    return {name: json.loads(content) for name, content in of.items() if is_certificate(name)}


def certificate_of(record: Mapping) -> str:
    return f"certificates/{record['workload']}/{self_comparison.base(record['framework'])}.json"


def rows(folder: Path, name: str) -> list[dict]:
    return pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False).to_dict("records")


def unfolded(text: str) -> str:
    return " ".join(text.split())


def sentences(folder: Path, language: str) -> list[str]:
    """The sentences in the list at the end of a verdict, each in one line."""
    _, *found = (folder / f"verdict.{language}.txt").read_text(encoding="utf-8").split("\n- ")
    return [unfolded(one) for one in found]


def numbers(text: str) -> list[str]:
    return re.findall(r"\d[\d.,]*", text)


@pytest.fixture(scope="module")
def recomputed(tmp_path_factory):
    """A function that makes the tables of a campaign from its archive, as workflow/rules/tables.smk does."""

    @cache
    def made(folder: Path) -> Path:
        results = tmp_path_factory.mktemp("results")
        proofs = {certificate_of(record) for record in records(folder)}
        inside = archived(folder) | {name: archived(folder.parent)[name] for name in proofs - archived(folder).keys()}
        for name, content in inside.items():
            (results / name).parent.mkdir(parents=True, exist_ok=True)
            (results / name).write_bytes(content)
        plan = results / "plan.txt"
        plan.write_text(
            "".join(f"{results / matrix.RECORD.format(**record)}\n" for record in records(folder)), encoding="utf-8"
        )
        ruled = [results / ROUNDS] if ROUNDS in inside else []
        files = {"records": [plan], "rounds": ruled, "certificates": [results / name for name in sorted(proofs)]}
        # Each table comes after those that it needs.
        waiting = of_campaign() if folder in SETS else list(OF_AA)
        while waiting:
            name = next(one for one in waiting if not set(tables()[one].needs) & set(waiting))
            needs = [need for need in tables()[name].needs if need in tables() or need in files]
            words = [(f"--{need}", *files.get(need, [results / f"{need}.csv"])) for need in needs]
            settings = {"confidence": ("--confidence", 0.95), "same_within": MARGINS, "across_cards": ()}
            # The campaign of frameworks against themselves has no question.
            settings["question"] = QUESTION if folder in SETS else ()
            words += [settings[setting] for setting in tables()[name].settings]
            output = ("--output", results / f"{name}.csv")
            command.main([name, *(str(word) for option in [*words, output] for word in option)])
            waiting.remove(name)
        return results

    return made


@of_campaigns
def test_every_published_table_is_made_again_from_the_archive(folder, recomputed):
    made = recomputed(folder)
    assert {path.name for path in folder.glob("*.csv")} == {path.name for path in made.glob("*.csv")}
    for path in folder.glob("*.csv"):
        published, again = pd.read_csv(path), pd.read_csv(made / path.name)
        # An older table lacks the columns that came later.
        pd.testing.assert_frame_equal(published, again[list(published.columns)], rtol=1e-9, obj=path.name)


@of_campaigns
def test_every_published_ratio_is_that_of_the_raw_records(folder):
    """Ratios by hand: an error in the commands that make the tables would be in both sides of the test above."""
    speeds: dict[tuple, dict[int, float]] = {}
    for record in records(folder):
        cell = (*(str(record[key]) for key in BLOCK), record["framework"])
        speeds.setdefault(cell, {})[record["round"]] = record["images_per_s"]
    assert rows(folder, "comparisons")
    for row in rows(folder, "comparisons"):
        block = tuple(row[key] for key in BLOCK)
        ours, theirs = speeds[*block, row["framework"]], speeds[*block, row["reference"]]
        logs = [math.log(ours[number] / theirs[number]) for number in ours.keys() & theirs.keys()]
        assert int(row["rounds"]) == len(logs)
        assert float(row["ratio"]) == pytest.approx(math.exp(sum(logs) / len(logs)))


@of_campaigns
def test_every_published_number_is_certified(folder):
    proofs, measured = certificates(folder), rows(folder, "measurements")
    assert measured
    for row in measured:
        certificate = proofs[certificate_of(row)]
        assert certificate["passed"]
        assert certificate["id"] == row["certificate"]


@of_campaigns
def test_nothing_published_was_made_with_a_stand_in_for_a_driver(folder):
    assert records(folder)
    assert not [record for record in records(folder) if "stand_in" in record["flags"]]


@of_campaigns
def test_every_tuned_run_had_the_settings_that_its_archived_search_chose(folder):
    searches = {name: json.loads(content) for name, content in archived(folder).items() if is_tuning(name)}
    tuned = [record for record in records(folder) if record["track"] == "tuned"]
    place = "tuning/{device}/{workload}/{framework}/{precision}/{input}.json"
    assert {place.format(**record) for record in tuned} == searches.keys()
    for record in tuned:
        search = searches[place.format(**record)]
        assert json.loads(record["tuning"]) == search["chosen"]
        assert search["chosen"] in [trial["settings"] for trial in search["trials"]]


@of_sets
def test_every_published_verdict_says_the_numbers_of_the_comparisons(folder):
    with_interval = [row for row in rows(folder, "comparisons") if row["ci_low"]]
    compared = [[float(row[key]) for key in ("ratio", "ci_low", "ci_high")] for row in with_interval]
    for language in languages.languages():
        assert any(map(COMPARES.search, sentences(folder, language)))
        for sentence in sentences(folder, language):
            if COMPARES.search(sentence):
                said = re.findall(r"\d+\.\d\d+", sentence)[:3]
                decimals = [len(text.partition(".")[2]) for text in said]
                assert said in [[f"{one:.{n}f}" for one, n in zip(row, decimals, strict=True)] for row in compared]


@of_sets
def test_every_published_page_says_the_verdict_and_links_to_nothing_that_is_missing(folder):
    for language in languages.languages():
        page = (folder / f"report.{language}.html").read_text(encoding="utf-8")
        words = unfolded(html.unescape(page))
        headline = (folder / f"verdict.{language}.txt").read_text(encoding="utf-8").splitlines()[:2]
        for sentence in [*headline, *sentences(folder, language)]:
            # A line breaks between any two Korean letters.
            assert sentence.replace(" ", "") in words.replace(" ", "")
        for link in re.findall(r'<a\b[^>]* href="([^"#][^"]*)"', page):
            assert (folder / link).is_file(), f"report.{language}.html: {link}: made without --archive {ARCHIVE}?"


@pytest.mark.parametrize("folder", [path for path in CAMPAIGNS if path.name == "aa"], ids=lambda path: path.parent.name)
def test_the_frameworks_against_themselves_are_reported_in_the_numbers_of_the_tables(folder, recomputed, tmp_path):
    tables = [f"--{name}={recomputed(folder) / name}.csv" for name in OF_AA]
    aa.main([*tables, f"--output={tmp_path / 'aa.md'}"])
    assert numbers((folder / "aa.md").read_text(encoding="utf-8")) == numbers(
        (tmp_path / "aa.md").read_text(encoding="utf-8")
    )


def test_the_readme_shows_the_screen_of_a_published_set():
    screens = [(folder / "verdict.en.txt").read_text(encoding="utf-8").split("\n\nIn detail")[0] for folder in SETS]
    (shown,) = re.findall(
        r"```text\n(PyTorch or Keras.*?)\n\nPage: ", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert shown in screens
