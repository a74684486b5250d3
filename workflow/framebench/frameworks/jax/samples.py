"""Test samples for JAX."""

import jax
import jax.numpy as jnp

from framebench.frameworks._samples import GPU_TRACE, caught
from framebench.frameworks.contract import Span
from framebench.frameworks.jax.inspector import spans_in

EXECUTION = "compiled"


def out_of_memory() -> list[BaseException]:
    error = jax.errors.JaxRuntimeError
    return [
        # More than 2^47 bytes, beyond the addresses of any process, even where the kernel overcommits.
        caught(lambda: jnp.zeros(2**48)),
        caught(jax.jit(lambda: 2 * jnp.ones(2**48))),
        error("INTERNAL: Failed to create cuDNN handle: CUDNN_STATUS_ALLOC_FAILED"),
        error("INTERNAL: Failed to allocate: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    ]


def other_errors() -> list[BaseException]:
    return [
        caught(lambda: jnp.ones(2) + jnp.ones(3)),
        jax.errors.JaxRuntimeError("INTERNAL: Failed to launch a kernel"),
        RuntimeError("RESOURCE_EXHAUSTED: of another library"),
    ]


def gpu_spans() -> list[Span]:
    return spans_in(jax.profiler.ProfileData.from_text_proto(GPU_TRACE), "cuda")
