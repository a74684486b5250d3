"""Write the configuration of a campaign about a user's own model, with the default protocol, and print its path."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from framebench import files
from framebench.plan import catalogue, problem
from framebench.plan.refusals import ConfigError
from framebench.prove.__main__ import TAKEN

NAME = "config.yaml"
HEAD = "# The campaign of `make compare MODEL={folder}`; other keys are as in the project's config.yaml.\n"


def config(folder: Path, results: Path) -> dict[str, Any]:
    """The keys of a campaign about the model of a folder; ConfigError if it cannot have one.

    It compares every framework that builds one of the files, at the model's own batch size; a single framework is
    compared with itself, default and tuned.
    """
    asked = problem.load(folder)
    found = problem.files(folder, asked)
    frameworks = [name for name in catalogue.frameworks() if catalogue.adapter(name).model_file in found]
    if not frameworks:
        raise ConfigError(f"{folder}: has neither keras.py nor pytorch.py; allowed: both, or one of them")
    question = ["pytorch", "keras-tensorflow"]
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.name).strip("-._")[:64] or "model"
    if name in TAKEN:
        raise ConfigError(f"{folder}: a model cannot be called {name!r}, as a folder of the results is")
    return {
        "results": str(results / name),
        "frameworks": frameworks,
        "baseline": frameworks[0],
        "question": question if set(question) <= set(frameworks) else None,
        "models": {name: str(folder)},
        "matrix": [
            {
                "workload": name,
                "tracks": ["default", *(["tuned"] if len(frameworks) == 1 else [])],
                "precisions": ["float32"],
                "inputs": ["device"],
                "batch_sizes": [asked.batch_size],
                "rounds": {"at_least": 3, "at_most": 12, "until": "decided"},
            }
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m framebench.prove.campaign", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with problem.yaml, keras.py and pytorch.py")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="results go to a folder of its name there"
    )
    options = parser.parse_args()
    folder = options.folder.expanduser().resolve()
    try:
        made = config(folder, options.results)
    except ConfigError as error:
        sys.exit(str(error))
    path = Path(made["results"], NAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(path, encoding="utf-8") as file:
        file.write(HEAD.format(folder=options.folder) + yaml.safe_dump(made, sort_keys=False, allow_unicode=True))
    print(path)


if __name__ == "__main__":
    main()
