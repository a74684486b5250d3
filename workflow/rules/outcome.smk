# The end of an invocation.
import atexit
import json
import os
import subprocess
import time
from pathlib import Path

from framebench.analyse import failures
from framebench.answer import terminal
from framebench.prove import words

STARTED = time.time()


def set_aside_failures():
    """Set failed runs aside, with those measured together with them, so that the next invocation measures them again.

    A run is compared with the others of its round; measured later on its own, it would meet other conditions.
    """
    for campaign in CAMPAIGNS.values():
        for runs in matrix.jobs(campaign):
            failures.set_aside(
                [Path(matrix.record_path(campaign.results, run)) for run in runs]
            )
    failures.set_aside([], map(Path, matrix.largest_batch_paths(CONFIG)))


def draw_so_far():
    """Make the tables, figures and pages that wait for missing runs of the others; return a line on the missing."""
    unmade = internals.unmade(workflow)
    if not set(MEASURING) & set(unmade.values()):
        return ""
    runs = {
        matrix.record_path(campaign.results, run): matrix.fields(campaign, run)
        for name, campaign in CAMPAIGNS.items()
        for run in PLACES[name]
    }
    targets = [path for path, rule in unmade.items() if rule in so_far.DRAWING]
    there = any(Path(path).exists() for path in runs if path not in unmade)
    if targets and there and not interrupts.happened():
        print("Drawing what there is.", file=sys.stderr, flush=True)
        missing = {path: runs[path] for path in runs if path in unmade}
        listing = so_far.leave(RESULTS, unmade, missing).listing
        subprocess.run(
            internals.with_rules(workflow, so_far.DRAWING, targets, listing.parent),
            env=os.environ | {so_far.VARIABLE: str(listing)},
        )
    known = [path for path in ROUNDS if path not in unmade and Path(path).exists()]
    return missing_runs(known, unmade, "The next invocation measures them.")


def missing_runs(rounds, unmade, then):
    """A line on the planned runs that there are not, which ends with what becomes of them; empty where none is missing."""
    asked = matrix.asked_rounds(Path(*rounds)) if rounds else None
    planned = [matrix.record_path(RESULTS, run) for run in matrix.runs(CONFIG, asked)]
    line = so_far.missing(planned, unmade)
    return line and f"{line} {then}"


def proofs():
    """A line on each model of the user's own: the outcome of its proof, and the path of the proof."""
    for name in CONFIG.models:
        proof = Path(CERTIFICATES, name, "proof.json")
        if proof.exists():
            outcome = words.outcome(json.loads(proof.read_text(encoding="utf-8")))
            yield f"Proof of {name}: {outcome}   Page: {proof.with_suffix('.html')}"


def end_on_answer(failed=False):
    """Print the answer when Snakemake has said its own last words; after failed jobs, that of the other runs."""
    folder = Path(MERGED if internals.asks_for(workflow, "merge") else RESULTS)
    language = CONFIG.languages[0]

    def end():
        if CONFIG.imported:
            missing = missing_runs(ROUNDS, SO_FAR.unmade, "Nothing is measured here.")
            terminal.end(folder, language, proofs(), missing=missing)
            return
        if not failed:
            terminal.end(folder, language, proofs())
            return
        try:
            missing = draw_so_far()
        finally:
            # Only now: the tables have the failed runs.
            set_aside_failures()
        terminal.end(folder, language, proofs(), started=STARTED, missing=missing)

    atexit.register(end)
