"""Fails where a merge left anything out: `python -m framebench.exchange.complete --help`."""

import argparse
import sys
from pathlib import Path

import pandas as pd


def main(arguments: list[str] | None = None) -> None:
    """End the process with a line on stderr for every file that was left out, if any was."""
    parser = argparse.ArgumentParser(
        prog="python -m framebench.exchange.complete", description=__doc__.partition(":")[0]
    )
    parser.add_argument("--left-out", required=True, type=Path, metavar="left_out.csv")
    rows = pd.read_csv(parser.parse_args(arguments).left_out, dtype=str, keep_default_na=False)
    if len(rows):
        lines = [f"{': '.join(filter(None, row))}" for row in rows.itertuples(index=False)]
        sys.exit("\n".join([f"{len(lines)} files or parts were left out of the merge:", *lines]))


if __name__ == "__main__":
    main()
