"""article-cnn in the style of this framework's users: here, functions on NumPy arrays.

It becomes `workloads/article_cnn/<name>.py`. It contains only the model, so that it can be read side by side with the
model files of other frameworks. `spec.py` beside it defines the function and names the weights.

NumPy has no layers and no gradients, so this file has both; a file of a real framework is shorter.
"""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Weights = dict[str, np.ndarray]
Back = Callable[[np.ndarray], Weights]


def net(w: Weights, x: np.ndarray) -> tuple[np.ndarray, Back]:
    """Logits (n, 10) of images (n, 32, 32, 3), and the backward function from their gradient to every weight's."""
    y1, back1 = conv(x, w["conv1/kernel"], w["conv1/bias"])
    y1, back_pool1 = max_pool(relu(y1))
    y2, back2 = conv(y1, w["conv2/kernel"], w["conv2/bias"])
    y2, back_pool2 = max_pool(relu(y2))
    y3, back3 = dense(y2.reshape(len(x), -1), w["dense1/kernel"], w["dense1/bias"])

    def back(delta: np.ndarray) -> Weights:
        kernel3, bias3, delta = back3(delta)
        kernel2, bias2, delta = back2(back_pool2(delta.reshape(y2.shape)))
        kernel1, bias1, _ = back1(back_pool1(delta))
        return {
            "conv1/kernel": kernel1,
            "conv1/bias": bias1,
            "conv2/kernel": kernel2,
            "conv2/bias": bias2,
            "dense1/kernel": kernel3,
            "dense1/bias": bias3,
        }

    return y3, back


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def conv(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, Callable]:
    """A `valid` convolution, channels last, kernel HWIO; backward gives the gradients of kernel, bias and input."""
    size = kernel.shape[0]
    windows = sliding_window_view(x, (size, size), axis=(1, 2))  # (n, h, w, in, size, size)

    def back(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        of_kernel = np.tensordot(windows, delta, ((0, 1, 2), (0, 1, 2))).transpose(1, 2, 0, 3)
        around = np.pad(delta, ((0, 0), (size - 1, size - 1), (size - 1, size - 1), (0, 0)))
        turned = sliding_window_view(around, (size, size), axis=(1, 2))
        of_input = np.tensordot(turned, kernel[::-1, ::-1], ((3, 4, 5), (3, 0, 1)))
        return of_kernel, delta.sum((0, 1, 2)), of_input

    return np.tensordot(windows, kernel, ((3, 4, 5), (2, 0, 1))) + bias, back


def max_pool(x: np.ndarray) -> tuple[np.ndarray, Callable]:
    """The largest of every 2 × 2 pixels of a ReLU's output; backward goes through the ReLU too."""
    n, h, w, c = x.shape
    pixels = x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
    largest = pixels.max((2, 4), keepdims=True)

    def back(delta: np.ndarray) -> np.ndarray:
        chosen = (pixels == largest) & (pixels > 0)
        spread = np.where(chosen, delta[:, :, None, :, None], 0)
        gradient = np.zeros_like(x)
        gradient[:, : h // 2 * 2, : w // 2 * 2] = spread.reshape(n, h // 2 * 2, w // 2 * 2, c)
        return gradient

    return largest[:, :, 0, :, 0], back


def dense(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, Callable]:
    def back(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return x.T @ delta, delta.sum(0), delta @ kernel.T

    return x @ kernel + bias, back
