"""Numbers are said alike in figures, page and verdict, and none hides on which side of 1 it lies."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebench.languages import numbers

pytestmark = pytest.mark.check


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (0.62, "0.62"),
        (2, "2.00"),
        (1, "1.00"),
        (0.997, "0.997"),
        (1.0004, "1.0004"),
        (0.0004, "0.0004"),
        (31.4, "31.40"),
    ],
)
def test_a_ratio_has_two_decimals_or_as_many_as_it_needs(ratio, said):
    assert numbers.ratio(ratio) == said


@given(st.floats(1e-6, 1e6))
def test_a_ratio_is_said_on_its_side_of_1(ratio):
    said = float(numbers.ratio(ratio))
    assert (said > 1, said < 1) == (ratio > 1, ratio < 1)


def test_an_interval_has_a_dash_that_is_no_minus():
    assert numbers.interval(0.574, 0.671) == "0.57–0.67"
    assert numbers.interval(-15.17, 6.64, "{:.1f}".format).replace("-", "−") == "−15.2 – 6.6"


def test_a_minus_is_no_hyphen():
    assert numbers.number(-1234.5, ",.1f") == "−1,234.5"
    assert numbers.number(5, "+g") == "+5"


def test_a_value_without_an_interval_stands_alone():
    assert numbers.bounded(0.62, 0.57, 0.67) == "0.62 (0.57–0.67)"
    assert numbers.bounded(0.62, math.nan, math.nan) == numbers.bounded(0.62, None, None) == "0.62"


@pytest.mark.parametrize(
    ("value", "said"), [(9.318, "9.32"), (350.2, "350"), (5987, "5,987"), (0.0123, "0.0123"), (0, "0")]
)
def test_a_speed_has_three_digits_that_count(value, said):
    assert numbers.significant(value) == said
