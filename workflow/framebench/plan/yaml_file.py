"""A YAML file of keys, read strictly: a key that occurs twice is refused."""

from pathlib import Path
from typing import Any

import yaml

from framebench.plan.refusals import ConfigError, shown


def readable(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; ConfigError where there is none or a key occurs twice."""
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(f"{path}: {where}{error.problem}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{path}: is not YAML: {error.reason} at character {error.position}") from None
    except ValueError as error:  # text that is not UTF-8, or a value such as the date 2026-02-30
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds {shown(content)}; it must hold keys, each with a value")
    return content


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML silently keeps the last of two equal keys; this refuses the second."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} occurs twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)
