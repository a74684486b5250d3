"""The article's small net trained by plain Keras `fit`: prints images/s over one long epoch after a short one."""

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

batch_size, threads = int(sys.argv[1]), int(sys.argv[2])
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
data = tf.data.Dataset.from_tensor_slices((x, y))

model.fit(data, verbose=0)
start = time.perf_counter()
model.fit(data, verbose=0)
print(25600 / (time.perf_counter() - start))
