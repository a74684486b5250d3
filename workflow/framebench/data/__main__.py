"""The command that writes a campaign's images: `python -m framebench.data --help`."""

import argparse
import sys
from pathlib import Path

import numpy as np

from framebench import files
from framebench.data import DataError
from framebench.data.cifar10 import cifar10
from framebench.data.synthetic import synthetic


def write(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write both arrays to an uncompressed .npz, whole or not at all. Raises DataError where it cannot."""
    try:
        with files.whole(path, "wb") as file:
            np.savez(file, images=images, labels=labels)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error.strerror}: it needs {images.nbytes / 1e6:.0f} MB in a folder "
            "that can be written to"
        ) from error


def main(arguments: list[str] | None = None) -> None:
    """Make or read the images and write them; ends the process with one line on stderr where it cannot."""
    parser = argparse.ArgumentParser(
        prog="python -m framebench.data",
        description="Write images (uint8, n x 32 x 32 x 3) and their labels (uint8, n) to an .npz file.",
    )
    parser.add_argument("--source", required=True, choices=["synthetic", "cifar-10"])
    parser.add_argument("--samples", required=True, type=_natural, metavar="N", help="number of images")
    parser.add_argument("--seed", required=True, type=_natural, metavar="S", help="draws the synthetic images")
    parser.add_argument("--archive", type=Path, help="cifar-10-binary.tar.gz; without it, it is downloaded")
    parser.add_argument("--md5", type=str.lower, metavar="HEX", help="MD5 that the archive must have")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE.npz")
    options = parser.parse_args(arguments)
    if options.source == "cifar-10" and not options.md5:
        parser.error("--source cifar-10 needs --md5")
    try:
        if options.source == "synthetic":
            images, labels = synthetic(options.samples, options.seed)
        else:
            images, labels = cifar10(options.samples, options.archive, options.md5, options.output.parent)
        write(options.output, images, labels)
    except DataError as error:
        sys.exit(str(error))


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return int(text)


if __name__ == "__main__":
    main()
