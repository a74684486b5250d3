"""A YAML file of keys, read strictly: a key that occurs twice is refused."""

from pathlib import Path
from typing import Any

import yaml

from framebench.plan.refusals import ConfigError, shown
from framebench.unique_keys import UniqueKeyLoader, problem


def readable(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; ConfigError where there is none or a key occurs twice."""
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=UniqueKeyLoader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{path}: {problem(error)}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{path}: is not YAML: {error.reason} at character {error.position}") from None
    except ValueError as error:  # text that is not UTF-8, or a value such as the date 2026-02-30
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds {shown(content)}; it must hold keys, each with a value")
    return content
