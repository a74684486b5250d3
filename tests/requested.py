"""Requests for runs, like those of the measuring commands."""

import sys
from dataclasses import fields, replace

from framebench.measure.protocol import Blocks, Protocol, Warmup
from framebench.measure.request import Request
from framebench.record import Cell

PROTOCOL = Protocol(
    seed=1,
    cores=None,
    threads=1,
    warmup=Warmup(min_s=0.05, min_steps=2, max_s=0.5, group_s=0.02, tolerance=0.2),
    blocks=Blocks(count=3, min_s=0.05, min_steps=2, lead_in_s=0.01),
    interleave="auto",
    diagnosed_rounds=1,
    synced_steps=3,
    profiled_steps=0,
    sampler_hz=10,
    other_processes="flag",
    timeout_s=60,
)
REQUEST = Request(
    cell=Cell("cpu", "article-cnn", "pytorch", "default", "float32", "device", 32),
    protocol=PROTOCOL,
    data="none.npz",
    python=sys.executable,
    environment=sys.prefix,
    lock_digest="0",
)


def request(**changes: object) -> Request:
    """REQUEST with these values of its own fields, or of its cell's or its protocol's."""

    def changed(whole):
        return replace(whole, **{one.name: changes[one.name] for one in fields(whole) if one.name in changes})

    return replace(changed(REQUEST), cell=changed(REQUEST.cell), protocol=changed(PROTOCOL))
