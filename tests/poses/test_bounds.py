import math

import pytest

from poses.bounds import check_at_least


def test_the_bound_itself_is_allowed():
    check_at_least(1, steps=1, words=2.5)


@pytest.mark.parametrize(("value", "said"), [(0, "0"), (-1.5, r"-1\.5"), (math.nan, "nan")])
def test_what_is_below_is_named(value, said):
    with pytest.raises(ValueError, match=f"^`words` must be at least 1, got {said}\\.$"):
        check_at_least(1, steps=1, words=value)
