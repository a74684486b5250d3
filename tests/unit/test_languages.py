"""Every language has the same texts, and names those that it lacks."""

import copy
from functools import cache

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from framebench import languages
from framebench.analyse.tables import tables
from framebench.certify.page import CIRCUMSTANCES
from framebench.figures import command
from framebench.measure import checks, story, supervisor
from framebench.plan import catalogue
from framebench.record import BUSY, STAND_IN
from framebench.report import surroundings
from framebench.report.results import OF_MERGE

pytestmark = pytest.mark.check

EVERY = languages.languages()


def texts(name):
    return copy.deepcopy(read(name))


@cache
def read(name):
    return yaml.safe_load((languages.FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def test_english_and_korean_exist():
    assert {"en", "ko"} <= set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_every_language_loads(name):
    assert languages.load(name).texts == texts(name)


@pytest.mark.parametrize("name", EVERY)
def test_every_setting_of_every_framework_has_a_text_and_every_track_a_name(name):
    for framework in catalogue.frameworks():
        adapter = catalogue.adapter(framework)
        assert adapter.defaults.keys() <= texts(name)["settings"].keys()
        assert {f"track_{track}" for track in adapter.tracks} <= texts(name).keys()


def test_every_table_column_and_flag_that_the_page_shows_has_words():
    shown = languages.load(languages.REFERENCE).texts
    assert {*tables(), *OF_MERGE} <= shown["tables"].keys()
    columns = {*surroundings.OF_DEVICE, *surroundings.OF_FRAMEWORK, *surroundings.OF_CAMPAIGN, *CIRCUMSTANCES}
    assert columns == shown["columns"].keys()
    flags = {BUSY, supervisor.SHARED, story.NOT_TOLD, checks.LOOP, STAND_IN, "warmup_not_converged"}
    assert flags <= shown["values"].keys()


def test_names_without_words_are_shown_unchanged():
    language = languages.load("ko")
    assert [language.table("x.csv"), language.column("x"), language.value(3)] == ["x.csv", "x", "3"]
    assert [language.value(True), language.value("cpu")] == ["예", "CPU"]


# The glossary in ko.yaml has one word for each concept; these are the other words.
OTHER_WORDS = [
    *["셀", "장비", "인증서", "흩어", "뒤집", "카드", "웜업", "반복", "안내서", "거르기", "동일"],
    *("신뢰 구간", "상대 속도", "처리량의 비", "장치 입력", "호스트 입력", "원본 행", "튜닝한 설정", "} 쪽이", " ~ "),
]


@pytest.mark.parametrize("word", OTHER_WORDS)
def test_korean_has_one_word_for_a_concept(word):
    found = [key for key, text in texts("ko").items() if word in str(text)]
    assert not found


def test_a_workload_without_a_title_is_shown_by_its_name():
    assert languages.load("ko").workload("no-such-workload") == "no-such-workload"


def test_a_setting_without_a_text_is_shown_by_its_name_and_value():
    assert languages.load("ko").setting("no_such_setting").format(value=3) == "no_such_setting=3"


def test_an_unknown_language_is_refused_with_what_there_is():
    with pytest.raises(languages.LanguageError, match="unknown language 'tlh'; there is: en, ko"):
        languages.load("tlh")


def test_a_key_that_no_file_has_is_named_with_its_file():
    with pytest.raises(languages.LanguageError, match=r"languages/ko\.yaml has no text 'no_such_key'"):
        languages.load("ko")["no_such_key"]


def test_a_third_language_is_one_more_file(tmp_path, monkeypatch):
    monkeypatch.setattr(languages, "FOLDER", tmp_path)
    for name in ("en", "xx"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"fonts": ["DejaVu Sans"], "a": name}), encoding="utf-8")
    assert languages.languages() == ["en", "xx"]
    assert languages.load("xx")["a"] == "xx"


