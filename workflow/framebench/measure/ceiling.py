"""Peak rates of the device in the framework and process of a run: large matrix products, and large copies.

They are measured after the training, so that they cannot change the run: same precision, libraries and threads, with
the device warm and its clocks up. The matrix product bounds a net made of products; the copy bounds a net limited by
memory.
"""

import time
from collections.abc import Callable
from statistics import median

from framebench.frameworks.contract import Inspector

# Candidate sizes. The smallest one counts whose product is long compared with its launch, or else the largest, where
# three matrices in float32 take 0.8 GiB.
SIZES = (512, 1024, 2048, 4096, 8192)
PRODUCT_S = 0.02
COPY_MIB = 128  # with its copy, larger than the caches of most processors
BLOCKS = 3
BLOCK_S = 0.05


def measured(inspector: Inspector, out_of_memory: Callable[[BaseException], bool]) -> dict[str, object]:
    """Record fields; null where there is too little memory."""
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
    """A matrix size and its product, already computed once."""
    for size in SIZES:
        product = inspector.product(size)
        product(1)
        if seconds(product, 1) >= PRODUCT_S:
            break
    return size, product


def rate(work: Callable[[int], None], amount: float) -> float:
    """Units of `amount` per second: median over BLOCKS of at least BLOCK_S."""
    work(1)
    times = 1
    while seconds(work, times) < BLOCK_S:
        times *= 2
    return median(amount * times / seconds(work, times) for _ in range(BLOCKS))


def seconds(work: Callable[[int], None], times: int) -> float:
    """Seconds for this many repetitions of `work`."""
    start = time.perf_counter()
    work(times)
    return time.perf_counter() - start
