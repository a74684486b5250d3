"""The power of an idle GPU: measured once for each card, before a campaign computes on it, and kept in the results."""

import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from framebench import files
from framebench.measure.devices import samples
from framebench.measure.devices.sampling import Sampling
from framebench.measure.protocol import Protocol

SAMPLED_S = 3.0
OTHERS = "another process computed on the card when its idle power was measured"


@dataclass(frozen=True)
class Idle:
    """The mean power of a card on which nothing computes; None with its reason where it is not known."""

    uuid: str
    unix_s: float  # time of the measurement
    power_w: float | None
    reason: str | None


def of_card(folder: Path, uuid: str, protocol: Protocol) -> Idle:
    """The idle power of a card as kept in this folder; measured now, and kept, where it is not there yet.

    A later invocation keeps what this one finds, also a reason: the card has computed since, and is not as it was.
    Nothing is kept of a card that did not answer. Ends the process with one line where the file cannot be used.
    """
    file = folder / f"{uuid.replace('/', '-')}.json"  # the UUID of a MIG device has slashes in older drivers
    try:
        return Idle(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError) as error:
        sys.exit(f"{file}: cannot be used: {error}; delete it to measure the idle card again")
    found, answered = measured(uuid, protocol)
    if answered:
        try:
            with files.whole(file, encoding="utf-8") as output:
                json.dump(asdict(found), output, indent=1)
        except OSError as error:
            sys.exit(f"{file}: cannot be written: {error.strerror}; run again when it can")
    return found


def measured(uuid: str, protocol: Protocol) -> tuple[Idle, bool]:
    """The power of a card over SAMPLED_S, and true where the card answered to the end."""
    unix_s = time.time()
    with tempfile.TemporaryDirectory() as folder:
        sampling = Sampling(uuid, protocol.sampler_hz, protocol.cores, Path(folder, "samples.jsonl"))
        if sampling.begun():
            time.sleep(SAMPLED_S)
        seen = sampling.stop()
    power_w = seen.power_w[~np.isnan(seen.power_w)]
    reason = seen.ended
    if not reason and len(seen.processes):
        reason = OTHERS
    if not reason and not len(power_w):
        reason = samples.why_not(seen, "power_w")
    return Idle(uuid, unix_s, None if reason else float(power_w.mean()), reason), not seen.ended
