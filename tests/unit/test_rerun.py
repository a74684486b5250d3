"""Runs set aside to be measured again: whole rounds, of a block or of runs that met a busy machine."""

import pytest

from framebench import record
from framebench.analyse import rerun
from framebench.plan import matrix
from runs import run

pytestmark = pytest.mark.check

BLOCK = "cpu/article-cnn/float32/device/32"


@pytest.fixture
def results(tmp_path):
    """Two blocks of three rounds; one run in the second round of the first block met a busy machine."""
    folder = tmp_path / "my results"
    for size in (32, 64):
        for framework in ("pytorch", "tensorflow"):
            for number in (1, 2, 3):
                busy = [record.BUSY] if (size, framework, number) == (32, "pytorch", 2) else []
                one = run(framework, number, 100.0, batch_size=size, flags=busy, started_unix_s=5.0)
                record.write(folder / matrix.RECORD.format(**one), one)
    (tmp_path / "config.yaml").write_text("results: results\n", encoding="utf-8")
    (tmp_path / "over.yaml").write_text(f"results: {folder}\n", encoding="utf-8")
    return folder


def left(results):
    return sorted(
        (path.parent.name, path.name) for path in results.rglob("round-*.json") if path.parent.name != "again"
    )


def test_rounds_that_met_a_busy_machine_are_set_aside_whole_and_kept(tmp_path, results, capsys):
    before = left(results)
    rerun.main([str(tmp_path / "config.yaml"), str(tmp_path / "over.yaml")])
    assert "2 runs of rounds that met a busy machine" in capsys.readouterr().out
    gone = [one for one in before if one not in left(results)]
    assert set(gone) == {("batch-32", "round-2.json")} and len(left(results)) == 10
    assert len(list(results.rglob("again/round-2-5.json"))) == 2
    # Once is enough.
    assert rerun.set_aside(results) == 0


def test_a_block_is_set_aside_by_the_name_that_the_page_has(results):
    assert rerun.name(run("pytorch", 1, 1.0)) == BLOCK
    assert rerun.set_aside(results, BLOCK) == 6
    assert {folder for folder, _ in left(results)} == {"batch-64"}


def test_a_block_that_was_not_measured_is_refused_in_one_line(tmp_path, results):
    files = [str(tmp_path / "config.yaml"), str(tmp_path / "over.yaml")]
    with pytest.raises(SystemExit, match=r"my results: no run of cpu/no such was measured"):
        rerun.main([*files, "--block", "cpu/no such"])
    with pytest.raises(SystemExit, match=r"error: .*none\.yaml"):
        rerun.main([str(tmp_path / "none.yaml")])
