"""The command of an analysis that makes its table of a campaign's measurements alone."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from framebench.analyse.table import TableError, read_table, write_table
from framebench.plan.catalogue import AdapterError


def run(
    make: Callable[[pd.DataFrame, float], pd.DataFrame],
    description: str,
    arguments: Sequence[str] | None,
) -> None:
    """Read measurements, write what `make` makes of them and of the confidence level.

    The module framebench.analyse.<name of make> is what is run, and <name of make>.csv what it writes. Ends the process
    with one line on stderr where it cannot.
    """
    parser = argparse.ArgumentParser(prog=f"python -m framebench.analyse.{make.__name__}", description=description)
    parser.add_argument("--measurements", required=True, type=Path, metavar="measurements.csv")
    parser.add_argument("--confidence", required=True, type=float, help="level of the intervals, such as 0.95")
    parser.add_argument("--output", required=True, type=Path, metavar=f"{make.__name__}.csv")
    options = parser.parse_args(arguments)
    try:
        write_table(make(read_table(options.measurements), options.confidence), options.output)
    except (TableError, AdapterError) as error:
        sys.exit(str(error))
