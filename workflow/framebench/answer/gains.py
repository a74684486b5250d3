"""Reasons why tuned settings gain what they gain: the settings that were chosen, and what each removes."""

import pandas as pd

from framebench.analyse.effects import chosen
from framebench.languages import Language


def explained(runs: pd.DataFrame, language: Language) -> str:
    """What the settings chosen for one framework's tuned cell remove; empty where none is recorded.

    `runs` holds the runs of that cell and of the default cell beside it. Of what a setting removes, page faults
    are counted in the runs: they are told as the medians of both cells.
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
