"""A proof in words and as a page: one sentence for the outcome, and names that stay text."""

import pytest

from framebench.prove import words
from framebench.prove.page import page

pytestmark = pytest.mark.check

HOSTILE = "<script>alert('net')</script>"
NORM = {"kind": "epsilon of a norm", "keras_value": 1e-3, "pytorch_value": 1e-5, "note": "added to the variance"}
CHECK = {"quantity": "evaluation logits", "layer": "", "precision": "float64", "bound": 1e-12, "where": ""}
EQUAL = {
    "model": HOSTILE,
    "files": ["keras.py", "pytorch.py"],
    "outcome": "equal",
    "first_different": None,
    "cause": None,
    "differences": [],
    "matches": [{"keras": "conv", "pytorch": "features.0", "weights": {"kernel": [3, 3, 3, 8]}, "order": None}],
    "unmatched": {"keras": [], "pytorch": []},
    "checks": [CHECK | {"difference": 1e-15, "passed": True}],
    "settled": [f"Initial weights of {HOSTILE}"],
    "parameters": {"keras": 224, "pytorch": 224},
    "flops_per_sample": {"keras": 10, "pytorch": 10},
    "versions": {"keras": "3.15.1"},
    "folder_digest": "0" * 12,
    "lock_digest": "1" * 12,
    "requirements": None,
    "seed": 1,
    "seconds": 3.2,
}
PLACE = {"keras": "conv", "pytorch": "features.0"}
DIFFERENT = EQUAL | {"outcome": "different", "first_different": PLACE, "cause": "bias: Keras has one"}
NORMS = [NORM | {"keras": f"n{i}", "pytorch": f"m.{i}"} for i in range(3)]
BUT = EQUAL | {"outcome": "equal_but", "differences": NORMS}


def test_outcome_is_one_sentence():
    assert words.outcome(EQUAL) == "equal"
    assert words.outcome(BUT) == "equal but for epsilon of a norm"
    assert words.outcome(DIFFERENT) == (
        "different, first at layer 'conv' in keras.py, 'features.0' in pytorch.py: bias: Keras has one"
    )


def test_layer_that_only_one_file_has_is_named_alone():
    proof = DIFFERENT | {"first_different": {"keras": None, "pytorch": ""}, "cause": None}
    assert words.outcome(proof) == "different, first at layer '' in pytorch.py"


def test_equal_differences_are_told_in_one_line_with_both_values():
    (line,) = words.differences(BUT)
    assert line == (
        "epsilon of a norm: 0.001 in Keras, 1e-05 in PyTorch at n0 / m.0 and 2 more (added to the variance)"
    )


@pytest.mark.parametrize("proof", [EQUAL, BUT, DIFFERENT], ids=lambda proof: proof["outcome"])
def test_page_shows_the_outcome_and_keeps_names_as_text(proof):
    made = page(proof)
    assert f'class="outcome {proof["outcome"]}"' in made
    assert "<script" not in made and "&lt;script&gt;" in made
    assert "http" not in made  # needs no network
    assert "features.0" in made


def test_page_names_what_the_users_requirements_gave():
    told = {"environment": "pytorch-cpu-1-with-2", "packages": ["einops==0.8.1", "<b>==1"]}
    assert "einops==0.8.1, &lt;b&gt;==1" in page(EQUAL | {"requirements": told})


def test_failed_check_stands_out():
    failed = CHECK | {"difference": 0.5, "passed": False}
    assert '<td class="fail">FAIL</td>' in page(DIFFERENT | {"checks": [failed]})


def test_a_number_of_the_page_stands_in_one_line():
    assert '<td class="number">3.3e-11</td>' in page(
        EQUAL | {"checks": [CHECK | {"difference": 3.3e-11, "passed": True}]}
    )
