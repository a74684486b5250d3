"""The measuring protocol: how a run is measured, in the words of config.yaml."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

MIN_ROUNDS = 3  # fewest rounds for an interval: docs/statistics.md


def _checked(value: float, check: Callable[[float], float]) -> float:
    check(value)
    return value


class Allowed:
    """The limits of a value of config.yaml, and their wording in error messages.

    The limits have pydantic's names, but pydantic is not installed where a run is measured: this only has the two
    methods that pydantic looks for in `Annotated`. A number is kept as it was written, 600 and not 600.0.
    """

    def __init__(self, words: str, **limits: object) -> None:
        self.words, self.limits = words, limits

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        schema = handler(source)
        if schema["type"] in ("int", "float", "str", "bool"):
            schema = {**schema, **self.limits, "strict": True}
        if schema["type"] != "float":
            return schema
        keeping = {"type": "no-info", "function": _checked}
        return {"type": "function-wrap", "function": keeping, "schema": {**schema, "allow_inf_nan": False}}

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {**handler(schema), "allowed": self.words}


# Far above any sensible request, and below the capacity of a table, a random generator or a file name.
MOST = 10**9
Count = Annotated[int, Allowed(f"a whole number from 1 to {MOST}", ge=1, le=MOST)]
CountOrNone = Annotated[int, Allowed(f"a whole number from 0 to {MOST}", ge=0, le=MOST)]
Seed = Annotated[int, Allowed("a whole number from 0 to 2^63 - 1", ge=0, le=2**63 - 1)]
Flag = Annotated[bool, Allowed("true or false")]
Seconds = Annotated[float, Allowed("a number of seconds of at least 0", ge=0)]
SomeSeconds = Annotated[float, Allowed("a number of seconds above 0", gt=0)]


@dataclass(frozen=True)
class Warmup:
    """When warm-up ends."""

    min_s: Seconds
    """Shortest warm-up in seconds."""
    min_steps: Count
    """Fewest steps of warm-up."""
    max_s: Seconds
    """Longest warm-up in seconds; it then ends without having converged."""
    group_s: SomeSeconds
    """Seconds of steps in a group; their median is one reading of the step time."""
    tolerance: Annotated[float, Allowed("a number above 0 and at most 1", gt=0, le=1)]
    """Largest relative change of the step time at which warm-up has converged."""


@dataclass(frozen=True)
class Blocks:
    """The timed stretches of steps."""

    count: Count
    """Blocks per run."""
    min_s: Seconds
    """Shortest block in seconds."""
    min_steps: Count
    """Fewest steps of a block."""
    lead_in_s: Seconds
    """Seconds of untimed steps before the first block of a turn."""


@dataclass(frozen=True)
class Protocol:
    """The way a cell is measured."""

    seed: Seed
    """Random seed of the order of runs, the initial weights, the synthetic data and the choice of reviews."""
    cores: tuple[int, ...] | None
    """Cores that the measuring process is pinned to; None for any."""
    threads: int
    """CPU threads for every framework, a number also where the file says `auto`."""
    warmup: Warmup
    blocks: Blocks
    interleave: Literal["auto"] | Flag
    """True where the blocks of the compared frameworks alternate; auto does so on CPUs alone."""
    diagnosed_rounds: CountOrNone
    """Number of first rounds in which every run is followed by its diagnosis, set by the next keys."""
    synced_steps: Count
    """Steps of the diagnosis with a synchronisation after each one."""
    profiled_steps: CountOrNone
    """Steps of the diagnosis under the framework's own profiler; 0 for none."""
    sampler_hz: Annotated[int, Allowed("a whole number from 1 to 100", ge=1, le=100)]
    """Samples per second of a GPU's memory, power, clocks and temperature."""
    other_processes: Literal["flag", "wait"]
    """Response to other processes that compute on the GPU of a run: flag the run, or wait for their end."""
    timeout_s: SomeSeconds
    """Seconds after which a run is stopped."""

    def interleaves(self, uuid: str | None) -> bool:
        """True where the blocks of the compared runs alternate on the GPU of this UUID, or on the CPU."""
        return not uuid if self.interleave == "auto" else self.interleave

    @property
    def shortest_s(self) -> float:
        """Shortest duration of a run in seconds."""
        return self.warmup.min_s + self.blocks.count * self.blocks.min_s

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Protocol":
        """The protocol from its `asdict` after JSON."""
        parts = {"warmup": Warmup(**values["warmup"]), "blocks": Blocks(**values["blocks"])}
        return cls(**values | parts | {"cores": values["cores"] and tuple(values["cores"])})


def few_steps(protocol: Protocol) -> Protocol:
    """The protocol of a trial that only shows whether a batch trains, without everything irrelevant to that.

    The first step allocates most; the loss scaling of float16 skips some until it has found its scale, and a trial in
    which no weight has changed is invalid.
    """
    return replace(
        protocol,
        warmup=Warmup(min_s=0, min_steps=1, max_s=0, group_s=0, tolerance=1),
        blocks=Blocks(count=1, min_s=0, min_steps=12, lead_in_s=0),
        interleave=False,
        diagnosed_rounds=0,
        synced_steps=1,
        profiled_steps=0,
        other_processes="flag",
    )
