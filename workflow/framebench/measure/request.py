"""The request for a run: passed from a measuring command to the supervisor, and from the supervisor to the worker."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from framebench.measure.protocol import Protocol
from framebench.record import Cell


@dataclass(frozen=True)
class Request:
    """One run: its cell, its place, its protocol, and the checks to make."""

    cell: Cell
    protocol: Protocol
    data: str  # file of the samples
    python: str  # interpreter that the measuring process runs in
    environment: str  # the interpreter's required sys.prefix
    lock_digest: str
    modules: str = ""  # start of a bash command that loads the interpreter's modules
    site: bool = False  # the interpreter is the site's own
    uuid: str | None = None  # UUID of the GPU to measure on; None on a CPU
    refused: str | None = None  # reason why there is no device
    round: int = 1
    order: int = 1  # position in the campaign, or among the trials of a search
    certificate: str | None = None  # id of the certificate that the run needs, to count in a comparison
    tuning: dict[str, Any] = field(default_factory=dict)  # option → value, of track `tuned`
    story: str | None = None  # file with the reference's first steps; None: no comparison with the reference
    batches: int | None = None  # number of samples, repeated where the data have too few; None: as many as they have
    host_memory_mib: int | None = None  # memory limit of the measuring process; None: no limit
    weights_only: bool = False  # leave out checks that may need more memory than training did
    diagnosis: bool = False  # time steps one by one, profile them, and measure the device's ceilings

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Request":
        values = json.loads(text)
        return cls(**values | {"cell": Cell.of(values["cell"]), "protocol": Protocol.of(values["protocol"])})
