"""Makes one table of a campaign: `python -m framebench table NAME --help`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from framebench.analyse import given
from framebench.analyse.table import TableError, write_table
from framebench.analyse.tables import Table, tables
from framebench.plan.catalogue import AdapterError


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table named on the command line; ends the process with one line on stderr where that fails."""
    parser = argparse.ArgumentParser(prog="python -m framebench table", description=__doc__)
    names = parser.add_subparsers(dest="table", required=True, metavar="NAME", help=", ".join(tables()))
    for table in tables().values():
        _options(names.add_parser(table.name, description=table.make.__doc__), table)
    options = parser.parse_args(arguments)
    table = tables()[options.table]
    try:
        values = given.read(options, table.needs, table.settings)
        try:
            frame = table.make(**values)
        except ValueError as error:
            source = next(iter(getattr(options, table.needs[0])), table.name)
            raise TableError(f"{source}: {error}") from error
        write_table(frame, options.output)
    except (TableError, AdapterError) as error:
        sys.exit(str(error))


def _options(parser: argparse.ArgumentParser, table: Table) -> None:
    given.add_options(parser, table.needs, table.settings)
    parser.add_argument("--output", required=True, type=Path, metavar=f"{table.name}.csv")
