"""How a run is measured, in the words of config.yaml: what the configuration says and the clock keeps to."""

from dataclasses import dataclass, replace
from typing import Any

MIN_ROUNDS = 3  # the fewest of which an interval can be told: docs/statistics.md


@dataclass(frozen=True)
class Warmup:
    """When warm-up ends: limits in seconds and steps; `tolerance` is a relative difference of step times."""

    min_s: float
    min_steps: int
    max_s: float
    group_s: float
    tolerance: float


@dataclass(frozen=True)
class Blocks:
    """How many timed blocks there are, and how long each is at least."""

    count: int
    min_s: float
    min_steps: int


@dataclass(frozen=True)
class Protocol:
    """How a cell is measured; `threads` is a number here, also where the file says `auto`.

    `cores` are the numbers of those that the measuring process is pinned to; None where it may use any.
    """

    seed: int
    cores: tuple[int, ...] | None
    threads: int
    warmup: Warmup
    blocks: Blocks
    synced_steps: int
    profiled_steps: int
    sampler_hz: int  # of a GPU, while it is measured on
    other_processes: str  # `flag` or `wait`: for the end of those on a GPU that is to be measured on
    timeout_s: float

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Protocol":
        """The protocol whose `asdict` went through JSON."""
        parts = {"warmup": Warmup(**values["warmup"]), "blocks": Blocks(**values["blocks"])}
        return cls(**values | parts | {"cores": values["cores"] and tuple(values["cores"])})


def few_steps(protocol: Protocol) -> Protocol:
    """The protocol of a trial that only shows whether a batch trains: all that does not bear on that is left out.

    The first step allocates most; the loss scaling of float16 skips some until it has found its scale, and a trial in
    which no weight has changed is invalid.
    """
    return replace(
        protocol,
        warmup=Warmup(min_s=0, min_steps=1, max_s=0, group_s=0, tolerance=1),
        blocks=Blocks(count=1, min_s=0, min_steps=12),
        synced_steps=2,
        profiled_steps=0,
        other_processes="flag",
    )
