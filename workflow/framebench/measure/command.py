"""The common part of the commands that measure: the options of all, and how each begins."""

import argparse
import json
import os
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from framebench.measure import die_with
from framebench.measure.devices import allocation
from framebench.measure.devices.lease import lease
from framebench.measure.protocol import Protocol
from framebench.measure.request import Request
from framebench.record import TYPES, Cell


def parser(module: str, description: str | None, decided: Container[str] = ()) -> argparse.ArgumentParser:
    """A parser of what every such command is told; of a cell all but the fields that are `decided` by this one."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    for name, type in TYPES.items():
        if name not in decided:
            parser.add_argument(f"--{name.replace('_', '-')}", type=type, required=True)
    parser.add_argument("--uuid", help="of the GPU to measure on")
    parser.add_argument("--allocated", metavar="MODEL", help="measure on what Slurm allocated: this GPU, or `cpu`")
    parser.add_argument(
        "--protocol", type=lambda text: Protocol.of(json.loads(text)), required=True, help="JSON of a Protocol"
    )
    parser.add_argument("--data", required=True, help="npz with samples and labels")
    parser.add_argument("--environment", type=Path, required=True, help="prefix that this interpreter must have")
    parser.add_argument("--lock-digest", required=True)
    parser.add_argument("--site", action="store_true", help="this interpreter is the site's own")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="process to die with (default: the caller)")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON: what was measured")
    return parser


@contextmanager
def leased(arguments: argparse.Namespace, **decided: Any) -> Iterator[Request]:
    """The request that such arguments make with what the command has `decided`, and its device leased meanwhile.

    Ends the process where it runs in another environment than it was told.
    """
    die_with(arguments.parent)
    if Path(sys.prefix).resolve() != arguments.environment.resolve():
        sys.exit(f"{arguments.environment}: this is not the environment of the interpreter that runs ({sys.prefix})")
    told = vars(arguments) | decided
    if arguments.allocated:
        told["uuid"], told["refused"] = allocation.bound(arguments.allocated)
    of_request = {field.name: told[field.name] for field in fields(Request) if field.name in told}
    with lease(told["uuid"] or arguments.device):
        yield Request(cell=Cell.of(told), **of_request)
