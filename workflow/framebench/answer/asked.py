"""The pairs that the answer covers in each block, and the result of each."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from framebench import workloads
from framebench.analyse import selection
from framebench.analyse.comparisons import FASTER, SLOWER
from framebench.analyse.table import one_line
from framebench.languages import Language
from framebench.record import BLOCK

# Order of the blocks: the settings that need no tuning come first.
SPOKEN_OF = ["device", "track", "precision", "workload", "input"]


@dataclass(frozen=True)
class Asked:
    """Two frameworks of one block, either of which may be the faster; `runs` holds the block's runs."""

    runs: pd.DataFrame
    framework: str
    reference: str

    @property
    def block(self) -> pd.Series:
        return self.runs.iloc[0][BLOCK]

    def row(self, comparisons: pd.DataFrame) -> dict[str, Any] | None:
        """The pair's row of comparisons.csv, or None."""
        found = of_pair(comparisons, self)
        found = found[found["batch_size"] == self.block["batch_size"]]
        return None if found.empty else found.iloc[0].to_dict()


def pairs(frameworks: Collection[str], baseline: str, question: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """The pair that the `question` names, if both frameworks were measured; else every framework with `baseline`."""
    if question and set(question) <= set(frameworks):
        first, second = question
        return [(first, second)]
    return [(framework, baseline) for framework in sorted(frameworks) if framework != baseline]


def asked(runs: pd.DataFrame, baseline: str, question: Sequence[str] | None) -> Iterator[Asked]:
    """The pairs in each block of `runs`, in the order of the answer."""
    spoken_of = pairs(runs["framework"].unique(), baseline, question)
    # Not alphabetical: every framework's own precision comes first.
    keys = [runs["precision"] != "float32" if key == "precision" else key for key in SPOKEN_OF]
    for _, of_block in runs.groupby([*keys, "precision", "batch_size"]):
        for framework, reference in spoken_of:
            yield Asked(of_block, framework, reference)


def of_pair(comparisons: pd.DataFrame, pair: Asked) -> pd.DataFrame:
    """The comparisons of an asked pair at every batch size of its panel, in order."""
    alike = (comparisons[selection.PANEL] == pair.block[selection.PANEL]).all(axis=1)
    these = (comparisons["framework"] == pair.framework) & (comparisons["reference"] == pair.reference)
    return comparisons[alike & these].sort_values("batch_size")


def shown(comparisons: pd.DataFrame, block: Mapping[str, Any] | pd.Series, framework: str, reference: str) -> bool:
    """True where the verdict says that one of two frameworks is the faster."""
    of_block = (comparisons[BLOCK] == pd.Series({key: block[key] for key in BLOCK})).all(axis=1)
    these = (comparisons["framework"] == framework) & (comparisons["reference"] == reference)
    return bool(comparisons.loc[of_block & these, "verdict"].isin([FASTER, SLOWER]).any())


def obstacle(pair: Asked, row: Mapping[str, Any] | None, language: Language, labels: Mapping[str, str]) -> str:
    """Why a pair has no verdict: a side has no run that counts, or the comparison's own reason; empty if it has one."""
    sides = {side: pair.runs[pair.runs["framework"] == side] for side in (pair.framework, pair.reference)}
    failures = [_side(runs, labels[side], language) for side, runs in sides.items() if selection.state(runs) != "ok"]
    if failures or row is None:
        return ", ".join(failures) or language["status_not_measured"]
    return selection.obstacle(row["verdict"])


def conditions(block: Mapping[Any, Any] | pd.Series, language: Language) -> list[str]:
    """Track, precision and input of a block in words; the usual values are left out."""
    found = [] if block["track"] == "default" else [language[f"track_{block['track']}"]]
    found += [] if block["precision"] == "float32" else [block["precision"]]
    return found if block["input"] == "device" else [*found, language[f"input_{block['input']}"]]


def cell(block: Mapping[Any, Any] | pd.Series, language: Language) -> str:
    """Workload and batch size in words, with the conditions that are not the usual ones."""
    unusual = conditions(block, language)
    doing = "training" if workloads.load(block["workload"]).trains else "inference"
    values = {"doing": language[f"doing_{doing}"], "workload": block["workload"], "batch_size": block["batch_size"]}
    if not unusual:
        return language["verdict_cell"].format(**values)
    return language["verdict_cell_unusual"].format(**values, conditions=", ".join(unusual))


def _side(runs: pd.DataFrame, label: str, language: Language) -> str:
    """The status of a framework without any run that counts, with the first reason recorded."""
    status = language[f"status_{selection.state(runs)}"]
    reasons = runs["reason"].dropna()
    if reasons.empty:
        return language["verdict_side"].format(framework=label, status=status)
    return language["verdict_side_reason"].format(framework=label, status=status, reason=one_line(reasons.iloc[0], 120))
