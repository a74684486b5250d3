# What an invocation ends on.
import sys
from pathlib import Path

from framebench.analyse import failures


def set_aside_failures():
    """Free the places of failed runs, so that the next invocation measures them again and nothing else.

    On a cluster the others of their block and round too: measured in another job, they would be of another GPU.
    """
    for campaign in CAMPAIGNS.values():
        for runs in matrix.together(matrix.campaign(campaign)):
            failures.set_aside(
                [Path(matrix.record_path(campaign.results, run)) for run in runs],
                together=bool(REQUESTS),
            )
    failures.set_aside([], map(Path, matrix.largest_batch_paths(CONFIG)))


def print_answer():
    """End on what the reader came for."""
    merges = internals.asks_for(workflow, "merge")
    folder = MERGED if merges else RESULTS
    verdict = Path(folder, f"verdict.{CONFIG.languages[0]}.txt")
    if verdict.exists():
        page = f"{folder}/report.{CONFIG.languages[0]}.html"
        print(
            f"\n{verdict.read_text()}\nPage: {page}   Tables: {folder}/*.csv   Figures: {folder}/figures/",
            file=sys.stderr,
        )
