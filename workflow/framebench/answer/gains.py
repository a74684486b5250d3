"""Reasons for the gain of tuned settings: the settings that the search chose, and what each removes."""

import pandas as pd

from framebench.analyse.effects import chosen
from framebench.languages import Language


def explained(runs: pd.DataFrame, language: Language) -> str:
    """The work removed by the settings chosen for one framework's tuned cell; empty if none is recorded.

    `runs` holds the runs of that cell and of the default cell beside it. Page faults are counted in the runs, so they
    are given as the medians of both cells.
    """
    settings = chosen(runs[runs["track"] == "tuned"])
    if settings is None:
        return ""
    reasons = {name: language.setting(name).format(value=value) for name, value in settings.items()}
    faults = runs.groupby("track")["minor_faults_per_step"].median().dropna()
    if "allocator" in reasons and set(faults.index) == {"default", "tuned"}:
        seen = language["why_faults"].format(before=faults["default"], after=faults["tuned"])
        reasons["allocator"] += f" ({seen})"
    return ", ".join(reasons.values()) or language["why_nothing"]
