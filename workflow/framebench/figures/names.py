"""Which figures there are, and for which of them a campaign has something to draw."""

from collections.abc import Iterable

from framebench import matrix
from framebench.config import Config

ARTICLE_2018 = ["article-2018-p100", "article-2018-k80"]
TRACKS = ["default", "tuned"]
MEASURED = ["throughput", "ratio", "memory", "effects", "warmup", "first-step", "campaign"]


def article(device: str, track: str) -> str:
    """The name of the chart in the article's form."""
    return f"article-{device}" if track == "default" else f"article-{device}-{track}"


def timelines(config: Config) -> list[str]:
    """The timelines of one run on each GPU, which is sampled; a CPU is not."""
    cpus = {"cpu"} | {request.name for request in config.requests if request.kind == "cpu"}
    return [f"timeline-{device}" for device in config.devices if device not in cpus]


def timeline_run(config: Config, device: str) -> matrix.Run:
    """The run of which a device's timeline is: the baseline's first, at the largest of its batch sizes."""
    runs = [run for run in matrix.runs(config) if (run.cell.device, run.cell.framework) == (device, config.baseline)]
    return max(runs, key=lambda run: (run.cell.batch_size, -run.round))


def of_campaign(config: Config) -> list[str]:
    """The figures of a campaign's measurements.

    Of a track that is not measured in float32 there is no chart, and no `effects` where no cell is measured with
    both tracks or both inputs.
    """
    cells = matrix.cells(config)
    charts = sorted({article(cell.device, cell.track) for cell in cells if cell.precision == "float32"})
    compared = any(_several(cells, field) for field in ("track", "input"))
    return charts + [name for name in MEASURED if compared or name != "effects"]


def _several(cells: Iterable[matrix.Cell], field: str) -> bool:
    """Whether two cells differ in this field alone."""
    rest = [tuple(value for name, value in vars(cell).items() if name != field) for cell in cells]
    return len(set(rest)) < len(rest)
