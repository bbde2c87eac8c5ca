import pytest

from pipelines.gate import Gate, best_of

GOOD = {"pck_0.2/hands": 0.9, "recall/hands": 0.9, "hands_in_frame": 1.0, "pck_0.1/hands": 0.8}
GATE = Gate(hand_pck=0.7, hand_recall=0.6, label_share=0.75, colour=15.0, pose_drift=0.2)


def test_the_gate_says_why():
    assert GATE.reasons(GOOD) == []
    bad = GOOD | {"pck_0.2/hands": 0.5, "delta_e/largest": 40.0, "drift/pose": 0.9, "label_share": 0.5}
    assert GATE.reasons(bad) == [
        "pck_0.2/hands 0.500 is below 0.7",
        "label_share 0.500 is below 0.75",
        "delta_e/largest 40.000 is above 15",
        "drift/pose 0.900 is above 0.2",
    ]
    assert GATE.reasons(GOOD | {"recall/hands": None}) == ["recall/hands could not be measured"]
    assert GATE.reasons(GOOD | {"frozen_share": None}) == []


@pytest.mark.parametrize(("name", "value"), [("hand_pck", 1.1), ("colour", -2.0), ("top_k", 0)])
def test_a_gate_that_cannot_be_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`gate.{name}` must be .*, got {value}"):
        Gate(**{name: value})


def test_the_best_of_those_that_pass_is_chosen():
    better = GOOD | {"pck_0.1/hands": 0.9}
    assert best_of([(GOOD, []), (better, ["bad"]), (better, []), (better, [])]) == 2
    assert best_of([(GOOD, ["bad"])]) is None
