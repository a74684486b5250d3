"""Composition of a lesson."""

from pathlib import Path

import numpy as np
import pytest

from framebench import workloads
from framebench.certify import problem as given
from framebench.workloads.layers import OF_BATCH_NORM

pytestmark = pytest.mark.check

ARTICLE, VGG = workloads.load("article-cnn"), workloads.load("vgg-cnn")


@pytest.fixture
def data(tmp_path: Path):
    """A data file of so many images, in ten classes in turn, whose pixels all show the image's place."""

    def write(count: int) -> Path:
        path = tmp_path / f"{count}.npz"
        places = np.arange(count)
        images = np.broadcast_to((places % 256).astype(np.uint8)[:, None, None, None], (count, 32, 32, 3))
        np.savez(path, samples=images, labels=(places % 10).astype(np.uint8))
        return path

    return write


def test_a_lesson_is_of_the_first_classes_only_and_tests_on_other_images(data):
    lesson = given.lesson(ARTICLE, data(250))
    labels = np.concatenate([lesson.labels, lesson.held_out_labels])
    assert set(labels) == set(range(given.LEARNING_CLASSES))
    assert len(lesson.held_out_labels) == 25
    assert not set(lesson.images[:, 0, 0, 0]) & set(lesson.held_out_images[:, 0, 0, 0])


def test_pixels_are_centred(data):
    images = given.lesson(ARTICLE, data(2560)).images
    assert (images.min(), images.max()) == (-2, 2)
    assert images.dtype == np.float32


def test_a_large_net_takes_fewer_steps_on_as_many_images(data):
    small, large = (given.lesson(workload, data(10_000)) for workload in (ARTICLE, VGG))
    assert small.steps == given.LEARNING_STEPS_AT_MOST > large.steps
    for lesson in (small, large):
        assert len(lesson.labels) == lesson.steps * given.LEARNING_BATCH_SIZE


def test_whole_batches_of_a_small_file_are_repeated(data):
    lesson = given.lesson(ARTICLE, data(250))
    assert lesson.steps == given.LEARNING_STEPS_AT_MOST
    assert len(lesson.labels) == 75 // given.LEARNING_BATCH_SIZE * given.LEARNING_BATCH_SIZE


def test_inference_learns_nothing(data):
    assert given.lesson(workloads.load("resnet50-features"), data(10_000)) is None


def test_all_numbers_of_a_batch_norm_differ():
    resnet = workloads.load("resnet50-features")
    weights, images, _ = given.drawn(resnet, 1)
    assert images.shape == (1, given.BATCH_SIZE, 224, 224, 3)
    numbers = np.concatenate([weights[f"layer1.0.bn1/{name}"] for name in OF_BATCH_NORM])
    assert len(set(numbers)) == len(numbers) == 4 * 64
    assert (weights["layer1.0.bn1/moving_variance"] > 0.4).all()


def test_less_than_a_batch_teaches_nothing(data):
    assert given.lesson(ARTICLE, data(40)) is None


def test_a_lesson_begins_with_twice_the_variance_of_the_initial_weights():
    own, larger = ARTICLE.initial_weights(1), given.learning_weights(ARTICLE, 1)
    for name, array in larger.items():
        assert array.dtype == np.float32
        assert array.var() == pytest.approx(2 * own[name].var(), rel=1e-5)
