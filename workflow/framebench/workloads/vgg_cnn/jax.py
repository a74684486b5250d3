"""The VGG-style net in JAX."""

import jax
import jax.numpy as jnp
from jax import lax, nn, random


def net(w: dict[str, jax.Array], x: jax.Array, key: jax.Array | None = None) -> jax.Array:
    keys = random.split(key, 3) if key is not None else (None, None, None)
    x = conv(conv(x, w, "conv1"), w, "conv2")
    x = dropout(max_pool(x), 0.25, keys[0])
    x = conv(conv(x, w, "conv3"), w, "conv4")
    x = dropout(max_pool(x), 0.25, keys[1])
    x = x.reshape(len(x), -1)
    x = nn.relu(x @ w["dense1/kernel"] + w["dense1/bias"])
    x = dropout(x, 0.5, keys[2])
    return x @ w["dense2/kernel"] + w["dense2/bias"]


def conv(x: jax.Array, w: dict[str, jax.Array], name: str) -> jax.Array:
    x = lax.conv_general_dilated(x, w[f"{name}/kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return nn.relu(x + w[f"{name}/bias"])


def max_pool(x: jax.Array) -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def dropout(x: jax.Array, rate: float, key: jax.Array | None) -> jax.Array:
    if key is None:
        return x
    return jnp.where(random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)
