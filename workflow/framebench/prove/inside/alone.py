"""A PyTorch file without another to compare it with: does its float32 match its float64?"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from framebench.prove.inside import checks, given
from framebench.prove.inside.answering import answer_requests
from framebench.prove.inside.pair import check_output, drawn, probabilities
from framebench.prove.inside.pytorch_side import PyTorchSide
from framebench.prove.inside.training import Problem, PyTorchTraining
from framebench.workloads.loading import UserError


def prove(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request, like that of `framebench.prove.inside.pair`."""
    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    (batch, *_) = drawn(request)
    path, function = Path(request["folder"], request["pytorch"]["file"]), request["pytorch"]["function"]
    side = PyTorchSide(path, function, "float64", batch.inputs[1])
    if kind := check_output(side, batch.inputs[1], request):
        raise UserError(f"{side.file}: the model gives {probabilities(kind, request)}")
    problem = Problem.of(request)
    if "told" in request:
        given.write(Path(request["told"]), [PyTorchTraining(side, problem)], batch)
    made, _ = checks.in_single(side, problem, batch)
    failed = next((one for one in made if not one.passed), None)
    return {
        "outcome": "different" if failed else "equal",
        "cause": f"in float32 only: {failed.quantity}" if failed else None,
        "checks": [asdict(one) for one in made],
        "parameters": {"pytorch": sum(one.numel() for one in side.parameters)},
        "flops_per_sample": {"pytorch": checks.flops_of(side, batch.inputs[1])},
        "settled": [f"{side.file} is the only file: its float32 is compared with its own float64."],
        "versions": {"torch": torch.__version__},
    }


if __name__ == "__main__":
    answer_requests(prove)
