"""Content of a certificate, and its weight in a comparison."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from framebench import workloads
from framebench.analyse.comparisons import comparisons, uncertified
from framebench.certify import expected
from framebench.certify import problem as given
from framebench.certify.arithmetic import Arithmetic
from framebench.certify.judge import LEARNING_CONFIDENCE, Check, judge, learning_checks
from framebench.certify.page import page
from framebench.plan import catalogue
from runs import WITHIN

pytestmark = pytest.mark.check

ARTICLE = workloads.load("article-cnn")


@pytest.fixture(scope="module")
def reference():
    certified = given.certified(ARTICLE)
    problem = expected.choose(certified, 1)
    exact = expected.quantities(certified, problem, Arithmetic())
    facts = {
        "bounds": expected.bounds(certified, problem, exact),
        "accuracies": [0.50, 0.52, 0.54, 0.49, 0.51, 0.53],
        "held_out": 400,
        "chance": 0.25,
    }
    return facts, exact


@pytest.fixture
def observed(reference):
    """Observations of a framework without a rounding error."""
    facts = {
        "shapes": {name: list(shape) for name, shape in ARTICLE.weight_shapes.items()},
        "counted_forward_flops_per_sample": ARTICLE.forward_flops_per_sample,
        "dropout": [],
        "accuracies": [0.50, 0.52, 0.54],
    }
    arrays = {
        f"{precision}/{name}": array.copy() for precision in given.PRECISIONS for name, array in reference[1].items()
    }
    arrays |= {
        f"{given.tuned(precision)}/{name}": array.copy()
        for precision in given.PRECISIONS
        for name, array in reference[1].items()
        if name.startswith(given.update(given.STEPS))
    }
    return facts, arrays


def test_the_reference_itself_passes(reference, observed):
    judged = judge(ARTICLE, reference, observed)
    assert (judged["passed"], judged["reason"], judged["tuned_reason"]) == (True, None, None)


def test_a_difference_of_the_tuned_track_refuses_that_track_only(reference, observed):
    observed[1][f"{given.tuned('float64')}/update after 10 steps/conv2/kernel"] *= 1 + 1e-6
    judged = judge(ARTICLE, reference, observed)
    assert (judged["passed"], judged["reason"]) == (True, None)
    assert judged["tuned_reason"].startswith(
        "float64, tuned, device update after 10 steps of conv2/kernel differs by 1e-06"
    )


def test_a_tuned_track_that_cannot_be_run_says_why(reference, observed):
    judged = judge(ARTICLE, reference, (observed[0] | {"tuned_failed": "no compiler"}, observed[1]))
    assert (judged["passed"], judged["tuned_reason"]) == (True, "no compiler")


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
    assert judge(ARTICLE, reference, observed)["reason"].startswith("float32 evaluation input of conv1 differs")


def test_a_fault_on_the_way_forward_is_named_by_the_first_layer_that_it_reaches(reference, observed):
    for name in ("evaluation input/dense1", "evaluation input/conv2", "evaluation logits"):
        observed[1][f"float64/{name}"] *= 1 + 1e-6
    assert judge(ARTICLE, reference, observed)["reason"].startswith("float64 evaluation input of conv2 differs by ")


def test_a_count_of_flops_that_differs_is_refused(reference, observed):
    observed[0]["counted_forward_flops_per_sample"] += 2
    assert "FLOPs of the forward pass" in judge(ARTICLE, reference, observed)["reason"]


def test_a_framework_without_a_counter_is_not_refused_for_it(reference, observed):
    observed[0]["counted_forward_flops_per_sample"] = None
    assert judge(ARTICLE, reference, observed)["passed"]


def test_accuracies_that_are_lower_with_every_seed_are_refused(reference, observed):
    observed[0]["accuracies"] = [0.39, 0.41, 0.43]
    assert judge(ARTICLE, reference, observed)["reason"].startswith("float32 accuracy differs by 0.1")


def learning(reference: list[float], framework: list[float], held_out: int = 400) -> Check:
    facts = {"accuracies": reference, "held_out": held_out, "chance": 0.25}
    (check,) = learning_checks(facts, {"accuracies": framework})
    return check


def test_chance_alone_refuses_a_framework_that_learns_alike_once_in_a_thousand_times():
    generator = np.random.default_rng(1)
    times = 20_000
    m, n = len(given.REFERENCE_SEEDS), len(given.LEARNING_SEEDS)
    drawn = generator.normal(0.8, 0.05, (times, m + n)).tolist()
    refused = sum(not learning(row[:m], row[m:], held_out=10**9).passed for row in drawn)
    fewest, most = binom.interval(0.9999, times, 1 - LEARNING_CONFIDENCE)
    assert fewest <= refused <= most


def test_a_framework_does_not_widen_its_own_bound():
    alike = [0.78, 0.80, 0.82, 0.79, 0.81, 0.80]
    steady, now_and_then = learning(alike, [0.8] * 5), learning(alike, [0.25, 0.25, 0.8, 0.8, 0.8])
    assert steady.bound == now_and_then.bound
    assert (steady.passed, now_and_then.passed) == (True, False)


def test_a_lesson_in_which_the_reference_learns_nothing_says_so():
    assert "learns nothing" in learning([0.24, 0.27, 0.30], [0.25] * 3).where
    assert "learns nothing" in learning([0.40, 0.60, 0.80], [0.60] * 3).where  # too widely scattered
    assert "learns nothing" not in learning([0.54, 0.55, 0.56], [0.55] * 3).where


def test_the_reason_names_the_part_that_could_not_be_run(reference):
    judged = judge(ARTICLE, reference, ({"failed": "article-cnn in pytorch: KeyError: conv9"}, {}))
    assert (judged["passed"], judged["checks"]) == (False, [])
    assert judged["reason"] == judged["tuned_reason"] == "article-cnn in pytorch: KeyError: conv9"


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
    assert "| float64 | evaluation input | 3 layers | 0 |" in text
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
            | {
                "images_per_s": speed + n,
                "certificate": identity,
                "device_uuid": None,
                "slurm_node": None,
                "round_s": 9.0,
            }
            for n in (1, 2, 3)
            for (framework, identity), speed in zip(ids.items(), (100.0, 200.0), strict=True)
        ]
    )


def certificate(framework: str, **values) -> dict:
    return {
        "workload": "w",
        "framework": framework,
        "id": "a",
        "passed": True,
        "reason": None,
        "tuned_reason": None,
    } | values


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
    for row in comparisons(table, 0.95, WITHIN, reasons).itertuples():
        assert row.verdict.startswith("not comparable: y has no valid certificate for w (")
        assert why in row.verdict
        assert row.ratio > 0


def test_a_track_that_is_not_certified_is_not_compared_and_the_other_is():
    table = pd.concat([measurements({"x": "a", "y": "a"}).assign(track=track) for track in ("default", "tuned")])
    reasons = uncertified(table, [certificate("x"), certificate("y", tuned_reason="no compiler")])
    verdicts = comparisons(table, 0.95, WITHIN, reasons).groupby("track")["verdict"].agg(set)
    assert verdicts["default"] == {"faster", "slower"}
    assert verdicts["tuned"] == {"not comparable: y has no valid certificate for w (no compiler)"}


def test_a_track_that_was_not_proved_is_not_compared():
    table = pd.concat([measurements({"x": "a", "y": "a"}).assign(track=track) for track in ("default", "tuned")])
    reasons = uncertified(table, [certificate("x"), certificate("y", tracks=["default"])])
    verdicts = comparisons(table, 0.95, WITHIN, reasons).groupby("track")["verdict"].agg(set)
    assert verdicts["default"] == {"faster", "slower"}
    assert verdicts["tuned"] == {"not comparable: y has no valid certificate for w (track tuned was not proved)"}


def test_a_certificate_with_a_machine_is_for_its_runs_and_any_of_several_may_be_that_of_a_run():
    parts = [
        measurements(dict.fromkeys("xy", id)).assign(device=f"cpu@{name}") for name, id in (("m", "a"), ("n", "b"))
    ]
    made = [certificate(name, machine=machine) for name in "xy" for machine in "mn"]
    made += [certificate(name, machine="n", id="b") for name in "xy"]
    reasons = uncertified(pd.concat(parts), made)
    assert not reasons
    reasons = uncertified(pd.concat(parts), [*made, certificate("y", machine="n", id="b", reason="differs")])
    assert reasons == {("cpu@n", "w", "y", "default"): "differs"}
    reasons = uncertified(pd.concat(parts), [one for one in made if one["id"] == "a"])
    assert set(reasons) == {("cpu@n", "w", name, "default") for name in "xy"}


def test_with_valid_certificates_there_is_a_verdict():
    table = measurements({"x": "a", "y": "a"})
    reasons = uncertified(table, [certificate("x"), certificate("y")])
    assert set(comparisons(table, 0.95, WITHIN, reasons)["verdict"]) == {"faster", "slower"}


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
