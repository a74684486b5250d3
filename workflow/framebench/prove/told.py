"""The first training steps of a user's files, computed by a process of the PyTorch environment; see `inside.story`."""

import argparse
import json
import sys
from pathlib import Path

from framebench.plan.refusals import ConfigError
from framebench.prove import place, process

TIME_LIMIT_S = 3600.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m framebench.prove.told", description=__doc__)
    parser.add_argument("request", type=json.loads, help="JSON: the problem, as a proof is asked, and files")
    parser.add_argument("--threads", type=int, default=1, help="threads that compute")
    parser.add_argument("--log", type=Path, required=True, help="output of the process")
    options = parser.parse_args()
    paths = {name: str(Path(options.request[name]).absolute()) for name in ("told", "data", "output")}
    asked = {**options.request, **paths, "threads": options.threads}
    try:
        where = place.of("pytorch", Path(asked["folder"]), options.log)
        answer = process.answer(
            where.python, "story", asked, backend="torch", log=options.log, time_limit_s=TIME_LIMIT_S
        )
    except (ConfigError, process.ProcessError) as error:
        sys.exit(str(error))
    if refused := answer.get("refused"):
        sys.exit(f"{refused}\n{answer['traceback']}".rstrip())


if __name__ == "__main__":
    main()
