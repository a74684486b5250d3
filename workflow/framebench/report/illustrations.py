"""The figures in the page: which stand where, what they are called, and of which tables they were drawn."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from scour import scour

from framebench.figures import names
from framebench.languages import Language

# What the interactive charts show, for print and for where there is no script, and what they do not.
STATIC = (
    *("throughput", "ratio", "memory", "gpu-memory", "energy", "first-step", "split", "share-of-peak", "devices"),
    "effects",
)
STEADINESS = ("campaign", "warmup")

SOURCES = {
    "ratio": ("comparisons",),
    "effects": ("effects", "payback"),
    "split": ("measurements", "why"),
    "throughput": ("measurements", "literature"),
    "warmup": ("warmup",),
    "share-of-peak": ("measurements", "limits"),
    "campaign": ("measurements", "order"),
    names.LARGEST_BATCH: ("largest_batch",),
    **dict.fromkeys(names.ARTICLE_2018, ("rosetta-2018",)),
}
# Of figures that there are of every device, by what their names begin with.
SOURCES_OF = {
    "article-": ("measurements", "comparisons"),
    "then-and-now-": ("measurements", "comparisons", "rosetta-2018"),
}
OTHER_SOURCES = ("measurements",)

# Characters that an URL in quotes may hold as they are.
UNQUOTED = " !$&'()*+,-./:;=?@[]^_`{|}~<>"


@dataclass(frozen=True)
class Illustration:
    name: str
    title: str
    url: str  # holds the picture itself
    sources: tuple[str, ...]  # tables


def of_article(devices: Mapping[str, str], language: Language) -> dict[str, str]:
    """The charts in the article's form that there may be, with their titles; `devices` by name, as a reader says."""
    return {
        names.article(device, track): language[f"title_article_{track}"].format(device=called)
        for device, called in devices.items()
        for track in names.TRACKS
    }


def of_2018(devices: Mapping[str, str], language: Language) -> dict[str, str]:
    """The article's own charts, beside ours and by themselves, likewise."""
    beside = {
        names.then_and_now(device): language["title_then_and_now"].format(device=called)
        for device, called in devices.items()
    }
    return beside | {
        name: language["title_article_2018"].format(gpu=name.rpartition("-")[2].upper()) for name in names.ARTICLE_2018
    }


def of_timelines(devices: Mapping[str, str], language: Language) -> dict[str, str]:
    """The timelines that there may be, likewise."""
    return {
        f"timeline-{device}": language["title_timeline"].format(device=called) for device, called in devices.items()
    }


def named(figures: Iterable[str], language: Language) -> dict[str, str]:
    """These figures with their titles, which the language has by their names."""
    return {name: language[f"title_{name.replace('-', '_')}"] for name in figures}


def illustrations(titles: Mapping[str, str], figures: Mapping[str, str]) -> list[Illustration]:
    """Those of `titles` that are among the `figures`, in that order."""
    return [
        Illustration(
            name,
            title,
            f"data:image/svg+xml,{quote(smaller(figures[name]), safe=UNQUOTED)}",
            SOURCES.get(name) or next((of for kind, of in SOURCES_OF.items() if name.startswith(kind)), OTHER_SOURCES),
        )
        for name, title in titles.items()
        if name in figures
    ]


def smaller(svg: str) -> str:
    """The same picture in about half as many characters: Korean letters are drawn, and in every figure anew."""
    options = scour.sanitizeOptions()
    options.strip_comments = options.strip_xml_prolog = options.shorten_ids = True
    options.strip_ids = options.remove_descriptive_elements = True
    options.indent_type, options.newlines, options.digits = "none", False, 4
    return scour.scourString(svg, options)
