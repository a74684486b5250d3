"""The article's small net in JAX."""

import jax
import jax.numpy as jnp
from jax import lax, nn


def net(w: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    x = max_pool(nn.relu(conv(x, w["conv1/kernel"]) + w["conv1/bias"]))
    x = max_pool(nn.relu(conv(x, w["conv2/kernel"]) + w["conv2/bias"]))
    x = x.reshape(len(x), -1)
    return x @ w["dense1/kernel"] + w["dense1/bias"]


def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def max_pool(x: jax.Array) -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
