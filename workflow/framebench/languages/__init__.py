"""The words of page, figures and verdict: one YAML file per language beside this module, found by its name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent

# Decides which keys every language must have.
REFERENCE = "en"


class LanguageError(ValueError):
    """A language that does not exist, or a text that its file lacks."""


@dataclass(frozen=True)
class Language:
    """The texts of one language; `language["title_memory"]` is the text of that key."""

    name: str
    texts: Mapping[str, Any]

    def __getitem__(self, key: str) -> str:
        if key not in self.texts:
            raise LanguageError(f"languages/{self.name}.yaml has no text '{key}'")
        return self.texts[key]

    @property
    def fonts(self) -> list[str]:
        """Font families in the order in which a glyph is looked for."""
        return self.texts["fonts"]

    @property
    def characters(self) -> set[str]:
        """Every character of its texts."""
        return set(json.dumps(self.texts, ensure_ascii=False))

    def workload(self, name: str) -> str:
        """Title of a workload; its name where the language has no title for it."""
        return self.texts["workloads"].get(name, name)

    def workload_in_short(self, name: str) -> str:
        """Words for a workload where there is little room; its name where the language has none."""
        return self.texts["workloads_in_short"].get(name, name)

    def setting_in_short(self, name: str) -> str:
        """Words for a tuned setting, with the placeholder {value}; name and value where the language has none."""
        return self.texts["settings_in_short"].get(name, f"{name}={{value}}")

    def setting(self, name: str) -> str:
        """What a tuned setting removes, with the placeholder {value}; name and value where there is no text for it."""
        return self.texts["settings"].get(name, f"{name}={{value}}")


def languages() -> list[str]:
    """Names of all languages, sorted."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def load(name: str) -> Language:
    """The language `name`; LanguageError where there is none, or where it lacks a key of the reference."""
    if name not in languages():
        raise LanguageError(f"unknown language '{name}'; there is: {', '.join(languages())}")
    texts = _read(name)
    for key in _read(REFERENCE):
        if key not in texts:
            raise LanguageError(f"languages/{name}.yaml has no text '{key}'")
    return Language(name, texts)


def _read(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
