"""Options and start-up shared by the commands that measure."""

import argparse
import json
import os
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from framebench import interrupts
from framebench.measure import die_with
from framebench.measure.devices import allocation, idle
from framebench.measure.devices.lease import lease
from framebench.measure.protocol import Protocol
from framebench.measure.request import Request
from framebench.measure.supervisor import wait_for_others
from framebench.record import TYPES, Cell


def parser(module: str, description: str | None, decided: Container[str] = ()) -> argparse.ArgumentParser:
    """A parser with the options of every measuring command; of the cell fields, those not `decided` by this one."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    for name, type in TYPES.items():
        if name not in decided:
            parser.add_argument(f"--{name.replace('_', '-')}", type=type, required=True)
    parser.add_argument("--uuid", help="UUID of the GPU to measure on")
    parser.add_argument("--idle", type=Path, metavar="FOLDER", help="the power of each idle GPU, measured if missing")
    parser.add_argument("--allocated", metavar="MODEL", help="device allocated by Slurm: this GPU, or `cpu`")
    parser.add_argument(
        "--protocol", type=lambda text: Protocol.of(json.loads(text)), required=True, help="JSON of a Protocol"
    )
    parser.add_argument("--data", required=True, help="npz with samples and labels")
    parser.add_argument("--modules", default="", help="start of a bash command that loads the interpreters' modules")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="process to die with (default: the caller)")
    return parser


def add_interpreter(parser: argparse.ArgumentParser) -> None:
    """The options of a command that measures in one framework: its interpreter, and one log and output."""
    parser.add_argument("--python", required=True, help="interpreter of the framework's environment")
    parser.add_argument("--environment", required=True, help="required sys.prefix of this interpreter")
    parser.add_argument("--lock-digest", required=True)
    parser.add_argument("--site", action="store_true", help="this interpreter is the site's own")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON: the results")


@contextmanager
def leased(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The parsed arguments, with the allocated device and its idle power, while that device is leased.

    Where the protocol says so, other processes on a GPU have ended by then.
    """
    die_with(arguments.parent)
    interrupts.end_in_a_line()
    told = vars(arguments)
    if arguments.allocated:
        told["uuid"], told["refused"] = allocation.bound(arguments.allocated)
    with lease(told["uuid"] or arguments.device):
        uuid, folder, protocol = told["uuid"], told["idle"], arguments.protocol
        if uuid and protocol.other_processes == "wait":
            wait_for_others(uuid, protocol.timeout_s)
        yield told | {"idle": idle.of_card(folder, uuid, protocol) if uuid and folder else None}


def request(told: Mapping[str, Any], **decided: Any) -> Request:
    """The request for a run, from these arguments and the values that the command has `decided`."""
    told = {**told, **decided}
    of_request = {field.name: told[field.name] for field in fields(Request) if field.name in told}
    return Request(cell=Cell.of(told), **of_request)
