"""What a certificate says, and what it is worth in a comparison."""

import json

import numpy as np
import pandas as pd
import pytest

from framebench import catalogue, workloads
from framebench.analyse.comparisons import comparisons, uncertified
from framebench.certify import expected
from framebench.certify import problem as given
from framebench.certify.judge import judge
from framebench.certify.page import page
from framebench.certify.reference import Arithmetic

ARTICLE = workloads.load("article-cnn")


@pytest.fixture(scope="module")
def reference():
    certified = given.certified(ARTICLE)
    problem = expected.choose(certified, 1)
    exact = expected.quantities(certified, problem, Arithmetic())
    facts = {
        "bounds": expected.bounds(certified, problem, exact),
        "accuracies": [0.50, 0.52, 0.54],
        "held_out": 400,
    }
    return facts, exact


@pytest.fixture
def observed(reference):
    """What a framework without a rounding error would be seen to do."""
    facts = {
        "shapes": {name: list(shape) for name, shape in ARTICLE.weight_shapes.items()},
        "counted_forward_flops_per_sample": ARTICLE.forward_flops_per_sample,
        "dropout": [],
        "accuracies": [0.50, 0.52, 0.54],
    }
    arrays = {
        f"{precision}/{name}": array.copy() for precision in given.PRECISIONS for name, array in reference[1].items()
    }
    return facts, arrays


def test_the_reference_itself_passes(reference, observed):
    judged = judge(ARTICLE, reference, observed)
    assert (judged["passed"], judged["reason"]) == (True, None)


def test_the_first_difference_is_named_with_layer_size_and_element(reference, observed):
    gradient = observed[1]["float64/gradient/conv2/bias"]
    place = np.abs(gradient).argmax()
    gradient[place] *= 1 + 1e-6
    observed[1]["float64/update after 1 step/conv1/kernel"] *= 2
    reason = judge(ARTICLE, reference, observed)["reason"]
    assert reason.startswith("float64 gradient of conv2/bias differs by ")
    assert f"at [{place}]" in reason


def test_a_nan_is_refused_and_written_as_valid_json(reference, observed):
    observed[1]["float64/evaluation logits"][2, 7] = np.nan
    judged = judge(ARTICLE, reference, observed)
    assert judged["reason"].startswith("float64 evaluation logits is not finite")
    assert "at [2, 7]" in judged["reason"]
    json.dumps(judged, allow_nan=False)


def test_a_missing_gradient_is_refused(reference, observed):
    del observed[1]["float64/gradient/conv1/bias"]
    assert "nothing instead of shape (32,)" in judge(ARTICLE, reference, observed)["reason"]


def test_half_precision_cannot_pass_for_float32(reference, observed):
    for name, array in observed[1].items():
        if name.startswith("float32/"):
            observed[1][name] = array.astype(np.float16).astype(float)
    assert judge(ARTICLE, reference, observed)["reason"].startswith("float32 evaluation logits")


def test_a_count_of_flops_that_differs_is_refused(reference, observed):
    observed[0]["counted_forward_flops_per_sample"] += 2
    assert "FLOPs of the forward pass" in judge(ARTICLE, reference, observed)["reason"]


def test_a_framework_without_a_counter_is_not_refused_for_it(reference, observed):
    observed[0]["counted_forward_flops_per_sample"] = None
    assert judge(ARTICLE, reference, observed)["passed"]


def test_accuracies_that_are_lower_with_every_seed_are_refused(reference, observed):
    observed[0]["accuracies"] = [0.40, 0.42, 0.44]
    assert judge(ARTICLE, reference, observed)["reason"].startswith("float32 accuracy differs by 0.1")


def test_what_could_not_be_run_is_the_reason(reference):
    judged = judge(ARTICLE, reference, ({"failed": "article-cnn in pytorch: KeyError: conv9"}, {}))
    assert judged == {"passed": False, "reason": "article-cnn in pytorch: KeyError: conv9", "checks": []}


def test_the_page_tells_verdict_differences_and_bounds(reference, observed):
    judged = judge(ARTICLE, reference, observed)
    certificate = {
        "id": "0123456789ab",
        "workload": "article-cnn",
        "framework": "pytorch",
        "own_initial_weights_that_differ": {},
        "sources": ["a.py"],
        "threads": 2,
        **judged,
    }
    text = page(certificate)
    assert "Certificate `0123456789ab` **passed**" in text
    assert "| float64 | gradient | 6 layers | 0 |" in text
    assert "threads 2" in text


def test_the_bounds_are_far_below_a_percent_of_learning_rate(reference):
    for name, bound in reference[0]["bounds"]["float64"].items():
        assert bound < 1e-10, name
    for name, bound in reference[0]["bounds"]["float32"].items():
        assert bound < 1e-3, name


def measurements(ids: dict[str, str]) -> pd.DataFrame:
    cell = {"device": "cpu", "workload": "w", "track": "default", "precision": "float32", "input": "device"}
    return pd.DataFrame(
        [
            {**cell, "batch_size": 32, "framework": framework, "round": n, "status": "ok", "reason": None}
            | {"images_per_s": speed + n, "certificate": identity}
            for n in (1, 2, 3)
            for (framework, identity), speed in zip(ids.items(), (100.0, 200.0), strict=True)
        ]
    )


def certificate(framework: str, **values) -> dict:
    return {"workload": "w", "framework": framework, "id": "a", "passed": True, "reason": None} | values


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (None, "none was made"),
        (certificate("y", passed=False, reason="gradient differs"), "gradient differs"),
        (certificate("y", id="b"), "changed since they were measured"),
    ],
)
def test_without_a_valid_certificate_there_is_a_ratio_but_no_verdict(second, why):
    table = measurements({"x": "a", "y": "a"})
    reasons = uncertified(table, [certificate("x"), *([second] if second else [])])
    for row in comparisons(table, 0.95, reasons).itertuples():
        assert row.verdict.startswith("not comparable: y has no valid certificate for w (")
        assert why in row.verdict
        assert row.ratio > 0


def test_with_valid_certificates_there_is_a_verdict():
    table = measurements({"x": "a", "y": "a"})
    reasons = uncertified(table, [certificate("x"), certificate("y")])
    assert set(comparisons(table, 0.95, reasons)["verdict"]) == {"faster", "slower"}


def test_an_id_changes_with_model_file_spec_adapter_and_lock_and_with_nothing_else():
    files = catalogue.certified("pytorch", "article-cnn")
    names = {path.name for path in files}
    assert {"pytorch.py", "spec.py", "layers.py"} <= names
    assert not {"keras.py", "worker.py", "judge.py"} & names
    one, same, lock, other = (
        catalogue.certificate_id(*arguments)
        for arguments in (
            ("pytorch", "article-cnn", "lock"),
            ("pytorch", "article-cnn", "lock"),
            ("pytorch", "article-cnn", "kcol"),
            ("pytorch", "vgg-cnn", "lock"),
        )
    )
    assert one == same
    assert len({one, lock, other}) == 3
