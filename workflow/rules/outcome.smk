# The end of an invocation.
import atexit
import json
import time
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

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


def print_answer(failed):
    """Show the answer, and the paths of the rest; if a job failed, say that an answer is an earlier one."""
    folder = MERGED if internals.asks_for(workflow, "merge") else RESULTS
    answer = Path(folder, f"verdict.{CONFIG.languages[0]}")
    screen = Path(f"{answer}.json")
    if screen.exists():
        console = Console(stderr=True)
        console.print()
        if failed and screen.stat().st_mtime < STARTED:
            console.print(
                Text(
                    f"A job failed, so that this answer is an older one, of {datetime.fromtimestamp(screen.stat().st_mtime):%Y-%m-%d %H:%M}:",
                    style="bold red",
                )
            )
        terminal.show(json.loads(screen.read_text("utf-8")), console)
        for line in [
            *proofs(),
            f"Page: {folder}/report.{CONFIG.languages[0]}.html   Details: {answer}.txt   Figures: {folder}/figures/",
        ]:
            console.print(Text(line), soft_wrap=True)  # paths are copied


def end_on_answer(failed=False):
    """Print the answer after Snakemake's own last words."""
    atexit.register(print_answer, failed)
