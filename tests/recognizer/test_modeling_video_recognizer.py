import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from recognizer.configuration_video_recognizer import VideoRecognizerConfig
from recognizer.modeling_video_recognizer import VideoRecognizerForVideoClassification, to_pixel_values


@pytest.fixture(scope="module")
def model() -> VideoRecognizerForVideoClassification:
    torch.manual_seed(0)
    config = VideoRecognizerConfig(
        image_size=16, patch_size=2, hidden_sizes=(4, 8), place_size=2, hidden_size=8, id2label=dict(enumerate("ABC"))
    )
    return VideoRecognizerForVideoClassification(config).eval()


@pytest.fixture(scope="module")
def clips() -> torch.Tensor:
    frames = torch.randint(0, 256, (2, 4, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return to_pixel_values(frames)


def test_pixels_run_from_minus_one_to_one_with_channels_first():
    frames = torch.zeros(1, 2, 4, 6, 3, dtype=torch.uint8)
    frames[0, 1, 2, 3] = torch.tensor([255, 0, 51])
    values = to_pixel_values(frames)
    assert values.shape == (1, 2, 3, 4, 6)
    torch.testing.assert_close(values[0, 1, :, 2, 3], torch.tensor([1.0, -1.0, -0.6]))


def test_a_clip_is_read_alike_alone_and_in_a_batch(model, clips):
    logits = model(clips).logits
    assert logits.shape == (2, 3)
    torch.testing.assert_close(model(clips[1:]).logits, logits[1:])


def test_every_weight_learns_from_pixels_and_time(model, clips):
    model.zero_grad()
    model(clips, labels=torch.tensor([0, 2])).loss.backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())
    backwards = model(clips.flip(1)).logits
    assert not torch.allclose(backwards, model(clips).logits, atol=1e-4)


def test_a_saved_model_reads_the_same(model, clips, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = VideoRecognizerForVideoClassification.from_pretrained(tmp_path)
    assert loaded.config.glosses == ("A", "B", "C")
    torch.testing.assert_close(loaded(clips).logits, model(clips).logits)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image_size": 40}, "`image_size` must be a multiple of 16, the pixels of a place, got 40"),
        ({"conv_kernel_size": 2}, "`conv_kernel_size` must be odd, got 2"),
    ],
)
def test_a_network_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        VideoRecognizerConfig(**wrong)
