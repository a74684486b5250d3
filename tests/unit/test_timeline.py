"""The timeline of one run on a GPU: drawn from its samples, with a gap where there are none."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text

from framebench import languages, record
from framebench.figures import command, drawing, fonts, registry, timeline
from framebench.measure.devices import samples
from framebench.plan import catalogue, config, matrix
from framebench.plan.bindings import Gpu
from runs import run

pytestmark = pytest.mark.check

S = 10**9
LABELS = {"pytorch": "PyTorch"}


def measured(**changes) -> dict:
    """A run that warms up from second 8 to 18 and is timed from 18 to 23."""
    intervals = {"warmup_intervals": (8, 18), "blocks": (18, 23)}
    return run(
        "pytorch",
        1,
        9 * 32 / 5,  # images in seconds of the block
        **{"device": "h200", "device_name": "NVIDIA H200", "threads": 2, "started_unix_s": 1.8e9},
        **{name: [{"t0_ns": t0 * S, "t1_ns": t1 * S, "steps": 9}] for name, (t0, t1) in intervals.items()} | changes,
    )


def columns(**changes) -> dict:
    """25 s of a card that is busy from second 8 on; a change to None removes a column."""
    t_s = np.arange(0, 25, 0.1)
    busy = t_s > 8
    told = {
        "t_ns": (t_s * S).astype(np.int64),
        "power_instant_w": np.where(busy, 520.0, 75.0),
        "power_w": np.full(len(t_s), 1.0),
        "sm_mhz": np.where(busy, 1980.0, 345.0),
        "memory_used_mib": np.where(busy, 40_000.0, 600.0),
        "temperature_c": np.where(busy, 55.0, np.nan),
    }
    return {name: values for name, values in (told | changes).items() if values is not None}


def drawn(language: str, run: dict, columns: dict):
    """The figure's texts, and the lines of its panels; nothing sticks out and no glyph is missing."""
    words = languages.load(language)
    with warnings.catch_warnings(), drawing.style(words):
        warnings.simplefilter("error")
        figure = timeline.draw(run, columns, language=words, labels=LABELS)
        fonts.replace_glyphs(figure, words)
        beside_the_axis = {tick for axes in figure.axes for tick in axes.get_xticklabels()}
        for text in set(figure.findobj(Text)) - beside_the_axis:
            if text.get_text():
                assert text.get_window_extent().x1 <= figure.bbox.x1, text
    texts = [text.get_text() for text in figure.findobj(Text)]
    return texts, [axes.lines for axes in figure.axes[1:]]


@pytest.mark.parametrize("language", languages.languages())
def test_the_four_panels_have_their_columns_and_the_time_counts_from_the_first_block(language):
    texts, panels = drawn(language, measured(), columns())
    assert [len(lines) for lines in panels] == [1] * 4
    for lines, name in zip(panels, ["power_instant_w", "sm_mhz", "memory_used_mib", "temperature_c"], strict=True):
        np.testing.assert_array_equal(lines[0].get_ydata(), columns()[name])
        assert lines[0].get_xdata()[180] == pytest.approx(0)
    words = languages.load(language)
    assert {words["timeline_measured"], words["axis_power"], words["axis_timeline"]} <= {*texts}


def test_a_panel_says_what_the_card_does_not_report():
    texts, panels = drawn("en", measured(), columns(power_instant_w=None, temperature_c=None))
    assert [len(lines) for lines in panels] == [1, 1, 1, 0]
    assert set(panels[0][0].get_ydata()) == {1.0}, "the power that it does tell"
    assert texts.count("not measured") == 1


def test_a_run_that_never_trained_is_drawn_from_its_first_sample():
    _, panels = drawn("ko", measured(status="failed", warmup_intervals=[], blocks=[]), columns())
    assert panels[0][0].get_xdata()[0] == 0


def test_a_run_without_samples_has_four_gaps(tmp_path):
    texts, panels = drawn("en", measured(), timeline.read_samples(tmp_path / "none.npz"))
    assert not any(panels)
    assert texts.count("not measured") == 4
    assert any(text.startswith("One run on NVIDIA H200 (h200): ") for text in texts), "there may be two such cards"


def test_a_run_whose_job_was_lost_is_drawn_as_not_measured(tmp_path):
    lost = run("pytorch", 1, None, device="h200", status=record.NOT_MEASURED, reason="its job failed")
    texts, panels = drawn("en", lost, timeline.read_samples(tmp_path / "none.npz"))
    assert not any(panels) and texts.count("not measured") == 4
    assert any(text.startswith("One run on h200: ") for text in texts)


def test_the_command_finds_the_samples_beside_the_record(tmp_path, monkeypatch):
    path = tmp_path / "runs/h200/article-cnn/pytorch/default/float32/device/batch-32/round-1.json"
    record.write(path, measured())
    t_ns, told = columns().pop("t_ns"), {name: values for name, values in columns().items() if name != "t_ns"}
    about = {"uuid": "GPU-0", "hz": 10, "sources": {}, "dropped": {}, "ended": None, "processes": np.zeros((0, 3))}
    samples.save(record.samples_path(path), samples.Samples(**about, t_ns=t_ns, columns=told))
    seen = []
    draw = timeline.draw
    monkeypatch.setattr(
        timeline, "draw", lambda run, columns, **words: seen.append(columns) or draw(run, columns, **words)
    )
    monkeypatch.chdir(tmp_path)
    options = ["--language", "en", "--output-svg", "a.svg", "--output-png", "a.png", "--output-caption", "a.txt"]
    command.main(["timeline-h200", "--record", str(path), *options])
    np.testing.assert_array_equal(seen[0]["sm_mhz"], told["sm_mhz"])
    assert (tmp_path / "a.png").exists()


def test_the_command_refuses_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "bad.json").write_text(json.dumps({"device": "h200"}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    outputs = ["--language", "en", "--output-svg", "a.svg", "--output-png", "a.png", "--output-caption", "a.txt"]
    with pytest.raises(SystemExit, match=r"bad\.json: .* delete it"):
        command.main(["timeline-h200", "--record", "bad.json", *outputs])


def test_every_gpu_has_a_timeline_of_the_baselines_first_run_at_its_largest_batch():
    default = config.load(config.readable(catalogue.ROOT / "config.yaml"), "config.yaml")
    gpus = tuple(Gpu(name, f"GPU-{name}", name, None, None, "host") for name in ("h200", "l4"))
    configured = replace(default, devices=("cpu", "h200", "l4"), gpus=gpus)
    scope = registry.Scope(matrix.cells(configured), configured.on_gpus, configured.on_gpus)
    timelines = [name for name in registry.names(scope) if name.startswith("timeline")]
    assert timelines == ["timeline-h200", "timeline-l4"]
    found = matrix.timeline_run(configured, "l4")
    largest = max(cell.batch_size for cell in matrix.cells(configured))
    assert (found.cell.device, found.cell.framework, found.round) == ("l4", "tensorflow", 1)
    assert found.cell.batch_size == largest
