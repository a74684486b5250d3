"""What the device does at most in the framework and process of a run: large matrix products, and large copies.

Measured after the training, so that nothing of the run differs for it: the same precision, libraries and threads,
with the device as warm and its clocks as high as they were. What a product reaches bounds what a net can reach that is
made of products; what a copy reaches, one that is bound by memory.
"""

import time
from collections.abc import Callable
from statistics import median

from framebench.frameworks.contract import Inspector

# The smallest of these sizes of which one product takes long enough for its launch not to matter, else the largest,
# of which three matrices in float32 take 0.8 GiB.
SIZES = (512, 1024, 2048, 4096, 8192)
PRODUCT_S = 0.02
COPY_MIB = 128  # with its copy beyond the caches of most processors
BLOCKS = 3
BLOCK_S = 0.05


def measured(inspector: Inspector, out_of_memory: Callable[[BaseException], bool]) -> dict[str, object]:
    """Record fields; null where there is no memory left for it."""
    try:
        size, product = large_product(inspector)
        return {
            "ceiling_matrix_size": size,
            # A multiply-add counts as two operations, as in the spec.
            "ceiling_gflops": rate(product, 2 * size**3) / 1e9,
            # Each byte is read and written.
            "ceiling_copy_gb_per_s": rate(inspector.copy(COPY_MIB), 2 * COPY_MIB * 2**20) / 1e9,
        }
    except Exception as error:
        if out_of_memory(error):
            return {}
        raise


def large_product(inspector: Inspector) -> tuple[int, Callable[[int], None]]:
    """A size and its product; the product has been made."""
    for size in SIZES:
        product = inspector.product(size)
        product(1)
        if seconds(product, 1) >= PRODUCT_S:
            break
    return size, product


def rate(work: Callable[[int], None], amount: float) -> float:
    """`amount` of work done at a time, per second: median over BLOCKS of at least BLOCK_S."""
    work(1)
    times = 1
    while seconds(work, times) < BLOCK_S:
        times *= 2
    return median(amount * times / seconds(work, times) for _ in range(BLOCKS))


def seconds(work: Callable[[int], None], times: int) -> float:
    """How long it takes to do `work` so many times."""
    start = time.perf_counter()
    work(times)
    return time.perf_counter() - start
