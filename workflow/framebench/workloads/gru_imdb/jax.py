"""The GRU in JAX: a scan over the tokens."""

import jax
import jax.numpy as jnp
from jax import lax, nn


def net(w: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    return gru(w, w["embedding/embeddings"][x]) @ w["dense1/kernel"] + w["dense1/bias"]


def gru(w: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    bias, recurrent_bias = w["gru/bias"]
    # The part that does not depend on the state, for all tokens at once.
    x = jnp.swapaxes(x @ w["gru/kernel"] + bias, 0, 1)

    def step(h: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
        update, reset, new = jnp.split(x, 3, axis=1)
        from_update, from_reset, from_new = jnp.split(h @ w["gru/recurrent_kernel"] + recurrent_bias, 3, axis=1)
        update = nn.sigmoid(update + from_update)
        new = jnp.tanh(new + nn.sigmoid(reset + from_reset) * from_new)
        return update * h + (1 - update) * new, None

    return lax.scan(step, jnp.zeros((x.shape[1], 100), x.dtype), x)[0]