ENGLISH = {
    "fonts": ["DejaVu Sans"],
    "title": "Speed of {device}",
    "cost": "{ms:,.2f} ms ({low:.2f} to {high:.2f})",
    "legend": "Problem",
    "settings": {"compile": "compiling", "fused": "{value} at once"},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of languages with English in it, where a test writes `xx`."""
    monkeypatch.setattr(languages, "FOLDER", tmp_path)
    write(tmp_path, "en", ENGLISH)
    return tmp_path


def write(folder, name, content):
    folder.joinpath(f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def changed(**texts):
    """A translation of ENGLISH with other texts, without those that are None."""
    return {key: text for key, text in (copy.deepcopy(ENGLISH) | texts).items() if text is not None}


ALLOWED = r"allowed are the keys of languages/en\.yaml"
WRONG = [
    (changed(title=None), "no text 'title'; allowed is a translation"),
    (changed(title=None, legend=None), "no text 'legend', 'title'; allowed"),
    (changed(title=None, titel="{device}"), f"unknown text 'titel'; did you mean 'title'\\? (?i:{ALLOWED})"),
    (changed(titles="{device}"), "unknown text 'titles'; did you mean 'title'"),
    (changed(zzz="a"), f"unknown text 'zzz'; {ALLOWED}"),
    (changed(title="Speed"), r"in 'title' no placeholder {device}; allowed: {device}"),
    (changed(title="{devise} {device}"), r"in 'title' the unknown placeholder {devise}; allowed: {device}"),
    (changed(legend="{device}"), r"in 'legend' the unknown placeholder {device}; allowed: none"),
    (changed(title="{} {device}"), r"in 'title' the unknown placeholder {}; allowed: {device}"),
    (changed(title="{device.name} {device}"), r"in 'title' the unknown placeholder {device\.name}; allowed"),
    (changed(title="{device"), r"in 'title' a brace that belongs to no placeholder .*; allowed: {device}"),
    (changed(title="{device:.2f}"), r"in 'title' a format of {device} that does not fit"),
    (changed(cost="{ms:q} {low} {high}"), r"in 'cost' a format of {ms} that does not fit"),
    (changed(legend=False), "no text in 'legend' but False; allowed is a text"),
    (changed(legend=" "), "no text in 'legend' but ' '"),
    (changed(fonts="DejaVu Sans"), r"no list in 'fonts'; allowed is such as \[DejaVu Sans"),
    (changed(fonts=[]), "no list in 'fonts'"),
    (changed(direction="right"), "direction 'right'; allowed: ltr, rtl"),
    (changed(settings="none"), "no map in 'settings'; allowed are the keys compile, fused"),
    (changed(settings={"compile": "a"}), "no text 'settings: fused'; allowed"),
    (changed(settings={"compile": "a", "fusd": "{value}"}), "unknown text 'settings: fusd'; did you mean 'fused'"),
    (
        changed(settings={"compile": "a", "fused": "a"}),
        r"in 'settings: fused' no placeholder {value}; allowed: {value}",
    ),
]


@pytest.mark.parametrize(("content", "told"), WRONG, ids=[told for _, told in WRONG])
def test_a_wrong_text_is_told_in_a_line_with_file_key_and_what_is_allowed(folder, content, told):
    write(folder, "xx", content)
    with pytest.raises(languages.LanguageError, match=rf"^languages/xx\.yaml has (an? |the )?{told}") as refused:
        languages.load("xx")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2\n", r"xx\.yaml: line 2, column 1: the key 'a' occurs twice"),
        ("a: 'b\n", r"xx\.yaml: line \d+, column \d+: "),
        ("a: \x07\n", r"xx\.yaml is not YAML"),
        ("- a\n", r"xx\.yaml holds no keys"),
        ("", r"xx\.yaml holds no keys"),
    ],
)
def test_a_file_that_is_no_map_of_texts_is_told_in_a_line(folder, text, told):
    (folder / "xx.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(languages.LanguageError, match=told) as refused:
        languages.load("xx")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        changed(title="{device}의 속도"),
        changed(cost="{high:.1f}, {low}, {ms:.0f}, {ms}"),
        changed(legend="100 %, {{braces}}"),
        changed(direction="rtl"),
    ],
)
def test_order_number_and_number_formats_of_placeholders_are_free(folder, content):
    write(folder, "xx", content)
    assert languages.load("xx").texts == content


def test_the_direction_of_a_language_is_left_to_right_unless_it_says_otherwise(folder):
    for name, direction in (("xx", None), ("yy", "rtl")):
        write(folder, name, changed(direction=direction))
    assert [languages.load(name).direction for name in ("xx", "yy")] == ["ltr", "rtl"]


# A text, or one of a map, by the keys that lead to it.
PLACES = [
    (key, inner)
    for key, text in texts(languages.REFERENCE).items()
    if key != "fonts"
    for inner in (text if isinstance(text, dict) else [None])
]


@given(st.sampled_from(PLACES), st.sampled_from(["delete", "misspell", "add {placeholder}", "drop placeholders"]))
def test_whatever_text_of_the_real_file_is_spoilt_its_key_is_told(place, how):
    content = texts(languages.REFERENCE)
    key, inner = place
    where, last = (content[key], inner) if inner else (content, key)
    if how == "delete":
        del where[last]
    elif how == "misspell":
        where[f"{last}_"] = where.pop(last)
    elif how == "add {placeholder}":
        where[last] += " {placeholder}"
    elif "{" in where[last]:
        where[last] = "words"
    else:
        return
    found = list(languages._faults(content, texts(languages.REFERENCE)))
    assert found
    assert all(f"{key}: {inner}" in fault if inner else f"'{key}" in fault for fault in found)


def test_a_command_says_it_in_a_line(folder, monkeypatch):
    write(folder, "xx", changed(title="Speed"))
    with pytest.raises(SystemExit, match=r"^error: languages/xx\.yaml has in 'title' no placeholder {device}"):
        outputs = [f"--output-{kind}=a" for kind in ("svg", "png", "caption")]
        command.main(["article-2018-k80", "--language=xx", *outputs])
