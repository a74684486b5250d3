"""Every language says the same things, and says what it lacks."""

import string

import pytest
import yaml

from framebench import languages
from framebench.plan import catalogue

pytestmark = pytest.mark.check

EVERY = languages.languages()


def texts(name):
    return yaml.safe_load((languages.FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def placeholders(text):
    return sorted((field, form) for _, field, form, _ in string.Formatter().parse(text) if field is not None)


def test_english_and_korean_exist():
    assert {"en", "ko"} <= set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_a_language_has_the_keys_of_the_reference_and_no_other(name):
    assert texts(name).keys() == texts(languages.REFERENCE).keys()


@pytest.mark.parametrize("name", EVERY)
def test_placeholders_agree_with_the_reference(name):
    reference = texts(languages.REFERENCE)
    for key, text in texts(name).items():
        if isinstance(text, str):
            assert placeholders(text) == placeholders(reference[key]), key
    assert texts(name)["settings"].keys() == reference["settings"].keys()
    for setting, text in texts(name)["settings"].items():
        assert placeholders(text) == placeholders(reference["settings"][setting]), setting


@pytest.mark.parametrize("name", EVERY)
def test_every_setting_of_every_framework_has_a_text_and_every_track_a_name(name):
    for framework in catalogue.frameworks():
        adapter = catalogue.adapter(framework)
        assert adapter.defaults.keys() <= texts(name)["settings"].keys()
        assert {f"track_{track}" for track in adapter.tracks} <= texts(name).keys()


@pytest.mark.parametrize("name", EVERY)
def test_every_text_is_a_text(name):
    for key, text in texts(name).items():
        if key not in ("fonts", "workloads", "settings", "workloads_in_short", "settings_in_short"):
            assert isinstance(text, str), key
            assert text, key


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
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"fonts": ["DejaVu Sans"], "a": name}))
    assert languages.languages() == ["en", "xx"]
    assert languages.load("xx")["a"] == "xx"


def test_a_language_that_lacks_a_key_is_refused_with_file_and_key(tmp_path, monkeypatch):
    monkeypatch.setattr(languages, "FOLDER", tmp_path)
    (tmp_path / "en.yaml").write_text("a: 1\nb: 2\n")
    (tmp_path / "xx.yaml").write_text("a: 1\n")
    with pytest.raises(languages.LanguageError, match=r"languages/xx\.yaml has no text 'b'"):
        languages.load("xx")
