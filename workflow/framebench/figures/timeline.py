"""One run as the GPU's sensors recorded it: power, clock, memory and temperature on one time axis."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.patches import Patch

from framebench.analyse.table import read_record, table
from framebench.figures import drawing, registry
from framebench.languages import Language
from framebench.record import samples_path

# Text of a panel's axis → columns of the samples; the first one with a number in it is drawn.
PANELS = {
    "axis_power": ("power_instant_w", "power_w", "power_average_w"),
    "axis_sm_clock": ("sm_mhz",),
    "axis_gpu_memory": ("memory_used_mib",),
    "axis_temperature": ("temperature_c",),
}
# Text of the legend → colour behind the lines.
SHADES = {"timeline_warmup": "#E8E8E8", "timeline_measured": "#BFE3D8"}


def read_samples(path: Path) -> dict[str, np.ndarray]:
    """The columns sampled during a run, `t_ns` among them; no samples if there is no such file."""
    if not path.exists():
        return {"t_ns": np.array([], dtype=np.int64)}
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def draw(
    run: dict, columns: Mapping[str, np.ndarray], *, language: Language, labels: Mapping[str, str]
) -> drawing.Captioned:
    """One panel for each of PANELS; `run` is a record, `columns` the result of `read_samples` for it."""
    title = f"{drawing.panel_title(run, language, several_devices=False)}\n" + language["timeline_run"].format(
        framework=labels[run["framework"]], round=run["round"]
    )
    # By both names: another device of the campaign may have a card of this model, which a record does not tell.
    device = f"{run['device_name']} ({run['device']})" if run["device_name"] else run["device"]
    figure, all_axes = drawing.panels(
        [1.3] * len(PANELS),
        language["title_timeline"].format(device=device),
        drawing.provenance(table([run]), language, labels),
        [language["note_timeline"]],
        titles=[title, *[""] * (len(PANELS) - 1)],
        handles=[Patch(color=colour, label=language[text]) for text, colour in SHADES.items()],
    )
    intervals = [run["warmup_intervals"], run["blocks"]]
    start_ns = run["blocks"][0]["t0_ns"] if run["blocks"] else next(iter(columns["t_ns"]), 0)
    seconds = (columns["t_ns"] - start_ns) / 1e9
    for axes, (text, names) in zip(all_axes, PANELS.items(), strict=True):
        for colour, stretch in zip(SHADES.values(), intervals, strict=True):
            if stretch:
                ends = [(stretch[place][end] - start_ns) / 1e9 for place, end in [(0, "t0_ns"), (-1, "t1_ns")]]
                axes.axvspan(*ends, color=colour, linewidth=0)
        name = next((name for name in names if name in columns and not np.isnan(columns[name]).all()), None)
        if name:
            axes.plot(seconds, columns[name], color=drawing.INK, linewidth=1, drawstyle="steps-post")
            axes.set_ylim(bottom=0)
        else:
            axes.text(0.5, 0.5, language["status_not_measured"], ha="center", va="center", transform=axes.transAxes)
        if len(seconds) > 1:
            axes.set_xlim(seconds[0], seconds[-1])
        axes.set_ylabel(language[text])
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="y")
        axes.tick_params(labelbottom=axes is all_axes[-1])
    figure.align_ylabels(all_axes)
    all_axes[-1].set_xlabel(language["axis_timeline"])
    return figure


def draw_file(record: Path, device: str, *, language: Language, labels: Mapping[str, str]) -> drawing.Captioned:
    """Draw the run whose record is in this file, with the samples beside it."""
    return draw(read_record(record), read_samples(samples_path(record)), language=language, labels=labels)


FIGURE = registry.Figure(
    "timeline-{device}",
    draw_file,
    section="steadiness",
    place=42,
    each=lambda scope: [{"device": device} for device in scope.sampled],
    title="title_timeline",
)
