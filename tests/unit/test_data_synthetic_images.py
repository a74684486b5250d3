"""The synthetic images: the same for a seed, like photographs in shape and range, and learnable."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebench.data.command import main
from framebench.data.synthetic_images import large_images, synthetic_images

pytestmark = pytest.mark.check

ROOT = Path(__file__).parents[2]


def command(samples: int, seed: int, output: Path) -> list[str]:
    options = ["--samples", str(samples), "--seed", str(seed), "--output", str(output)]
    return ["--kind", "images", "--source", "synthetic", *options]


@settings(max_examples=20)
@given(samples=st.integers(1, 2500), seed=st.integers(0, 2**63))
def test_images_have_the_promised_shape_and_balance(samples, seed):
    images, labels = synthetic_images(samples, seed)
    assert images.shape == (samples, 32, 32, 3) and images.dtype == np.uint8
    assert labels.shape == (samples,) and labels.dtype == np.uint8
    counts = np.bincount(labels, minlength=10)
    assert len(counts) == 10 and counts.max() - counts.min() <= 1


def test_a_seed_draws_the_same_images_on_every_machine():
    images, labels = synthetic_images(1500, 20180629)
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert digest == "92b418cac328a355d899d4ea5f8b0145e448d68f94fc0160301b2e00676c0f4f"


def test_another_seed_draws_other_images():
    assert not np.array_equal(synthetic_images(50, 1)[0], synthetic_images(50, 2)[0])


def test_pixels_use_the_whole_range_and_no_image_is_constant():
    images, labels = synthetic_images(2000, 3)
    assert len(np.unique(images)) == 256
    assert images.std() > 40
    assert images.reshape(len(images), -1).std(axis=1).min() > 10
    assert not np.array_equal(labels, np.sort(labels))


@pytest.mark.parametrize("seed", range(5))
def test_a_softmax_regression_learns_them_by_plain_sgd(seed):
    images, labels = synthetic_images(3200, seed)
    inputs = images.reshape(len(images), -1) / 255 - 0.5
    weights = np.zeros((inputs.shape[1], 10))
    losses = []
    for start in range(0, len(inputs), 32):
        batch, truth = inputs[start : start + 32], labels[start : start + 32]
        scores = np.exp(batch @ weights)
        chances = scores / scores.sum(axis=1, keepdims=True)
        losses.append(-np.log(chances[np.arange(32), truth]).mean())
        chances[np.arange(32), truth] -= 1
        weights -= 0.01 * batch.T @ chances / 32
    assert np.mean(losses[-10:]) < 0.75 * losses[0]


def test_the_command_writes_both_arrays_and_nothing_else(tmp_path):
    output = tmp_path / "made" / "images.npz"
    main(command(30, 5, output))
    with np.load(output, allow_pickle=False) as file:
        images, labels = synthetic_images(30, 5)
        assert np.array_equal(file["samples"], images) and np.array_equal(file["labels"], labels)
        assert sorted(file.files) == ["labels", "samples"]
    assert list(output.parent.iterdir()) == [output]


def test_the_command_makes_the_same_bytes_twice(tmp_path):
    main(command(30, 5, tmp_path / "a.npz"))
    main(command(30, 5, tmp_path / "b.npz"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o555)
    user = os.geteuid()
    if user == 0:  # root may write everywhere
        os.seteuid(65534)
    try:
        with pytest.raises(SystemExit) as end:
            main(command(10, 5, Path("images.npz")))
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o755)
    assert str(end.value).startswith("images.npz: cannot be written: Permission denied")


def test_a_disk_without_room_leaves_the_old_file_and_one_line(tmp_path):
    output = tmp_path / "images.npz"
    output.write_bytes(b"old")
    # A limit on the size of files stands in for the full disk: the write fails at the same place.
    program = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
        "from framebench.data.command import main; main(sys.argv[1:])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, *command(100, 5, output)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1 and run.stderr.startswith(f"{output}: cannot be written: File too large")
    assert output.read_bytes() == b"old" and list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("wrong", [["--samples", "-1"], ["--seed", "1.5"], ["--source", "imagenet"]])
def test_wrong_arguments_are_refused_by_name(tmp_path, capsys, wrong):
    with pytest.raises(SystemExit) as end:
        main([*command(10, 5, tmp_path / "images.npz"), *wrong])
    assert end.value.code == 2 and f"argument {wrong[0]}" in capsys.readouterr().err


def test_large_images_are_the_small_ones_seven_times_as_large_with_noise():
    images, labels = large_images(3, seed=1)
    small, of_small = synthetic_images(3, seed=1)
    assert (images.shape, images.dtype) == ((3, 224, 224, 3), np.uint8)
    assert (labels == of_small).all()
    assert (images == large_images(3, seed=1)[0]).all()
    squares = images.reshape(3, 32, 7, 32, 7, 3)
    # For 49 values whose noise has a standard deviation of 14; less where they are cut off at 0 and at 255.
    assert np.abs(squares.mean((2, 4)) - small).max() < 12
    assert squares.std((2, 4)).mean() > 8
