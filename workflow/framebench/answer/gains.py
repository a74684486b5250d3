"""Why a framework's tuned settings gain what they gain: the settings that were chosen, and what each removes."""

import json

import pandas as pd

from framebench.languages import Language
from framebench.plan import catalogue

# The effect, as effects.csv names it.
TUNED = "tuned ÷ default"


def chosen(runs: pd.DataFrame) -> dict[str, object] | None:
    """The settings of one framework's tuned runs that differ from the default ones; None where none recorded any."""
    tunings = runs.loc[runs["track"] == "tuned", "tuning"].dropna()
    if tunings.empty:
        return None
    defaults = catalogue.adapter(runs["framework"].iloc[0]).defaults
    return {name: value for name, value in json.loads(tunings.mode()[0]).items() if value != defaults[name]}


def explained(runs: pd.DataFrame, language: Language) -> str:
    """What the settings chosen for one framework's tuned cell remove; empty where none is recorded.

    `runs` holds the runs of that cell and of the default cell beside it. Of what a setting removes, page faults
    are counted in the runs: they are told as the medians of both cells.
    """
    settings = chosen(runs)
    if settings is None:
        return ""
    reasons = {name: language.setting(name).format(value=value) for name, value in settings.items()}
    faults = runs.groupby("track")["minor_faults_per_step"].median().dropna()
    if "allocator" in reasons and set(faults.index) == {"default", "tuned"}:
        seen = language["why_faults"].format(before=faults["default"], after=faults["tuned"])
        reasons["allocator"] += f" ({seen})"
    return ", ".join(reasons.values()) or language["why_nothing"]
