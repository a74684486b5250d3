"""Numbers that follow from the neutral specs, compared with those published for these nets and with hand counts."""

import numpy as np
import pytest

from framebench import workloads
from framebench.plan import catalogue
from framebench.workloads.layers import SGD, Conv, Dense, Flatten, MaxPool, Workload

pytestmark = pytest.mark.check

EVERY_WORKLOAD = catalogue.workloads()


def test_parameters_of_the_published_nets():
    assert workloads.load("vgg-cnn").parameters == 3_441_592
    # (3·3·3+1)·32 + (3·3·32+1)·16 + (6·6·16+1)·10
    assert workloads.load("article-cnn").parameters == 896 + 4624 + 5770
    assert workloads.load("gru-imdb").parameters == 3_818_302
    # From torchvision's page on resnet50, less the 2048 · 1000 + 1000 of its last layer.
    assert workloads.load("resnet50-features").parameters == 25_557_032 - 2_049_000


def test_flops_of_a_training_step_of_the_vgg_net():
    forward = 32 * 32 * 50 * (27 + 450) + 16 * 16 * 100 * (450 + 900) + 6400 * 512 + 512 * 10
    assert forward == pytest.approx(62.26e6, rel=1e-4)
    assert workloads.load("vgg-cnn").flops_per_sample == 2 * (3 * forward - 32 * 32 * 50 * 27)


def test_flops_of_a_training_step_of_the_gru():
    forward = 150 * (125 + 100) * 3 * 100 + 100 * 2
    # A lookup needs the gradient too.
    assert workloads.load("gru-imdb").flops_per_sample == 2 * 3 * forward


def test_flops_of_inference_are_those_of_the_forward_pass():
    resnet = workloads.load("resnet50-features")
    # torchvision's page on resnet50 says 4.09 GFLOPS, a multiply-add counted as one, with the last layer's 2048 · 1000.
    assert resnet.flops_per_sample == resnet.forward_flops_per_sample
    assert resnet.flops_per_sample / 2 + 2_048_000 == pytest.approx(4.09e9, rel=1e-3)


def test_the_stages_of_the_residual_net_halve_the_image_and_double_its_channels():
    shapes = workloads.load("resnet50-features").shapes
    assert list(dict.fromkeys(shapes)) == [
        *[(224, 224, 3), (112, 112, 64), (56, 56, 64)],
        *[(56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048), (2048,)],
    ]


def test_shapes_follow_padding_and_drop_incomplete_windows():
    shapes = workloads.load("article-cnn").shapes
    assert shapes == ((32, 32, 3), (30, 30, 32), (15, 15, 32), (13, 13, 16), (6, 6, 16), (576,), (10,))


def test_only_the_dense_layer_right_after_the_flatten_is_counted_in_height_width_channels():
    vgg = workloads.load("vgg-cnn")
    assert vgg.flattened_from("dense1") == (8, 8, 100)
    assert vgg.flattened_from("dense2") is None


@pytest.mark.parametrize("name", EVERY_WORKLOAD)
def test_initial_weights_are_glorot_uniform_and_the_same_for_a_seed(name):
    workload = workloads.load(name)
    weights, again, other = (workload.initial_weights(seed) for seed in (1, 1, 2))
    assert {key: array.shape for key, array in weights.items()} == workload.weight_shapes
    for key, array in weights.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, again[key])
        if not key.endswith(("kernel", "embeddings")):
            assert set(array.flat) == {float(key.endswith(("gamma", "moving_variance")))}
            continue
        *field, fan_in, fan_out = array.shape
        limit = np.sqrt(6 / (np.prod(field) * (fan_in + fan_out)))
        assert np.abs(array).max() <= limit
        # A uniform distribution on ±limit has this standard deviation; its estimate errs by about 0.5/√n.
        assert array.std() == pytest.approx(limit / np.sqrt(3), rel=4 * 0.5 / np.sqrt(array.size))
        assert not np.array_equal(array, other[key])


def test_a_spec_of_another_net_is_counted_the_same_way():
    tiny = Workload(
        name="tiny",
        data="images",
        input_shape=(6, 6, 1),
        layers=(Conv("conv1", 2, 3, "same"), MaxPool(4), Flatten(), Dense("dense1", 3, relu=False)),
        optimizer=SGD(0.1, 0.0),
        article_batch_size=1,
    )
    assert tiny.shapes[-2:] == ((2,), (3,))
    assert tiny.parameters == (9 + 1) * 2 + (2 + 1) * 3
    assert tiny.flops_per_sample == 2 * (2 * 6 * 6 * 2 * 9 + 3 * 2 * 3)
