"""The batch sizes between which the answer flips, for every pair in question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd

from framebench.analyse.comparisons import FASTER, SLOWER
from framebench.analyse.selection import PANEL
from framebench.answer import asked

WINNER = {FASTER: "framework", SLOWER: "reference"}


@dataclass(frozen=True)
class Turn:
    """A flip: between two neighbouring sizes that show a difference, the other framework becomes the faster."""

    after: int
    before: int
    winner: str


@dataclass(frozen=True)
class Pair:
    """Two frameworks in a panel: their comparisons by increasing batch size, and the flips."""

    panel: Mapping[str, Any]
    framework: str
    reference: str
    rows: list[dict]  # rows of comparisons.csv
    turns: list[Turn]

    @property
    def winners(self) -> list[str]:
        """The frameworks shown to be the faster at any size, each once."""
        return list(dict.fromkeys(winner for _, winner in _shown(self.rows)))


def pairs(
    comparisons: pd.DataFrame, frameworks: list[str], baseline: str, question: Sequence[str] | None = None
) -> list[Pair]:
    """The pairs of the answer, in every panel that compares them."""
    found = []
    for framework, reference in asked.pairs(frameworks, baseline, question):
        these = (comparisons["framework"] == framework) & (comparisons["reference"] == reference)
        for panel, of_panel in comparisons[these].groupby(PANEL):
            rows: list[dict] = of_panel.sort_values("batch_size").to_dict("records")
            turns = [
                Turn(one["batch_size"], other["batch_size"], winner)
                for (one, before), (other, winner) in pairwise(_shown(rows))
                if before != winner
            ]
            found.append(Pair(dict(zip(PANEL, panel, strict=True)), framework, reference, rows, turns))
    return sorted(found, key=lambda pair: [str(value) for value in pair.panel.values()])


def _shown(rows: list[dict]) -> list[tuple[dict, str]]:
    """The rows that show a difference, each with the faster framework."""
    return [(row, row[WINNER[row["verdict"]]]) for row in rows if row["verdict"] in WINNER]
