"""The article's small net trained in plain TensorFlow: prints images/s of a window for each line read."""

import sys
import time

# This file's own folder holds a `tensorflow.py` and a `keras_tensorflow.py`.
sys.path.pop(0)
import tensorflow as tf

batch_size, threads, window_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)

glorot = tf.initializers.GlorotUniform()
w1, b1 = tf.Variable(glorot((3, 3, 3, 32))), tf.Variable(tf.zeros(32))
w2, b2 = tf.Variable(glorot((3, 3, 32, 16))), tf.Variable(tf.zeros(16))
w3, b3 = tf.Variable(glorot((576, 10))), tf.Variable(tf.zeros(10))
variables = [w1, b1, w2, b2, w3, b3]
velocities = [tf.Variable(tf.zeros_like(variable)) for variable in variables]


@tf.function
def step(x, y):
    with tf.GradientTape() as tape:
        h = tf.nn.max_pool2d(tf.nn.relu(tf.nn.conv2d(x, w1, 1, "VALID") + b1), 2, 2, "VALID")
        h = tf.nn.max_pool2d(tf.nn.relu(tf.nn.conv2d(h, w2, 1, "VALID") + b2), 2, 2, "VALID")
        logits = tf.reshape(h, (-1, 576)) @ w3 + b3
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
    for variable, velocity, gradient in zip(variables, velocities, tape.gradient(loss, variables), strict=True):
        velocity.assign(0.9 * velocity + gradient)
        variable.assign_sub(0.01 * velocity)
    return loss


batches = [
    (tf.random.uniform((batch_size, 32, 32, 3)), tf.random.uniform((batch_size,), 0, 10, tf.int64))
    for _ in range(25600 // batch_size)
]


def train(seconds):
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        loss = step(*batches[steps % len(batches)])
        steps += 1
    loss.numpy()
    return steps * batch_size / (time.perf_counter() - start)


train(1)
print(flush=True)
for _ in sys.stdin:
    train(0.05)
    print(train(window_s), flush=True)
