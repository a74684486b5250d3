"""Reads the training images of the official CIFAR-10 binary archive, after checking that it is the right one."""

import tarfile
from pathlib import Path

import numpy as np

from framebench.data import DataError
from framebench.data.official import check_enough, check_md5, official

ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
KEY = "data"  # key of config.yaml

FOLDER = "cifar-10-batches-bin"
TRAINING = tuple(f"{FOLDER}/data_batch_{number}.bin" for number in range(1, 6))
BATCHES = (*TRAINING, f"{FOLDER}/test_batch.bin")
NAMES = f"{FOLDER}/batches.meta.txt"
CLASSES = 10
RECORD_BYTES = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes, each row by row

OTHER_EDITIONS = {"cifar-10-batches-py": "Python", "cifar-10-batches-mat": "Matlab"}


def cifar10(samples: int, archive: Path | None, md5: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The first `samples` training images, uint8 (samples, 32, 32, 3), and labels, uint8 (samples,).

    They come from `archive`, or from the official address by way of `folder`, which keeps the download. The format:
    https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version".
    Raises DataError for an archive that is missing, unreadable, too small, or another one.
    """
    with official(ADDRESS, archive, md5, KEY, folder) as path:
        _check_file(path, md5)
        images, labels = _training_images(path)
    check_enough(samples, len(images), "images", path, KEY)
    return images[:samples], labels[:samples]


def decode(batch: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, 32, 32, 3) and labels uint8 (n,) of n records of the binary format."""
    records = np.frombuffer(batch, np.uint8).reshape(-1, RECORD_BYTES)
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].copy()


def _check_file(path: Path, md5: str) -> None:
    # Before the MD5, because "the wrong kind of file" helps more than "another MD5".
    with tarfile.open(path, "r|gz") as archive:
        first = archive.next()
    edition = OTHER_EDITIONS.get(first.name.split("/")[0]) if first else None
    if edition:
        raise DataError(
            f"is the {edition} version of CIFAR-10, expected the binary version: use cifar-10-binary.tar.gz "
            f"from {ADDRESS}"
        )
    check_md5(path, md5, KEY)


def _training_images(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """All training images and labels of an archive that follows the format throughout."""
    members = {}
    # Read from the stream by known names: nothing is extracted to wherever a member's name may point.
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name in (*BATCHES, NAMES) else None
            if file:
                members[member.name] = file.read()
    for name in (*BATCHES, NAMES):
        if name not in members:
            raise DataError(f"holds no {name}: use cifar-10-binary.tar.gz from {ADDRESS}")
    names = members[NAMES].decode(errors="replace").split()
    if len(names) != CLASSES:
        raise DataError(f"{NAMES} lists {len(names)} names, expected {CLASSES}")
    for name in BATCHES:
        size = len(members[name])
        if size == 0 or size % RECORD_BYTES:
            raise DataError(f"{name} has {size} bytes, expected a multiple of {RECORD_BYTES} above 0")
        labels = np.frombuffer(members[name], np.uint8)[::RECORD_BYTES]
        if labels.max() >= CLASSES:
            record = int(np.argmax(labels >= CLASSES))
            raise DataError(f"{name}: record {record} has label {labels[record]}, expected 0 to {CLASSES - 1}")
    return decode(b"".join(members[name] for name in TRAINING))
