"""Draws one figure in one language: `python -m framebench.figures NAME --language LANG …`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from framebench import languages, record, workloads
from framebench.analyse import rosetta
from framebench.analyse.table import TableError, read_record
from framebench.figures import (
    article,
    article_2018,
    campaign,
    devices,
    drawing,
    effects,
    first_step,
    gpu_memory,
    largest_batch,
    memory,
    names,
    over_batch_size,
    ratio,
    split,
    then_and_now,
    timeline,
    warmup,
)
from framebench.plan import catalogue

NAMES = [
    *names.ARTICLE_2018,
    *(names.article("<device>", track) for track in names.TRACKS),
    names.then_and_now("<device>"),
    "timeline-<device>",
    names.LARGEST_BATCH,
    *names.MEASURED,
]


def main() -> None:
    """Draw the figure that the command line asks for; one line and exit status 1 where that cannot be."""
    arguments = _parser().parse_args()
    try:
        language = languages.load(arguments.language)
        with drawing.style(language):
            figure = _figure(arguments, language)
            drawing.save(figure, arguments.output_svg, arguments.output_png)
    except (ValueError, OSError, ModuleNotFoundError, catalogue.AdapterError, TableError) as error:
        raise SystemExit(f"error: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m framebench.figures", description=__doc__)
    parser.add_argument("name", metavar="NAME", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--language", required=True, help=f"one of {', '.join(languages.languages())}")
    parser.add_argument("--output-svg", required=True, type=Path, metavar="SVG", help="vector image to write")
    parser.add_argument("--output-png", required=True, type=Path, metavar="PNG", help="pixel image to write")
    parser.add_argument("--resource", metavar="CSV", help="rosetta-2018.csv, which figures of 2018 need")
    parser.add_argument("--measurements", metavar="CSV", help="measurements.csv, which every other figure needs")
    parser.add_argument("--comparisons", metavar="CSV", help="comparisons.csv, likewise")
    parser.add_argument("--effects", metavar="CSV", help="effects.csv, which the figure of that name needs")
    parser.add_argument("--payback", metavar="CSV", help="payback.csv, which the figure effects needs too")
    parser.add_argument("--warmup", metavar="CSV", help="warmup.csv, which the figure of that name needs")
    parser.add_argument("--order", metavar="CSV", help="order.csv, which the figure campaign needs")
    parser.add_argument("--limits", metavar="CSV", help="limits.csv, which the figure share-of-peak needs")
    parser.add_argument("--literature", metavar="CSV", help="literature.csv of the results, which throughput needs")
    parser.add_argument("--searches", metavar="CSV", help="largest_batch.csv, which the figure of that name needs")
    parser.add_argument("--record", type=Path, metavar="JSON", help="the run that a timeline is of")
    parser.add_argument(
        "--baseline",
        default="tensorflow",
        help="framework that others are drawn relative to (default: %(default)s)",
    )
    return parser


def _figure(arguments: argparse.Namespace, language: languages.Language) -> Figure:
    """The figure asked for; ValueError where there is none of that name or an option is missing."""
    name = arguments.name
    if name.startswith("article-2018-"):
        gpu = name.removeprefix("article-2018-").upper()
        if gpu not in rosetta.GPUS:
            raise ValueError(f"unknown figure '{name}'; there is: {', '.join(NAMES)}")
        return article_2018.draw(_table(arguments, "resource"), gpu, language)

    if name.startswith("timeline-"):
        if arguments.record is None:
            raise ValueError(f"figure '{name}' needs --record")
        run, columns = read_record(arguments.record), timeline.read_samples(record.samples_path(arguments.record))
        label = catalogue.framework_label(run["framework"])
        return timeline.draw(run, columns, language=language, labels={run["framework"]: label})

    if name == names.LARGEST_BATCH:
        searches = _table(arguments, "searches")
        return largest_batch.draw(searches, language=language, labels=_labels(searches))

    if name not in names.MEASURED and not name.startswith(("article-", names.then_and_now(""))):
        raise ValueError(f"unknown figure '{name}'; there is: {', '.join(NAMES)}")
    measurements, comparisons = _table(arguments, "measurements"), _table(arguments, "comparisons")
    confidence = drawing.confidence_of(comparisons)
    words: dict[str, Any] = {
        "language": language,
        "labels": _labels(measurements),
    }
    at_size: dict[str, Any] = words | {
        "article_batch_sizes": {
            workload: workloads.load(workload).article_batch_size for workload in measurements["workload"].unique()
        }
    }
    on_gpus = measurements[measurements["device_uuid"].notna()]
    if name in names.ON_GPUS and on_gpus.empty:
        raise ValueError(f"figure '{name}' shows GPUs, and none was measured")
    draw: dict[str, Callable[[], Figure]] = {
        "throughput": lambda: over_batch_size.draw(
            measurements,
            confidence,
            over_batch_size.THROUGHPUT,
            published=_table(arguments, "literature"),
            **words,
        ),
        "share-of-peak": lambda: over_batch_size.draw_share_of_peak(
            measurements, _table(arguments, "limits"), confidence, **words
        ),
        "energy": lambda: over_batch_size.draw(on_gpus, confidence, over_batch_size.ENERGY, **words),
        "gpu-memory": lambda: gpu_memory.draw(on_gpus, **words),
        "devices": lambda: devices.draw(measurements, confidence, **at_size),
        "ratio": lambda: ratio.draw(measurements, comparisons, arguments.baseline, **at_size),
        "memory": lambda: memory.draw(measurements, **words),
        "effects": lambda: effects.draw(
            measurements, _table(arguments, "effects"), _table(arguments, "payback"), **at_size
        ),
        "warmup": lambda: warmup.draw(measurements, _table(arguments, "warmup"), **at_size),
        "first-step": lambda: first_step.draw(measurements, **at_size),
        "split": lambda: split.draw(measurements, **at_size),
        "campaign": lambda: campaign.draw(measurements, _table(arguments, "order"), confidence, **words),
    }
    if name in draw:
        return draw[name]()
    device, track = name.removeprefix(names.then_and_now("")).removeprefix("article-"), "default"
    if name.startswith("article-") and device.endswith("-tuned"):
        device, track = device.removesuffix("-tuned"), "tuned"
    for key, value in [("device", device), ("framework", arguments.baseline)]:
        measured = sorted(measurements[key].unique())
        if value not in measured:
            raise ValueError(f"no measurements of {key} '{value}'; there is: {', '.join(measured)}")
    if name == names.then_and_now(device):
        published = _table(arguments, "resource")
        return then_and_now.draw(measurements, comparisons, published, device, baseline=arguments.baseline, **at_size)
    return article.draw(measurements, comparisons, device, track, baseline=arguments.baseline, **at_size)


def _labels(table: pd.DataFrame) -> dict[str, str]:
    return {framework: catalogue.framework_label(framework) for framework in table["framework"].unique()}


def _table(arguments: argparse.Namespace, option: str) -> pd.DataFrame:
    """The table that an option names; ValueError where it is missing."""
    path = getattr(arguments, option)
    if path is None:
        raise ValueError(f"figure '{arguments.name}' needs --{option}")
    return pd.read_csv(path)


if __name__ == "__main__":
    main()
