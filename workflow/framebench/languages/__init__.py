"""The words of page, figures and verdict: one YAML file per language beside this module, found by its name."""

import difflib
import json
import string
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from framebench.unique_keys import UniqueKeyLoader, problem

FOLDER = Path(__file__).parent

# The reference: its keys are required in every language, and its placeholders in each text.
REFERENCE = "en"

DIRECTIONS = ("ltr", "rtl")
# Optional keys of a language.
OPTIONAL = ("direction",)
# Types of values in a text; a number takes formats that a word does not.
SAMPLES: tuple[Any, ...] = ("words", 1, 1.5)


class LanguageError(ValueError):
    """A language does not exist or its file is wrong; one line with the file, the key and what is allowed."""


@dataclass(frozen=True)
class Language:
    """The texts of one language; `language["title_memory"]` is the text of that key."""

    name: str
    texts: Mapping[str, Any]

    def __getitem__(self, key: str) -> str:
        if key not in self.texts:
            raise LanguageError(f"{_file(self.name)} has no text '{key}'")
        return self.texts[key]

    @property
    def fonts(self) -> list[str]:
        """Font families in the order in which they are searched for a glyph."""
        return self.texts["fonts"]

    @property
    def direction(self) -> str:
        """One of DIRECTIONS, by HTML's names."""
        return self.texts.get("direction", DIRECTIONS[0])

    @property
    def characters(self) -> set[str]:
        """Every character of its texts."""
        return set(json.dumps(self.texts, ensure_ascii=False))

    def workload(self, name: str) -> str:
        """Title of a workload; without a title, its name."""
        return self.texts["workloads"].get(name, name)

    def workload_in_short(self, name: str) -> str:
        """Short words for a workload; without them, its name."""
        return self.texts["workloads_in_short"].get(name, name)

    def setting_in_short(self, name: str) -> str:
        """Words for a tuned setting, with the placeholder {value}; without them, name and value."""
        return self.texts["settings_in_short"].get(name, f"{name}={{value}}")

    def setting(self, name: str) -> str:
        """The work that a tuned setting removes, with the placeholder {value}; without a text, name and value."""
        return self.texts["settings"].get(name, f"{name}={{value}}")

    def table(self, name: str) -> str:
        """Title of a table; without a title, its name, as for a file."""
        return self.texts["tables"].get(name, name)

    def column(self, name: str) -> str:
        """Words, with the unit, for a field of records and certificates; without them, its name."""
        return self.texts["columns"].get(name, name)

    def value(self, value: object) -> str:
        """Words for a recorded value; without them, the value itself."""
        return self.texts["values"].get(str(value), str(value))


def languages() -> list[str]:
    """Names of all languages, sorted."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def load(name: str) -> Language:
    """The language `name`; LanguageError if there is none, or if its keys are not those of the reference."""
    if name not in languages():
        raise LanguageError(f"unknown language '{name}'; there is: {', '.join(languages())}")
    texts = _read(name)
    for fault in _faults(texts, texts if name == REFERENCE else _read(REFERENCE)):
        raise LanguageError(f"{_file(name)} {fault}")
    return Language(name, texts)


def _file(name: str) -> str:
    return f"languages/{name}.yaml"


def _read(name: str) -> dict[str, Any]:
    try:
        texts = yaml.load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), Loader=UniqueKeyLoader)
    except yaml.MarkedYAMLError as error:
        raise LanguageError(f"{_file(name)}: {problem(error)}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise LanguageError(f"{_file(name)} is not YAML in UTF-8: {' '.join(str(error).split())}") from None
    if not isinstance(texts, dict):
        raise LanguageError(f"{_file(name)} holds no keys; it must have those of {_file(REFERENCE)}")
    return texts


def _faults(texts: Mapping[str, Any], reference: Mapping[str, Any]) -> Iterator[str]:
    """Every problem in the texts of a file; a problem that hides others comes first."""
    yield from _faults_of_keys(texts.keys() - OPTIONAL, reference.keys() - OPTIONAL)
    if texts.get("direction", DIRECTIONS[0]) not in DIRECTIONS:
        yield f"has the direction {texts['direction']!r}; allowed: {', '.join(DIRECTIONS)}"
    for key in [key for key in reference if key in texts and key not in OPTIONAL]:
        text, wanted = texts[key], reference[key]
        if isinstance(wanted, list):
            if not (isinstance(text, list) and text and all(isinstance(one, str) and one for one in text)):
                yield f"has no list in '{key}'; allowed is such as [{', '.join(wanted)}]"
        elif not isinstance(wanted, dict):
            yield from _faults_of_text(key, text, wanted)
        elif isinstance(text, dict):
            yield from _faults_of_keys(text.keys(), wanted.keys(), f"{key}: ")
            for inner in [inner for inner in wanted if inner in text]:
                yield from _faults_of_text(f"{key}: {inner}", text[inner], wanted[inner])
        else:
            yield f"has no map in '{key}'; allowed are the keys {', '.join(wanted)}"


def _faults_of_keys(keys: Set[str], wanted: Set[str], within: str = "") -> Iterator[str]:
    missing = sorted(wanted - keys)
    for key in sorted(map(str, keys - wanted)):
        # A missing key is likelier meant than one that is already there.
        near = [*difflib.get_close_matches(key, missing, n=1), *difflib.get_close_matches(key, wanted, n=1)]
        meant = f"did you mean '{near[0]}'? Allowed" if near else "allowed"
        yield f"has an unknown text '{within}{key}'; {meant} are the keys of {_file(REFERENCE)}"
    if missing:
        names = ", ".join(f"'{within}{key}'" for key in missing)
        yield f"has no text {names}; allowed is a translation of that in {_file(REFERENCE)}"


def _faults_of_text(key: str, text: Any, reference: str) -> Iterator[str]:
    """The problem in one text, if any. Order, number and number formats of its {placeholders} are free."""
    if not isinstance(text, str) or not text.strip():
        yield f"has no text in '{key}' but {text!r}; allowed is a text, in quotes where YAML takes it for another thing"
        return
    wanted = _placeholders(reference)
    allowed = f"allowed: {', '.join(f'{{{name}}}' for name in sorted(wanted)) or 'none'}"
    try:
        found = _placeholders(text)
    except ValueError as error:
        yield f"has in '{key}' a brace that belongs to no placeholder ({error}); {allowed}, and {{{{ for a brace"
        return
    for name in sorted(found.keys() - wanted):
        yield f"has in '{key}' the unknown placeholder {{{name}}}; {allowed}"
    for name in sorted(wanted.keys() - found):
        yield f"has in '{key}' no placeholder {{{name}}}; {allowed}"
    for name in sorted(wanted.keys() & found):
        if any(_takes(wanted[name], value) and not _takes(found[name], value) for value in SAMPLES):
            yield f"has in '{key}' a format of {{{name}}} that does not fit its values; allowed: {reference!r}"


def _placeholders(text: str) -> dict[str, list[str]]:
    """Name → number formats of each {placeholder}."""
    found: dict[str, list[str]] = {}
    for _, name, form, _ in string.Formatter().parse(text):
        if name is not None:
            found.setdefault(name, []).append(form or "")
    return found


def _takes(forms: Iterable[str], value: Any) -> bool:
    """True if a value can be written in all of these formats."""
    try:
        for form in forms:
            format(value, form)
    except ValueError:
        return False
    return True
