"""Which figures there are, and for which of them a campaign has something to draw."""

from collections.abc import Iterable, Sequence

from framebench.analyse import rosetta
from framebench.plan import matrix
from framebench.plan.config import Config

ARTICLE_2018 = ["article-2018-p100", "article-2018-k80"]
TRACKS = ["default", "tuned"]
ON_EVERY_DEVICE = [
    "throughput",
    "ratio",
    "memory",
    "share-of-peak",
    "effects",
    "warmup",
    "first-step",
    "split",
    "campaign",
]
ON_GPUS = ["gpu-memory", "energy"]
ON_SEVERAL_DEVICES = ["devices"]
MEASURED = ON_EVERY_DEVICE + ON_GPUS + ON_SEVERAL_DEVICES
LARGEST_BATCH = "largest-batch"


def article(device: str, track: str) -> str:
    """The name of the chart in the article's form."""
    return f"article-{device}" if track == "default" else f"article-{device}-{track}"


def then_and_now(device: str) -> str:
    """The name of the chart of 2018 beside that of a device."""
    return f"then-and-now-{device}"


def timelines(config: Config) -> list[str]:
    """The timelines of one run on each GPU, which is sampled; a CPU is not."""
    return [f"timeline-{device}" for device in config.on_gpus]


def timeline_run(config: Config, device: str) -> matrix.Run:
    """The run of which a device's timeline is: the baseline's first, at the largest of its batch sizes."""
    runs = [run for run in matrix.runs(config) if (run.cell.device, run.cell.framework) == (device, config.baseline)]
    return max(runs, key=lambda run: (run.cell.batch_size, -run.round))


def largest_batch(config: Config) -> list[str]:
    """The figure of the largest batch, where the configuration has it searched."""
    return [LARGEST_BATCH] * bool(matrix.largest_batch_paths(config))


def of_campaign(config: Config) -> list[str]:
    """The figures of a campaign's measurements."""
    return of_cells(matrix.cells(config), on_gpus=bool(config.on_gpus))


def of_cells(cells: Sequence[matrix.Cell], on_gpus: bool) -> list[str]:
    """The figures of the measurements of these cells.

    Of a track that is not measured in float32 there is no chart, none beside that of 2018 where no problem of the
    article is, no `effects` where no cell is measured with both tracks or both inputs, and nothing of GPUs where there
    is none.
    """
    in_float32 = [cell for cell in cells if cell.precision == "float32"]
    of_article = [
        cell for cell in in_float32 if cell.track == "default" and cell.workload in rosetta.WORKLOADS.values()
    ]
    charts = sorted({article(cell.device, cell.track) for cell in in_float32})
    charts += sorted({then_and_now(cell.device) for cell in of_article})
    compared = any(_several(cells, field) for field in ("track", "input"))
    figures = charts + [name for name in ON_EVERY_DEVICE if compared or name != "effects"]
    if on_gpus:
        figures += ON_GPUS
    return figures + (ON_SEVERAL_DEVICES if len({cell.device for cell in cells}) > 1 else [])


def _several(cells: Iterable[matrix.Cell], field: str) -> bool:
    """Whether two cells differ in this field alone."""
    rest = [tuple(value for name, value in vars(cell).items() if name != field) for cell in cells]
    return len(set(rest)) < len(rest)
