"""The command that writes a campaign's samples: `python -m framebench data --help`."""

import argparse
import sys
from pathlib import Path

import numpy as np

from framebench import files
from framebench.data import DataError
from framebench.data.cifar10 import cifar10
from framebench.data.imdb import imdb
from framebench.data.synthetic_images import large_images, synthetic_images
from framebench.data.synthetic_reviews import synthetic_reviews

ARCHIVES = {"cifar-10": "images", "imdb": "reviews"}


def write(path: Path, samples: np.ndarray, labels: np.ndarray) -> None:
    """Write both arrays to an uncompressed .npz, atomically. Raises DataError where that fails."""
    try:
        with files.whole(path, "wb") as file:
            np.savez(file, samples=samples, labels=labels)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error.strerror}: it needs {samples.nbytes / 1e6:.0f} MB in a folder "
            "that can be written to"
        ) from error


def main(arguments: list[str] | None = None) -> None:
    """Make or read the samples and write them; ends the process with one line on stderr where that fails."""
    parser = argparse.ArgumentParser(
        prog="python -m framebench data",
        description="Write images (uint8, n x 32 x 32 x 3, or n x 224 x 224 x 3) or reviews (int32 tokens, n x 150) "
        "and their labels (uint8, n) to an .npz file.",
    )
    parser.add_argument("--kind", required=True, choices=["images", "large-images", "reviews"])
    parser.add_argument("--source", required=True, choices=["synthetic", *ARCHIVES], help="of the samples")
    parser.add_argument("--samples", required=True, type=_natural, metavar="N", help="number of samples")
    parser.add_argument("--seed", required=True, type=_natural, metavar="S", help="random seed")
    parser.add_argument("--archive", type=Path, help="the official archive; without it, it is downloaded")
    parser.add_argument("--md5", type=str.lower, metavar="HEX", help="required MD5 of the archive")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE.npz")
    options = parser.parse_args(arguments)
    if options.source != "synthetic" and ARCHIVES[options.source] != options.kind:
        parser.error(f"--source {options.source} has {ARCHIVES[options.source]}, not {options.kind}")
    if options.source != "synthetic" and not options.md5:
        parser.error(f"--source {options.source} needs --md5")
    archive, folder = (options.archive, options.md5), options.output.parent
    try:
        match options.kind, options.source:
            case "images", "synthetic":
                samples, labels = synthetic_images(options.samples, options.seed)
            case "large-images", _:
                samples, labels = large_images(options.samples, options.seed)
            case "reviews", "synthetic":
                samples, labels = synthetic_reviews(options.samples, options.seed)
            case _, "cifar-10":
                samples, labels = cifar10(options.samples, *archive, folder)
            case _:
                samples, labels = imdb(options.samples, *archive, options.seed, folder)
        write(options.output, samples, labels)
    except DataError as error:
        sys.exit(str(error))


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return int(text)
