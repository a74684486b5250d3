"""The weights of both files of a pair and facts about their net, which a proof hands to measuring."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

from framebench.prove.inside.causes import SOFTMAX
from framebench.prove.inside.training import Batch, KerasTraining, PyTorchTraining


def write(
    path: Path, trainings: Sequence[KerasTraining | PyTorchTraining], batch: Batch, *, alike: bool = False
) -> None:
    """Write the present weights of the files in float32, and facts about the last file's net.

    `flops_per_sample` of a training step are counted by PyTorch's counter, since both compute with PyTorch; the net
    `attends` if it has an inner softmax. The files are `alike` if a step changes both in the same way.
    """
    arrays: dict[str, np.ndarray] = {}
    for training in trainings:
        arrays |= {name: one.detach().numpy().astype(np.float32) for name, one in training.side.named}
        with FlopCounterMode(display=False) as counter:
            training.loss(batch, True)[1].backward()
    inputs = batch.inputs[-1] if isinstance(training, PyTorchTraining) else batch.inputs[0]
    facts = {
        "flops_per_sample": counter.get_total_flops() // len(inputs),
        "alike": alike,
        "attends": any(one.operation in SOFTMAX for one in training.side.trace(inputs).nodes),
    }
    np.savez(path, facts=np.array(json.dumps(facts)), **arrays)  # type: ignore[arg-type]
