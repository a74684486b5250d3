"""Random sequences of tokens that a small recurrent net can learn, for measuring without a network or an archive."""

import numpy as np

from framebench.data.imdb import FIRST_WORD, START, VOCABULARY, padded

TELLING = 400  # most frequent words, of which half indicate each class
FAVOUR = 3.0  # times as frequent as in the other class
SHORTEST, LONGEST = 40, 400  # words


def synthetic_reviews(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens int32 (samples, 150) and labels uint8 (samples,) of two classes, the same for the same arguments.

    Words are drawn one by one, the k-th most frequent with a probability that falls as 1/k, as in a language (Zipf);
    of the most frequent ones every second is likelier in one class. The classes are equally frequent, in random order.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    labels = (np.argsort(random.random(samples), kind="stable") % 2).astype(np.uint8)
    words = VOCABULARY - FIRST_WORD
    tokens = np.empty((samples, padded([]).size), np.int32)
    weights = [1 / np.arange(1, words + 1) for _ in range(2)]
    for label in range(2):
        weights[label][label:TELLING:2] *= FAVOUR
    cumulative = [np.cumsum(each) for each in weights]
    for i, label in enumerate(labels):
        drawn = random.random(random.integers(SHORTEST, LONGEST + 1)) * cumulative[label][-1]
        tokens[i] = padded([START, *(FIRST_WORD + np.searchsorted(cumulative[label], drawn, side="right"))])
    return tokens, labels
