import math

import pytest

from poses.bounds import check_at_least, check_shares


def test_the_bound_itself_is_allowed():
    check_at_least(1, steps=1, words=2.5)


@pytest.mark.parametrize(("value", "said"), [(0, "0"), (-1.5, r"-1\.5"), (math.nan, "nan")])
def test_what_is_below_is_named(value, said):
    with pytest.raises(ValueError, match=f"^`words` must be at least 1, got {said}\\.$"):
        check_at_least(1, steps=1, words=value)


def test_none_and_all_are_shares():
    check_shares(none=0, all=1.0)


@pytest.mark.parametrize(("value", "said"), [(-0.1, r"-0\.1"), (1.01, r"1\.01"), (math.nan, "nan")])
def test_what_is_no_share_is_named(value, said):
    with pytest.raises(ValueError, match=f"^`words` must be in \\[0, 1\\], got {said}\\.$"):
        check_shares(steps=1, words=value)
