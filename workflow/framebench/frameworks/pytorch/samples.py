"""Test samples for PyTorch."""

from unittest.mock import MagicMock, Mock, patch

import torch

from framebench.frameworks._samples import caught
from framebench.frameworks.contract import Span
from framebench.frameworks.pytorch.inspector import traced

EXECUTION = "eager"
BATCH_NORM = "fused"


def out_of_memory() -> list[BaseException]:
    return [
        # More than 2^47 bytes, beyond the addresses of any process, even where the kernel overcommits.
        caught(lambda: torch.empty(2**50, dtype=torch.uint8)),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ]


def other_errors() -> list[BaseException]:
    return [
        caught(lambda: torch.ones(2) @ torch.ones(3)),
        RuntimeError("CUDA error: invalid argument"),
        RuntimeError("could not create a primitive"),
    ]


def gpu_spans() -> list[Span]:
    cuda, cpu = torch.autograd.DeviceType.CUDA, torch.autograd.DeviceType.CPU
    events = [
        ("a kernel", cuda, False, 3000, 6000),
        ("Memcpy HtoD", cuda, False, 5000, 9000),
        ("Optimizer.step#SGD.step", cuda, True, 0, 90000),
        ("aten::conv2d", cpu, False, 0, 90000),
        ("Torch-Compiled Region: 0/0", cpu, False, 0, 90000),
    ]
    names = ("name", "device_type", "is_user_annotation", "start_ns", "end_ns")
    seen = MagicMock()
    seen.__enter__.return_value.profiler.kineto_results.events.return_value = [
        Mock(**{name: Mock(return_value=value) for name, value in zip(names, event, strict=True)}) for event in events
    ]
    with patch.object(torch.profiler, "profile", return_value=seen) as profile, traced("cuda") as spans:
        pass
    assert profile.call_args.kwargs == {"activities": [torch.profiler.ProfilerActivity.CUDA]}
    return spans
