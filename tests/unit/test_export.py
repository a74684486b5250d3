"""An archive has the evidence of a campaign, and its manifest the origin of that evidence."""

import hashlib
import json
from pathlib import Path

import pytest

from framebench import __version__
from framebench.exchange.export import main
from framebench.exchange.sealed import unpacked
from framebench.record import SCHEMA, record, write

pytestmark = pytest.mark.check

RUN = "runs/cpu/article-cnn/pytorch/default/float32/device/batch-32/round-1.json"
IDLE = "idle/GPU-5b21c3a4.json"
FAILED = RUN.replace("round-1", "failed/round-2-17")
TUNING = "tuning/cpu/article-cnn/pytorch/float32/device.json"


def left(folder: Path) -> Path:
    """A campaign's folder with one run."""
    values = {"device": "cpu", "workload": "article-cnn", "framework": "pytorch", "track": "default", "input": "device"}
    values |= {"precision": "float32", "batch_size": 32, "round": 1, "order": 1, "seed": 1, "status": "ok"}
    values |= {"images_per_s": 1000.0, "cpu_model": "A CPU", "memory_total_mib": 7900.5, "git_commit": "abc"}
    write(folder / RUN, record(**values))
    for name in (FAILED, "logs/x.json", "certificates/article-cnn/pytorch.json", "rounds.json", "devices.json", IDLE):
        write(folder / name, {})
    write(folder / "certificates/article-cnn/learned.json", {})
    write(folder / "config.json", {"results": "results"})
    write(folder / TUNING, {"chosen": {"layout": "channels_last"}, "trials": []})
    (folder / "certificates/article-cnn/pytorch.md").write_text(
        "# a page that the certificate can be made into again", encoding="utf-8"
    )
    return folder


def test_an_archive_holds_what_everything_else_is_made_of_and_nothing_else(tmp_path):
    results, output = left(tmp_path / "results"), tmp_path / "made" / "results.zip"
    main(["--results", str(results), "--output", str(output)])
    files, manifest = unpacked(output)
    kept = ["certificates/article-cnn/pytorch.json", "config.json", "devices.json", IDLE, "rounds.json"]
    assert sorted(files) == [*kept, FAILED, RUN, TUNING]
    for name in (RUN, TUNING):
        assert files[name] == (results / name).read_bytes()
    assert json.loads(files["config.json"]) == {"results": "results"}
    assert manifest["framebench_version"] == __version__
    assert manifest["git_commits"] == ["abc"]
    assert manifest["record_schema_sha256"] == hashlib.sha256(SCHEMA.read_bytes()).hexdigest()
    (machine,) = manifest["machine"]
    assert (machine["cpu_model"], machine["memory_total_mib"], machine["device_uuid"]) == ("A CPU", 8192, None)


def test_a_damaged_record_is_named_and_no_archive_is_made(tmp_path):
    results = left(tmp_path / "results")
    (results / RUN).write_bytes((results / RUN).read_bytes()[:-9])
    with pytest.raises(SystemExit, match=r"round-1\.json: is not JSON"):
        main(["--results", str(results), "--output", str(tmp_path / "results.zip")])
    assert not (tmp_path / "results.zip").exists()


def test_a_folder_without_records_is_not_exported(tmp_path):
    with pytest.raises(SystemExit, match="holds no records"):
        main(["--results", str(tmp_path), "--output", str(tmp_path / "results.zip")])
