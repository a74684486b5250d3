# What an invocation ends on.
import json
import sys
from pathlib import Path

from framebench.analyse import failures
from framebench.prove import words


def set_aside_failures():
    """Free the places of failed runs and of those that were measured with them, so that the next invocation does so again.

    A run is compared with the others of its round: measured alone, later, it would be of another machine.
    """
    for campaign in CAMPAIGNS.values():
        for runs in matrix.jobs(campaign):
            failures.set_aside(
                [Path(matrix.record_path(campaign.results, run)) for run in runs]
            )
    failures.set_aside([], map(Path, matrix.largest_batch_paths(CONFIG)))


def proofs():
    """A line on each model of the user's own: the outcome of its proof, and where that is."""
    for name in CONFIG.models:
        proof = Path(CERTIFICATES, name, "proof.json")
        if proof.exists():
            outcome = words.outcome(json.loads(proof.read_text(encoding="utf-8")))
            yield f"Proof of {name}: {outcome}   Page: {proof.with_suffix('.html')}"


def print_answer():
    """End on what the reader came for."""
    merges = internals.asks_for(workflow, "merge")
    folder = MERGED if merges else RESULTS
    verdict = Path(folder, f"verdict.{CONFIG.languages[0]}.txt")
    if verdict.exists():
        page = f"{folder}/report.{CONFIG.languages[0]}.html"
        print(
            "\n".join(["", verdict.read_text(), *proofs()]),
            f"Page: {page}   Tables: {folder}/*.csv   Figures: {folder}/figures/",
            sep="\n",
            file=sys.stderr,
        )
