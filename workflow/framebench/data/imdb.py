"""Reads the training reviews of the official IMDB archive, after checking that it is the right one."""

import re
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from framebench.data import DataError
from framebench.data.official import check_enough, check_md5, official

ADDRESS = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
KEY = "reviews"  # key of config.yaml

# Tokens as in the notebooks behind the article's charts: 0 for padding, 1 for the start, 2 for rare words, and from 4
# on the words by frequency.
VOCABULARY = 30_000
START, RARE, FIRST_WORD = 1, 2, 4
LENGTH = 150

REVIEW = re.compile(r"aclImdb/train/(neg|pos)/[^/]+\.txt")
WORD = re.compile(r"[a-z0-9']+")


def imdb(samples: int, archive: Path | None, md5: str, seed: int, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Tokens int32 (samples, 150) and labels uint8 (samples,), 1 for a good review, in an order drawn by `seed`.

    They come from `archive`, or from the official address by way of `folder`, which keeps the download. The last 150
    tokens of a review are kept, and a shorter one is padded with zeros at its end.
    Raises DataError for an archive that is missing, unreadable, too small, or another one.
    """
    with official(ADDRESS, archive, md5, KEY, folder) as path:
        check_md5(path, md5, KEY)
        reviews, labels = _training_reviews(path)
    check_enough(samples, len(reviews), "reviews", path, KEY)
    chosen = np.argsort(np.random.Generator(np.random.PCG64(seed)).random(len(reviews)), kind="stable")[:samples]
    index = _index(reviews)
    tokens = [padded([START, *(index.get(word, RARE) for word in reviews[i])]) for i in chosen]
    return np.stack(tokens), np.array(labels, np.uint8)[chosen]


def padded(tokens: Sequence[int]) -> np.ndarray:
    """The last 150 tokens, int32, with zeros after them where there are fewer."""
    last = np.asarray(tokens[-LENGTH:], np.int32)
    return np.pad(last, (0, LENGTH - len(last)))


def _training_reviews(path: Path) -> tuple[list[list[str]], list[int]]:
    """The words of every review, in the order of the reviews' names, and true for a good one."""
    found = {}
    # Read from the stream by the form of their names: nothing is extracted to wherever a member's name may point.
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if REVIEW.fullmatch(member.name) else None
            if file:
                found[member.name] = WORD.findall(file.read().decode(errors="replace").lower().replace("<br />", " "))
    labels = [int("/pos/" in name) for name in sorted(found)]
    if len(set(labels)) < 2:
        raise DataError(f"holds no aclImdb/train/neg or no aclImdb/train/pos: use {Path(ADDRESS).name} from {ADDRESS}")
    return [found[name] for name in sorted(found)], labels


def _index(reviews: list[list[str]]) -> dict[str, int]:
    """The tokens of the most frequent words; equally frequent ones are in alphabetical order."""
    counts = Counter(word for review in reviews for word in review)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[: VOCABULARY - FIRST_WORD]
    return {word: FIRST_WORD + rank for rank, word in enumerate(ranked)}
