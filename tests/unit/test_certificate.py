"""A certificate counts only unchanged, for the workload and framework of its place, and with checks that support it."""

import json

import pytest

from framebench.analyse.given import read_certificate
from framebench.analyse.table import TableError
from framebench.certificate import held_together, parsed, sealed

pytestmark = pytest.mark.check

CHECK = {
    "quantity": "gradient",
    "layer": "conv1/kernel",
    "precision": "float64",
    "difference": 1e-13,
    "bound": 1e-12,
    "passed": True,
    "where": "",
}
BODY = {
    "id": "0123456789ab",
    "workload": "article-cnn",
    "framework": "pytorch",
    "passed": True,
    "reason": None,
    "tuned_reason": None,
    "checks": [CHECK],
    "sources": ["model.py"],
}


def read(certificate: object, workload: str = "article-cnn", framework: str = "pytorch") -> dict:
    return parsed(json.dumps(certificate).encode(), workload, framework)


def test_a_whole_certificate_is_read_as_it_was_written():
    assert read(sealed(BODY)) == sealed(BODY)
    assert read(sealed(BODY) | {"machine": "there"})["passed"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"passed": True, "reason": "it is off"}, "contradicts itself"),
        ({"passed": False}, "contradicts itself"),
        ({"checks": []}, "passed without a check"),
        ({"checks": [CHECK | {"difference": 1e-11}]}, "passes a gradient of conv1/kernel that is off its bound"),
        ({"checks": [CHECK | {"difference": None}]}, "off its bound"),
        ({"workload": "vgg-cnn"}, "is that of vgg-cnn in pytorch"),
        ({"framework": "tensorflow"}, "is that of article-cnn in tensorflow"),
    ],
)
def test_one_that_does_not_hold_counts_for_no_track_and_says_why(changes, said):
    found = read(sealed(BODY | changes))
    assert not found["passed"]
    assert said in found["reason"] and found["tuned_reason"] == found["reason"]


@pytest.mark.parametrize(
    "changes",
    [{"checks": [CHECK | {"bound": 1.0}]}, {"tuned_reason": "no"}, {"learning_steps": 5}, {"digest": "0" * 64}],
)
def test_any_change_after_it_was_written_is_seen(changes):
    assert "was changed after it was written" in read(sealed(BODY) | changes)["reason"]
    without = {name: value for name, value in sealed(BODY).items() if name != "digest"}
    assert "was changed after it was written" in read(without)["reason"]


@pytest.mark.parametrize(
    "content", ["[]", "{}", "3", '"passed"', "{", "[" * 100_000, json.dumps({**BODY, "checks": {}})]
)
def test_files_that_are_no_certificates_give_one_line(tmp_path, content):
    folder = tmp_path / "article-cnn"
    folder.mkdir()
    (folder / "pytorch.json").write_text(content, encoding="utf-8")
    with pytest.raises(TableError, match=r"pytorch\.json: is no certificate: [^\n]{1,400}$"):
        read_certificate(folder / "pytorch.json")


def test_the_place_of_a_file_says_what_it_should_be_of(tmp_path):
    for folder, name, passed in [
        ("article-cnn", "pytorch.json", True),
        ("article-cnn", "pytorch@there-0123.json", True),
        ("article-cnn", "tensorflow.json", False),
        ("vgg-cnn", "pytorch.json", False),
    ]:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(sealed(BODY)), encoding="utf-8")
        assert read_certificate(path)["passed"] == passed


def test_one_that_allows_more_than_another_of_its_problem_is_refused_and_both_bounds_are_told():
    other = BODY | {"framework": "tensorflow", "checks": [CHECK | {"bound": 1e-9}]}
    rounded = BODY | {"framework": "jax", "checks": [CHECK | {"bound": 1.2e-12}]}
    of_another_seed = other | {"framework": "keras-jax", "seed": 2}
    found = {one["framework"]: one for one in held_together([BODY, other, rounded, of_another_seed])}
    assert [name for name, one in found.items() if not one["passed"]] == ["tensorflow"]
    said = "the certificate allows 1e-09 in float64 gradient conv1/kernel, and that of pytorch 1e-12"
    assert found["tensorflow"]["reason"] == found["tensorflow"]["tuned_reason"] == said
    assert other["passed"], "what was given stays as it is"
