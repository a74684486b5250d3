"""The GRU in TensorFlow's core API, which has no recurrent layer: a scan over the tokens."""

import tensorflow as tf


class Net(tf.Module):
    def __init__(self, weights: dict[str, tf.Variable]) -> None:
        super().__init__()
        self.w = weights

    def __call__(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        x = tf.gather(self.w["embedding/embeddings"], tf.transpose(x))  # (tokens, batch, 125)
        return tf.matmul(self.gru(x), self.w["dense1/kernel"]) + self.w["dense1/bias"]

    def gru(self, x: tf.Tensor) -> tf.Tensor:
        tokens, batch, size = x.shape[0], tf.shape(x)[1], x.shape[2]
        bias, recurrent_bias = tf.unstack(self.w["gru/bias"])
        recurrent_kernel = tf.convert_to_tensor(self.w["gru/recurrent_kernel"])
        # The part that does not depend on the state, for all tokens at once.
        x = tf.matmul(tf.reshape(x, (-1, size)), self.w["gru/kernel"]) + bias

        def step(h: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
            update, reset, new = tf.split(x, 3, axis=1)
            from_update, from_reset, from_new = tf.split(tf.matmul(h, recurrent_kernel) + recurrent_bias, 3, axis=1)
            update = tf.sigmoid(update + from_update)
            new = tf.tanh(new + tf.sigmoid(reset + from_reset) * from_new)
            return update * h + (1 - update) * new

        return tf.scan(step, tf.reshape(x, (tokens, batch, 300)), tf.zeros((batch, 100), x.dtype))[-1]
