# The end of an invocation.
import atexit
import json
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


def proofs():
    """A line on each model of the user's own: the outcome of its proof, and the path of the proof."""
    for name in CONFIG.models:
        proof = Path(CERTIFICATES, name, "proof.json")
        if proof.exists():
            outcome = words.outcome(json.loads(proof.read_text(encoding="utf-8")))
            yield f"Proof of {name}: {outcome}   Page: {proof.with_suffix('.html')}"


def end_on_answer(failed=False):
    """Print the answer when Snakemake has said its own last words."""
    folder = MERGED if internals.asks_for(workflow, "merge") else RESULTS
    language, started = CONFIG.languages[0], STARTED if failed else None
    atexit.register(
        lambda: terminal.end(Path(folder), language, proofs(), started=started)
    )
