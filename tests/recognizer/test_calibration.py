import numpy as np
import pytest

from recognizer.calibration import expected_calibration_error, fit_temperature, unknown_threshold


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found_that_labels_were_drawn_with(temperature):
    # Two labels, one logit apart by `gap`: of 1000 clips the share sigmoid(gap / temperature) shows the likelier one.
    gap = 2.0
    likelier = round(1000 / (1 + np.exp(-gap / temperature)))
    labels = np.repeat([0, 1], [likelier, 1000 - likelier])
    logits = np.tile([gap, 0.0], (1000, 1))
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.01)


def test_temperature_changes_no_order():
    logits = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.9]])
    assert ((logits / fit_temperature(logits, np.array([0, 2]))).argmax(1) == logits.argmax(1)).all()


def test_calibration_error_by_hand():
    # Bin of 0.9: two of four right, 0.4 off; bin of 0.3: none of one right, 0.3 off.
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.3])
    right = np.array([True, True, False, False, False])
    assert expected_calibration_error(confidence, right, num_bins=10) == pytest.approx((4 * 0.4 + 0.3) / 5)


def test_sure_and_right_has_no_calibration_error():
    assert expected_calibration_error(np.ones(3), np.ones(3, bool)) == 0


def test_threshold_loses_the_given_share_of_right_readings():
    confidence = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.05])
    right = np.array([True, True, True, True, True, False])
    threshold = unknown_threshold(confidence, right, false_rejects=0.25)
    assert threshold == pytest.approx(0.2)
    assert (confidence[right] < threshold).mean() == 0.2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_temperature(np.zeros((0, 3)), np.zeros(0, int)), "`labels` must hold at least one clip, got none"),
        (
            lambda: expected_calibration_error(np.ones(2), np.ones(3, bool)),
            "`confidence` must be one a clip, got 2 for 3",
        ),
        (lambda: unknown_threshold(np.ones(2), np.zeros(2, bool)), "`right` must hold at least one clip read rightly"),
        (
            lambda: unknown_threshold(np.ones(1), np.ones(1, bool), false_rejects=5),
            r"`false_rejects` must be in \[0, 1\], got 5",
        ),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
