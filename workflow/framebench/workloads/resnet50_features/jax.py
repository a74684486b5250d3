"""ResNet-50 v1.5 up to its average pool in JAX."""

import jax
import jax.numpy as jnp
from jax import lax, nn


def net(w: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    x = nn.relu(norm(w, conv(w, x, "conv1", stride=2), "bn1"))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = stage(w, x, "layer1", blocks=3, stride=1)
    x = stage(w, x, "layer2", blocks=4, stride=2)
    x = stage(w, x, "layer3", blocks=6, stride=2)
    x = stage(w, x, "layer4", blocks=3, stride=2)
    return x.mean((1, 2))


def stage(w: dict[str, jax.Array], x: jax.Array, name: str, blocks: int, stride: int) -> jax.Array:
    x = block(w, x, f"{name}.0", stride, projects=True)
    for i in range(1, blocks):
        x = block(w, x, f"{name}.{i}", 1, projects=False)
    return x


def block(w: dict[str, jax.Array], x: jax.Array, name: str, stride: int, projects: bool) -> jax.Array:
    shortcut = x
    if projects:
        shortcut = norm(w, conv(w, x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
    x = nn.relu(norm(w, conv(w, x, f"{name}.conv1"), f"{name}.bn1"))
    x = nn.relu(norm(w, conv(w, x, f"{name}.conv2", stride), f"{name}.bn2"))
    return nn.relu(norm(w, conv(w, x, f"{name}.conv3"), f"{name}.bn3") + shortcut)


def conv(w: dict[str, jax.Array], x: jax.Array, name: str, stride: int = 1) -> jax.Array:
    kernel = w[f"{name}/kernel"]
    # "SAME" would put one zero more at the end than at the beginning if there is a stride.
    around = kernel.shape[0] // 2
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), 2 * [(around, around)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def norm(w: dict[str, jax.Array], x: jax.Array, name: str) -> jax.Array:
    # In mixed precision these stay in float32, and so do computations with them.
    scale = w[f"{name}/gamma"] * lax.rsqrt(w[f"{name}/moving_variance"] + 1e-5)
    return ((x - w[f"{name}/moving_mean"]) * scale + w[f"{name}/beta"]).astype(x.dtype)
