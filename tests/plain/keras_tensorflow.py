"""The article's small net trained by plain Keras `fit`: prints images/s of an epoch for each line read."""

import os
import sys
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
# This file's own folder holds a `tensorflow.py`.
sys.path.pop(0)
import keras
import numpy as np
import tensorflow as tf
from keras import layers

batch_size, threads, window_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)

model = keras.Sequential(
    [
        keras.Input((32, 32, 3)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(10),
    ]
)
model.compile(
    optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
generator = np.random.default_rng(1)
batches = 25600 // batch_size
x = generator.random((batches, batch_size, 32, 32, 3), np.float32)
y = generator.integers(0, 10, (batches, batch_size))
data = tf.data.Dataset.from_tensor_slices((x, y)).repeat()

for steps in (5, 50, 50):
    start = time.perf_counter()
    model.fit(data, steps_per_epoch=steps, verbose=0)
steps = round(window_s * steps / (time.perf_counter() - start)) + 1


class Windows(keras.callbacks.Callback):
    """Even epochs begin when a line is read and are not timed, odd ones are; Keras calls nothing in between."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch % 2 == 0 and not sys.stdin.readline():
            sys.exit()
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        if epoch % 2:
            print(steps * batch_size / (time.perf_counter() - self.start), flush=True)


print(flush=True)
model.fit(data, epochs=10**9, steps_per_epoch=steps, verbose=0, callbacks=[Windows()])
