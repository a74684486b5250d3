"""Prove that keras.py and pytorch.py of a folder train the same function, or say where they part.

Keras's backends are compared where keras.py is alone, and pytorch.py alone with itself, float32 with float64.

Ends with 0 where they are equal, also but for a difference of the closed list; with 1 where they are different, and
with 2 where nothing could be proved.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from framebench import files, interrupts, record, usermodels
from framebench.output import escape_unknown
from framebench.plan import problem
from framebench.plan.refusals import ConfigError
from framebench.prove import backends, place, process, words
from framebench.prove.page import page

TIME_LIMIT_S = 600.0  # for models that take minutes to build; a small net is proved in ten seconds
# Folders in a campaign's results.
TAKEN = ("aa", "certificates", "data", "environments", "figures", "logs", "published", "runs", "samples")
SEED = 1
# The answer for keras.py alone, before its backends add to it.
ALONE: dict[str, Any] = {
    **{"outcome": "equal", "first_different": None, "cause": None, "flops_per_sample": None, "seconds": 0.0},
    **{"differences": [], "matches": [], "checks": [], "settled": [], "parameters": {}, "versions": {}},
    "unmatched": {"keras": [], "pytorch": []},
}
DIFFERENT, REFUSED = 1, 2


def main() -> None:
    escape_unknown()
    interrupts.end_in_a_line()
    parser = argparse.ArgumentParser(prog="python -m framebench.prove", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with problem.yaml, keras.py and pytorch.py")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="the proof goes to a folder of its name there"
    )
    parser.add_argument(
        "--time-limit", type=float, default=TIME_LIMIT_S, metavar="SECONDS", help="for building and proving"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads that compute")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="folder of the proof, instead")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE.npz", help="file for the weights that measuring gives both models"
    )
    parser.add_argument("--backends", action="store_true", help="prove keras.py on Keras's other backends too")
    options = parser.parse_args()
    folder = options.folder.resolve()
    output = options.output or options.results / folder.name
    # Files of an earlier proof.
    for path in (output / "proof.json", output / "proof.html", *filter(None, [options.weights])):
        path.unlink(missing_ok=True)
    try:
        log = output / "prove.log"
        proof = proved(
            folder, log, options.threads, options.time_limit, on_backends=options.backends, weights=options.weights
        )
    except (ConfigError, process.ProcessError) as error:
        print(f"{error}", file=sys.stderr)
        sys.exit(REFUSED)
    record.write(output / "proof.json", proof)
    with files.whole(output / "proof.html", encoding="utf-8") as file:
        file.write(page(proof))
    print(f"{printable(proof['model'])}: {words.outcome(proof)}")
    for line in words.differences(proof):
        print(f"    {line}")
    print(f"    {words.summary(proof)}: {output / 'proof.html'}")
    if proof["outcome"] == "different" and not (options.weights and proof["compare_anyway"]):
        sys.exit(DIFFERENT)


def proved(
    folder: Path,
    log: Path,
    threads: int,
    time_limit_s: float,
    *,
    on_backends: bool = False,
    weights: Path | None = None,
) -> dict[str, Any]:
    """The proof of a folder; ConfigError or ProcessError if there can be none.

    `weights`: the path for the weights that measuring gives both files.
    """
    asked = problem.load(folder)
    found = problem.files(folder, asked)
    if folder.name in TAKEN:
        raise ConfigError(f"{folder}: a model cannot be called {folder.name!r}, as a folder of the results is")
    if not found:
        raise ConfigError(f"{folder}: has neither keras.py nor pytorch.py; allowed: both, or one of them")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    where = place.of("pytorch", folder, log.with_name("requirements.log"))
    told = problem.request(folder, asked, SEED, threads)
    if weights:
        told["told"] = str(weights.absolute())
    answer = dict(ALONE)
    if "pytorch" in found:
        module = "pair" if "keras" in found else "alone"
        answer |= process.answer(where.python, module, told, backend="torch", log=log, time_limit_s=time_limit_s)
        if refused := answer.get("refused"):
            raise ConfigError(f"{folder.name}/{refused}" + (f"\n{answer['traceback']}" if answer["traceback"] else ""))
    if "pytorch" not in found or ("keras" in found and on_backends and answer["outcome"] != "different"):
        answer = backends.with_checks(answer, backends.compared(told, log, time_limit_s))
    return {
        "model": folder.name,
        "files": sorted(one["file"] for one in found.values()),
        "folder_digest": usermodels.digest(folder),
        "lock_digest": where.digest,
        "requirements": where.requirements,
        "seed": SEED,
        "compare_anyway": asked.compare_anyway,
        **answer,
    }


def printable(name: str) -> str:
    return name if name.isprintable() else repr(name)


if __name__ == "__main__":
    main()
