"""Draws one figure in one language: `python -m framebench.figures NAME --language LANG …`."""

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from framebench import catalogue, languages, workloads
from framebench.figures import article, article_2018, drawing, memory, ratio, throughput

MEASURED = ["throughput", "ratio", "memory"]
NAMES = ["article-2018-p100", "article-2018-k80", "article-<device>", *MEASURED]


def main() -> None:
    """Draw the figure that the command line asks for; one line and exit status 1 where that cannot be."""
    arguments = _parser().parse_args()
    try:
        language = languages.load(arguments.language)
        with drawing.style(language):
            figure = _figure(arguments, language)
            drawing.save(figure, arguments.output_svg, arguments.output_png)
    except (ValueError, OSError, ModuleNotFoundError, catalogue.AdapterError) as error:
        raise SystemExit(f"error: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m framebench.figures", description=__doc__)
    parser.add_argument("name", metavar="NAME", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--language", required=True, help=f"one of {', '.join(languages.languages())}")
    parser.add_argument("--output-svg", required=True, type=Path, metavar="SVG", help="vector image to write")
    parser.add_argument("--output-png", required=True, type=Path, metavar="PNG", help="pixel image to write")
    parser.add_argument("--resource", metavar="CSV", help="rosetta-2018.csv, which the article-2018 figures need")
    parser.add_argument("--measurements", metavar="CSV", help="measurements.csv, which every other figure needs")
    parser.add_argument("--comparisons", metavar="CSV", help="comparisons.csv, likewise")
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
        if gpu not in article_2018.GPUS:
            raise ValueError(f"unknown figure '{name}'; there is: {', '.join(NAMES)}")
        return article_2018.draw(pd.read_csv(_needed(arguments, "resource")), gpu, language)

    if name not in MEASURED and not name.startswith("article-"):
        raise ValueError(f"unknown figure '{name}'; there is: {', '.join(NAMES)}")
    measurements = pd.read_csv(_needed(arguments, "measurements"))
    comparisons = pd.read_csv(_needed(arguments, "comparisons"))
    labels = {framework: catalogue.framework_label(framework) for framework in measurements["framework"].unique()}

    if name == "throughput":
        return throughput.draw(measurements, drawing.confidence_of(comparisons), language, labels)
    if name == "ratio":
        return ratio.draw(measurements, comparisons, arguments.baseline, language, labels)
    if name == "memory":
        return memory.draw(measurements, language, labels)
    device = name.removeprefix("article-")
    for key, value in [("device", device), ("framework", arguments.baseline)]:
        measured = sorted(measurements[key].unique())
        if value not in measured:
            raise ValueError(f"no measurements of {key} '{value}'; there is: {', '.join(measured)}")
    sizes = {name: workloads.load(name).article_batch_size for name in sorted(measurements["workload"].unique())}
    return article.draw(measurements, comparisons, device, arguments.baseline, sizes, language=language, labels=labels)


def _needed(arguments: argparse.Namespace, option: str) -> str:
    path = getattr(arguments, option)
    if path is None:
        raise ValueError(f"figure '{arguments.name}' needs --{option}")
    return path


if __name__ == "__main__":
    main()
