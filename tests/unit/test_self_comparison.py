import pytest

from framebench.frameworks import self_comparison

pytestmark = pytest.mark.check


@pytest.mark.parametrize(
    ("name", "base", "side", "every"),
    [
        ("pytorch", "pytorch", "", None),
        ("keras-tensorflow~again", "keras-tensorflow", "again", None),
        ("pytorch~5-more", "pytorch", "5-more", 5),
        ("pytorch~more", "pytorch", "more", None),
    ],
)
def test_a_name_tells_its_framework_its_side_and_its_extra_work(name, base, side, every):
    assert (self_comparison.base(name), self_comparison.side(name), self_comparison.extra_step_every(name)) == (
        base,
        side,
        every,
    )
