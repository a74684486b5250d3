"""The message about a wrong value in config.yaml: its place, its value, and the allowed values."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from framebench.plan import schema
from framebench.plan.knobs import REPEATED


class ConfigError(Exception):
    """A refused configuration, in one line for its author."""


# Errors of pydantic about a key of a group, and not about a value.
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument", "invalid_key")
MISSING = ("missing", "missing_argument")
KEY = "[key]"  # replaces an error about a name in a mapping


def explained(error: ValidationError, written: Mapping[str, Any], described: Mapping[str, Any] | None = None) -> str:
    """The first problem of a configuration, in the order of the file; a misspelt key before the key that it hides.

    `described` is the schema of the file (`schema.described`), by default that of config.yaml.
    """
    errors = error.errors(include_url=False, include_input=False, include_context=True)
    return _told(errors, written, described or schema.of_config())


def _told(errors: Sequence[ErrorDetails], written: Mapping[str, Any], described: Mapping[str, Any]) -> str:
    """The line for the first error, found in the schema by the keys on the way to it.

    For a value with several possible types, pydantic reports each type's requirement, with the type's name among the
    keys. Where the value has the form of one of them, such as a list, only problems inside it count. Beside null, it
    reports the only other type, without its name.
    """
    first = errors[0]["loc"]
    unknown = (one for one in errors if one["type"] in UNKNOWN and one["loc"][:-1] == first[: len(one["loc"]) - 1])
    error = next(unknown, errors[0])
    node: Any = described
    value: Any = written
    where = ""
    for i, key in enumerate(error["loc"]):
        rest = error["loc"][i + 1 :]
        match node:
            case {"anyOf": [other, {"type": "null"}]}:
                node = other
        if "anyOf" in node:
            if not rest and error["type"] != REPEATED:
                inside = [one for one in errors if one["loc"][:i] == error["loc"][:i] and _is_inside(one, i)]
                return _told(inside, written, described) if inside else _refused(where, value, node)
            node = next(
                one for one in node["anyOf"] if one["type"] == ("array" if isinstance(value, list) else "object")
            )
        elif rest == (KEY,):
            return _refused(where, key, node["propertyNames"])
        elif not rest and error["type"] in UNKNOWN:
            homes = [name for name, one in described["properties"].items() if key in _keys_in(one)]
            belongs = f"; it is a key of {' or '.join(homes)}" if homes else ""
            return f"{_joined(where, key)}: unknown key{belongs}{instead(key, node['properties'])}"
        elif not rest and error["type"] in MISSING:
            return f"{_joined(where, key)}: is missing; {_as_clause(node['properties'][key]['description'])}"
        else:
            where = f"{where}[{key}]" if isinstance(value, list) else _joined(where, key)
            value = value[key]
            node = node.get("items") or node.get("properties", {}).get(key) or node["additionalProperties"]
    if error["type"] == REPEATED:
        index = error["ctx"]["index"]
        return f"{where}[{index}]: {shown(value[index])} occurs twice"
    return _refused(where, value, node)


def _keys_in(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The keys of a group, or of each entry of a list of groups."""
    return node.get("properties") or node.get("items", {}).get("properties", {})


def _is_inside(error: ErrorDetails, depth: int) -> bool:
    return len(error["loc"]) > depth + 1 or error["type"] == REPEATED


def _refused(where: str, value: object, node: Mapping[str, Any]) -> str:
    told = "not allowed"
    texts = [form for form in _forms(node) if form.get("type") == "string"]
    if isinstance(value, str) and not texts:
        told = "text, which is not allowed"
    elif type(value) in (int, float) and any("const" not in form and "enum" not in form for form in texts):
        told = "a number, which is not allowed without quotes"
    return f"{where}: {shown(value)} is {told}; {node['allowed']}"


def _forms(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The forms that a value may have, each with its own type."""
    return [form for one in node["anyOf"] for form in _forms(one)] if "anyOf" in node else [node]


def instead(name: object, allowed: Iterable[str]) -> str:
    """The names to write instead of `name`: the nearest allowed name, if any is near, and all of them."""
    near = difflib.get_close_matches(str(name), allowed, n=1)
    return (f"; did you mean {near[0]!r}?" if near else ";") + f" allowed: {', '.join(allowed) or 'none'}"


def _as_clause(sentence: str) -> str:
    """A description as the second half of a sentence: `The search.` is `the search`, and `GPUs.` is `GPUs`."""
    return (sentence if sentence[1].isupper() else sentence[0].lower() + sentence[1:]).removesuffix(".")


def _joined(where: str, key: object) -> str:
    name = str(key) if str(key).isprintable() else repr(key)
    return f"{where}.{name}" if where else name


def shown(value: object) -> str:
    """A value in a few words, showing how YAML read it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"{str(value).lower()} (in YAML also {'yes, on' if value else 'no, off'} without quotes)"
        case str():
            return repr(_short(value))
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a group of keys"
    return _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:80]}…"
