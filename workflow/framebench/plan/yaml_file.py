"""YAML read strictly: a key that occurs twice, or a number that YAML reads as another one, is refused."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from framebench.plan.refusals import ConfigError, shown
from framebench.unique_keys import UniqueKeyLoader, problem

MOST_CHARACTERS = 100_000  # read in about two seconds


def readable(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; ConfigError where there is none or a key occurs twice."""
    try:
        content = _read(Path(path).read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds {shown(content)}; it must hold keys, each with a value")
    return content


def given(entries: Iterable[str]) -> list[dict[str, Any]]:
    """The groups of one key that entries KEY=VALUE of --config stand for; ConfigError as for a file."""
    split = (entry.partition("=") for entry in entries)
    return [{key: _read(text, f"--config: {key}")} for key, _, text in split]


def _read(text: str, where: str) -> Any:
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"{where}: has {len(text)} characters; allowed: at most {MOST_CHARACTERS}")
    try:
        return yaml.load(text, Loader=UniqueKeyLoader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{where}: {problem(error)}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{where}: is not YAML: {error.reason} at character {error.position}") from None
    except RecursionError:
        raise ConfigError(f"{where}: is nested too deeply to be read") from None
    except (ValueError, LookupError, AttributeError) as error:  # such as the date 2026-02-30, or !!bool maybe
        raise ConfigError(f"{where}: cannot be read: {error}") from None
