"""Records are written whole, by the schema's fields, or not at all."""

import json
import os

import jsonschema
import pytest

from framebench import record

pytestmark = pytest.mark.check

IDENTITY = {
    "device": "cpu",
    "workload": "article-cnn",
    "framework": "pytorch",
    "track": "default",
    "precision": "float32",
    "input": "device",
    "batch_size": 32,
    "round": 1,
    "order": 1,
    "seed": 1,
    "status": "failed",
}


def test_unknown_values_are_null_and_never_zero():
    run = record.record(**IDENTITY)
    jsonschema.validate(run, json.loads(record.SCHEMA.read_text(encoding="utf-8")))
    assert run["images_per_s"] is None
    assert run["blocks"] == [] and run["flags"] == []
    assert list(run) == list(json.loads(record.SCHEMA.read_text(encoding="utf-8"))["properties"])


def test_a_record_begins_with_the_fields_of_a_cell():
    fields = list(json.loads(record.SCHEMA.read_text(encoding="utf-8"))["properties"].items())[: len(record.TYPES)]
    types = {"string": str, "integer": int}
    assert [(name, types[field["type"]]) for name, field in fields] == list(record.TYPES.items())
    assert record.Cell.of({**IDENTITY, "batch_size": "32"}) == record.Cell.of(IDENTITY)


def test_a_field_that_the_schema_lacks_is_refused():
    with pytest.raises(KeyError, match="image_per_s"):
        record.record(**IDENTITY, image_per_s=1.0)


def test_a_write_that_fails_leaves_the_old_record_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "runs" / "round-1.json"
    record.write(path, {"status": "ok"})

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        record.write(path, {"status": "failed"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"status": "ok"}
    assert [file.name for file in path.parent.iterdir()] == ["round-1.json"]


def test_a_number_that_is_not_one_is_refused(tmp_path):
    with pytest.raises(ValueError):
        record.write(tmp_path / "round-1.json", {"images_per_s": float("nan")})
    assert not list(tmp_path.iterdir())
