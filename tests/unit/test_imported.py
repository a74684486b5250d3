"""Another machine's campaign comes home whole or in part, is not measured here, and becomes a result set."""

import json
import os
import shutil
from pathlib import Path

import pytest

import simulated
from conftest import PROJECT
from framebench.analyse import machines
from framebench.analyse.table import read_record, table, write_table
from framebench.exchange import imported, publish
from framebench.exchange.export import exported
from framebench.exchange.sealed import packed, unpacked
from framebench.plan import config, matrix, so_far
from framebench.plan.bindings import RECORD as DEVICES
from framebench.record import NOT_MEASURED, STAND_IN, write

pytestmark = pytest.mark.check

RUN = "runs/cpu/article-cnn/{}/default/float32/device/batch-32/{}.json"
CELLS = {"workload": "article-cnn", "tracks": ["default"], "precisions": ["float32"], "inputs": ["device"]}
MANY = (os.cpu_count() or 1) + 64
MATRIX = [CELLS | {"batch_sizes": [32], "rounds": 3}]


@pytest.fixture
def there(tmp_path, monkeypatch) -> Path:
    """The results folder of a machine with 64 cores more; PyTorch's third round failed, and was set aside."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(PROJECT / "config.yaml", tmp_path)
    folder = tmp_path / "there" / "results"
    for record in simulated.campaign(blocks=[("article-cnn", "device", 32)], rounds=3).records:
        write(folder / RUN.format(record["framework"], f"round-{record['round']}"), record)
    last = folder / RUN.format("pytorch", "round-3")
    failed = json.loads(last.read_text(encoding="utf-8")) | {"status": "failed", "reason": "RuntimeError: no memory"}
    write(folder / RUN.format("pytorch", "failed/round-3-17"), failed | {"images_per_s": None})
    last.unlink()
    asked = config.readable("config.yaml") | {"devices": {"cpu": {}}, "matrix": MATRIX}
    asked["protocol"] |= {"threads": MANY, "cores": list(range(MANY))}
    write(folder / "config.json", asked)
    return folder


def archive(results: Path, name: str = "far.zip") -> Path:
    path = Path(name)
    path.write_bytes(exported(results))
    return path


def test_a_part_of_a_campaign_keeps_its_evidence_and_says_what_became_of_the_rest(there):
    evidence, _ = unpacked(archive(there))
    found = imported.write(Path("far.zip"), None)
    home = Path("results/imported/far")
    assert found == home / "config.json"
    for name in evidence.keys() - {"config.json"}:
        assert (home / name).read_bytes() == evidence[name], "a record is evidence, and stays as it was"
    asked = imported.configuration(home)
    assert asked.imported and asked.protocol.threads == MANY, "the protocol is that of the other machine"
    listed = so_far.SoFar.of(str(home))
    missing = str(home / RUN.format("pytorch", "round-3"))
    assert missing in listed.unmade and len(matrix.runs(asked)) == 9
    assert json.loads(Path(listed.record(missing)).read_text(encoding="utf-8"))["reason"] == "RuntimeError: no memory"


def test_a_run_that_never_started_is_not_measured_and_its_rounds_are_those_of_the_campaign(there):
    for name in ("failed/round-3-17", "round-2"):
        (there / RUN.format("pytorch", name)).unlink()
    imported.write(archive(there), "elsewhere")
    home = Path("results/imported/elsewhere")
    listed = so_far.SoFar.of(str(home))
    for round in (2, 3):
        stands = listed.record(str(home / RUN.format("pytorch", f"round-{round}")))
        record = json.loads(Path(stands).read_text(encoding="utf-8"))
        assert (record["status"], record["reason"]) == (NOT_MEASURED, imported.REASON)


def test_the_cards_of_the_other_machine_need_not_be_here(there):
    gpu = {"kind": "gpu", "name": "h100", "uuid": "GPU-1", "model": "NVIDIA H100", "pci_bus_id": None}
    write(there / DEVICES, {"auto": ["h100"], "devices": {"h100": gpu | {"driver_version": "580.1", "host": "far"}}})
    asked = json.loads((there / "config.json").read_text(encoding="utf-8"))
    write(there / "config.json", asked | {"devices": {"h100": {"uuid": "GPU-1"}}})
    imported.write(archive(there), None)
    assert imported.configuration(Path("results/imported/far")).on_gpus == ("h100",)


def test_the_same_archive_again_changes_nothing_and_another_one_is_refused(there):
    imported.write(archive(there), None)
    table = Path("results/imported/far/measurements.csv")
    table.write_text("made from it", encoding="utf-8")
    imported.write(Path("far.zip"), None)
    assert table.exists()
    listing = Path("results/imported/far", so_far.LISTING)
    listing.unlink()  # as of an import that was killed
    imported.write(Path("far.zip"), None)
    assert listing.exists() and table.exists()
    for elsewhere in ("../other", ".."):
        with pytest.raises(SystemExit, match=rf"^{elsewhere!r} is no name of a folder in results/imported$"):
            imported.main(["far.zip", "--name", elsewhere])
    (there / RUN.format("pytorch", "round-2")).unlink()
    archive(there)
    with pytest.raises(SystemExit, match=r"^results/imported/far: has other results; .* AS=NAME$"):
        imported.main(["far.zip"])


def test_an_archive_without_a_name_of_its_own_is_called_by_its_machine(there):
    imported.write(archive(there, "framebench-results.zip"), None)
    (folder,) = Path("results/imported").iterdir()
    assert folder.name == machines.name(map(read_record, there.glob(RUN.format("*", "*"))))


def test_what_cannot_be_imported_is_refused_in_a_line_and_leaves_nothing(there, capsys):
    (there / "config.json").unlink()
    archive(there)
    with pytest.raises(SystemExit, match=r"^far\.zip: has no config\.json: export the results again$"):
        imported.main(["far.zip"])
    Path("far.zip").write_bytes(packed({"config.json": b"{}", RUN.format("pytorch", "round-1"): b"{"}, {}))
    with pytest.raises(SystemExit, match=r"round-1\.json: is not JSON"):
        imported.main(["far.zip"])
    asked = config.readable("config.yaml") | {"frameworks": ["caffe"]}
    Path("far.zip").write_bytes(packed({"config.json": json.dumps(asked).encode()}, {}))
    with pytest.raises(SystemExit, match=r"^results/imported/far/config\.json: frameworks\[0\]: 'caffe'"):
        imported.main(["far.zip"])
    assert not Path("results/imported/far").exists()


def test_a_set_has_what_a_reader_needs_and_never_takes_the_place_of_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = Path("results/imported/far")
    kept = ["framebench-results.zip", "why.csv", "report.ko.html", "verdict.en.txt", "figures/en/article-cpu.svg"]
    for name in [*kept, "config.json", "verdict.en.json", "runs/cpu/x.json", "figures/.cache"]:
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text(name, encoding="utf-8")
    measured = simulated.campaign(rounds=1).records
    write_table(table(measured), results / "measurements.csv")
    kept.append("measurements.csv")
    with pytest.raises(SystemExit, match=r"^'\.\.' is no name of a folder in results/published$"):
        publish.main([str(results), "--name", ".."])
    publish.main([str(results)])
    there = Path("results/published/far")
    assert sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()) == sorted(kept)
    with pytest.raises(SystemExit, match=r"^results/published/far: is there already; .* AS=NAME$"):
        publish.main([str(results)])
    measured[0]["flags"] = [STAND_IN]
    write_table(table(measured), results / "measurements.csv")
    with pytest.raises(SystemExit, match=r"^results/imported/far: has runs on a stand-in for a GPU"):
        publish.main([str(results), "--name", "other"])
    (results / kept[0]).unlink()
    with pytest.raises(SystemExit, match=r"has no framebench-results\.zip, which `snakemake export` makes"):
        publish.main([str(results), "--name", "other"])
