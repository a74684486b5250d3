"""The JSON schema of config.yaml and of presets, for editors and for the messages; `make schema` writes it.

Everything in it comes from the classes of plan/knobs.py. Besides the standard's keywords, `allowed` describes the
allowed values in words.
"""

import argparse
import json
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from framebench.plan import catalogue
from framebench.plan.knobs import Knobs

FOLDER = catalogue.ROOT / "workflow/schemas"
FILE = FOLDER / "config.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

ADAPTER = TypeAdapter(Knobs)


@cache
def of_config() -> dict[str, Any]:
    """The schema of config.yaml, with every class written out at its place."""
    return {"$schema": DIALECT, **described(ADAPTER, "config")}


def described(adapter: TypeAdapter[Any], key: str) -> dict[str, Any]:
    """The schema of an adapter's input, with every class written out at its place; `key` is the name of the input."""
    schema = adapter.json_schema(schema_generator=_Described)
    return _written_out(schema, schema.pop("$defs", {}), key)


def of_presets() -> dict[str, Any]:
    """The schema of a preset: any key may be left out, except inside a list, which replaces the other list."""
    return {"$schema": DIALECT, **_partial(of_config())}


class _Described(GenerateJsonSchema):
    """The generator of pydantic, which finds the docstrings of a class's own fields, extended to inherited ones."""

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> dict[str, Any]:
        found = super().dataclass_schema(schema)
        for base in filter(is_dataclass, schema["cls"].__bases__):
            adapter = TypeAdapter(list[base], config=Knobs.__pydantic_config__)  # type: ignore[valid-type]
            for name, one in adapter.json_schema()["$defs"][base.__name__]["properties"].items():
                if "description" in one:
                    found["properties"][name].setdefault("description", one["description"])
        return found


def _written_out(node: dict[str, Any], classes: dict[str, Any], key: str) -> dict[str, Any]:
    """A part of pydantic's schema without references and titles, and with `allowed`; `key` is its place."""
    node = {**classes[node.pop("$ref").rpartition("/")[2]], **node} if "$ref" in node else dict(node)
    node.pop("title", None)
    node.pop("default", None)  # the key may be left out; the default is no value to write
    for pattern, values in node.pop("patternProperties", {}).items():
        node["additionalProperties"] = values
        node["propertyNames"] = {**node["propertyNames"], "type": "string", "pattern": pattern}
    for name in ("items", "additionalProperties", "propertyNames"):
        if isinstance(node.get(name), dict):
            node[name] = _written_out(node[name], classes, "")
    if "anyOf" in node:
        node["anyOf"] = [_written_out(one, classes, key) for one in node["anyOf"]]
    if "properties" in node:
        node["properties"] = {name: _written_out(one, classes, name) for name, one in node["properties"].items()}
    return {"allowed": _allowed(node, key), **node}


def _allowed(node: dict[str, Any], key: str) -> str:
    """Allowed values in words, where the type has none of its own."""
    match node:
        case {"anyOf": [first, *others]}:
            joint = " or " if "const" in first else ", or "
            return joint.join([first["allowed"], *(one["allowed"] for one in others)])
        case {"const": word}:
            return word
        case {"enum": words}:
            return _listed(words, "or")
        case {"type": "array"}:
            return f"a list of at least one {key.replace('_', ' ').removesuffix('s')}"
        case {"properties": keys}:
            within = "" if key else "an entry with "
            return f"{within}the key{'s' if len(keys) > 1 else ''} {_listed(list(keys), 'and')}"
    return node.get("type", "")


def _listed(words: list[str], last: str) -> str:
    *some, end = words
    return f"{', '.join(some)} {last} {end}" if some else end


def _partial(node: dict[str, Any]) -> dict[str, Any]:
    node = {name: value for name, value in node.items() if name != "required"}
    if "properties" in node:
        node["properties"] = {name: _partial(one) for name, one in node["properties"].items()}
    return node


def texts() -> dict[Path, str]:
    """The text of each schema's file."""
    schemas = {FILE: of_config(), FOLDER / "preset.schema.json": of_presets()}
    return {path: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for path, schema in schemas.items()}


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    for path, text in texts().items():
        path.write_text(text, encoding="utf-8")
