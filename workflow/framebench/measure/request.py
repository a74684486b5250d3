"""The request for a run: what a command that measures hands to the supervisor, and the supervisor to the worker."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from framebench.measure.protocol import Protocol
from framebench.record import Cell


@dataclass(frozen=True)
class Request:
    """One run: of what, where and how, and what of it is looked at."""

    cell: Cell
    protocol: Protocol
    data: str  # file of the samples
    python: str  # interpreter that the measuring process runs in
    environment: str  # prefix that this interpreter must have
    lock_digest: str
    modules: str = ""  # start of a bash command that loads what the interpreter needs
    site: bool = False  # the interpreter is the site's own
    uuid: str | None = None  # of the GPU that is measured on; None on a CPU
    refused: str | None = None  # why there is no device
    round: int = 1
    order: int = 1  # place in the campaign, or among the trials of a search
    certificate: str | None = None  # id of the one that the run needs, to count in a comparison
    tuning: dict[str, Any] = field(default_factory=dict)  # option → value, of track `tuned`
    story: str | None = None  # file of what the reference makes of the first steps; None: nothing is held against it
    batches: int | None = None  # of data, the samples used again where they are too few; None: what they fill
    host_memory_mib: int | None = None  # that the measuring process may take; None: any
    weights_only: bool = False  # nothing is looked at that may need more memory than training did
    diagnosis: bool = False  # steps are timed one by one and profiled, and the device's ceilings measured

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Request":
        values = json.loads(text)
        return cls(**values | {"cell": Cell.of(values["cell"]), "protocol": Protocol.of(values["protocol"])})
