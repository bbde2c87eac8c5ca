import pytest
import torch
from torch.nn.functional import cross_entropy

from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.framing import NUM_POINTS, framed
from recognizer.modeling_sign_recognizer import (
    SignRecognizerForCTC,
    SignRecognizerForSequenceClassification,
    fill_gaps,
    hand_features,
    pair_features,
    place_features,
    pose_features,
    word_features,
)


def tiny(**change):
    torch.manual_seed(0)
    return SignRecognizerConfig(
        hidden_size=16, num_attention_heads=2, intermediate_size=16, conv_kernel_size=3, **change
    )


@pytest.fixture
def model():
    return SignRecognizerForCTC(tiny()).eval()


@pytest.fixture
def classifier():
    glosses = {0: "-", 1: "ase:A", 2: "ase:B"}
    config = tiny(id2label=glosses, streams=("word", "place"), block_channels=(8, 12), block_strides=(1, 2))
    return SignRecognizerForSequenceClassification(config).eval()


def clip(frames, *, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    keypoints = torch.randn(batch, frames, NUM_POINTS, 2, generator=generator)
    return keypoints, torch.rand(batch, frames, NUM_POINTS, generator=generator) + 0.1


@pytest.mark.parametrize(("frames", "steps"), [(1, 1), (2, 1), (9, 5)])
def test_one_step_of_logits_for_two_frames(model, frames, steps):
    assert model(*clip(frames)).logits.shape == (1, steps, 27)


def test_same_seed_gives_the_same_output():
    def logits():
        torch.manual_seed(1)
        return SignRecognizerForCTC(SignRecognizerConfig(hidden_size=8)).train()(*clip(6)).logits

    torch.testing.assert_close(logits(), logits(), rtol=0, atol=0)


@pytest.mark.parametrize("shorter", [1, 6, 7])
def test_batch_of_two_equals_two_of_one(model, shorter):
    long, short = clip(10), clip(shorter, seed=1)
    keypoints = torch.full((2, 10, NUM_POINTS, 2), 7.0)  # what stands in the padding must not matter
    confidence, mask = torch.ones(2, 10, NUM_POINTS), torch.zeros(2, 10, dtype=torch.long)
    for row, (points, sure) in enumerate((long, short)):
        keypoints[row, : points.shape[1]], confidence[row, : points.shape[1]] = points[0], sure[0]
        mask[row, : points.shape[1]] = 1
    together = model(keypoints, confidence, mask).logits
    torch.testing.assert_close(together[:1], model(*long).logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together[1:, : (shorter + 1) // 2], model(*short).logits, rtol=1e-4, atol=1e-5)


def test_saved_model_loads_equal(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = SignRecognizerForCTC.from_pretrained(tmp_path)
    assert loaded.config.id2label == model.config.id2label
    assert loaded.config.id2label[26] == "Z"
    torch.testing.assert_close(loaded(*clip(5)).logits, model(*clip(5)).logits, rtol=0, atol=0)


def test_gradient_reaches_every_parameter(model):
    labels, frame_labels = torch.tensor([[1, 2]]), torch.tensor([[0, 1, -100, 2, 0]])
    model(*clip(10), labels=labels, frame_labels=frame_labels).loss.backward()
    assert [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ] == []


def test_loss_falls_when_trained_on_one_clip(model):
    batch = dict(zip(("keypoints", "confidence"), clip(12), strict=True), labels=torch.tensor([[3, 1, -100]]))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(15):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_one_row_of_logits_a_clip(classifier):
    assert classifier(*clip(9, batch=2)).logits.shape == (2, 3)


@pytest.mark.parametrize("shorter", [1, 6, 7])
def test_padding_changes_no_clip_that_is_read_as_one(classifier, shorter):
    for parameter in classifier.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # fresh weights are so small that nothing would be seen
    long, short = clip(10), clip(shorter, seed=1)
    keypoints, confidence = torch.full((2, 10, NUM_POINTS, 2), 7.0), torch.ones(2, 10, NUM_POINTS)
    mask = torch.zeros(2, 10, dtype=torch.long)
    for row, (points, sure) in enumerate((long, short)):
        keypoints[row, : points.shape[1]], confidence[row, : points.shape[1]] = points[0], sure[0]
        mask[row, : points.shape[1]] = 1
    together = classifier(keypoints, confidence, mask).logits
    torch.testing.assert_close(together[:1], classifier(*long).logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together[1:], classifier(*short).logits, rtol=1e-4, atol=1e-5)


def test_saved_classifier_loads_equal(classifier, tmp_path):
    classifier.config.temperature = 1.5
    classifier.save_pretrained(tmp_path)
    loaded = SignRecognizerForSequenceClassification.from_pretrained(tmp_path)
    assert (loaded.config.glosses, loaded.config.temperature) == (("-", "ase:A", "ase:B"), 1.5)
    torch.testing.assert_close(loaded(*clip(5)).logits, classifier(*clip(5)).logits, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_read_nearly_the_same(classifier, dtype):
    signs = SignRecognizerForCTC(tiny(isolated=True)).eval()
    for net, read in (
        (signs, lambda inputs: signs(*inputs).logits),
        (signs, lambda inputs: signs.classify(*inputs)),
        (classifier, lambda inputs: classifier(*inputs).logits),
    ):
        inputs = clip(9, batch=2)
        whole = read(inputs)
        net.to(dtype)
        for given in (inputs, tuple(values.to(dtype) for values in inputs)):
            torch.testing.assert_close(read(given), whole, rtol=0.05, atol=0.05)
        net.float()


def test_every_stream_has_the_dropout_that_the_configuration_gives_it():
    config = tiny(streams=("word", "place"), block_classifier_dropout=0.3, classifier_dropout=0)
    streams = SignRecognizerForSequenceClassification(config).streams
    assert [stream.classifier_dropout.p for stream in streams] == [0.3, 0]


def test_both_readers_have_one_encoder(model, classifier):
    nets = (model, classifier.streams[1])
    encoders = [{name for name, _ in net.named_parameters() if "classifier" not in name} for net in nets]
    assert encoders[0] == encoders[1]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_streams_have_one_vote_each_and_learn_apart(classifier, smoothing):
    classifier.config.label_smoothing = smoothing
    keypoints, confidence = clip(9, batch=2)
    labels = torch.tensor([1, 2])
    scores = [stream(keypoints, confidence) for stream in classifier.streams]
    output = classifier(keypoints, confidence, labels=labels)
    torch.testing.assert_close(output.logits, sum(logits.log_softmax(dim=1) for logits in scores) / 2)
    losses = [cross_entropy(logits, labels, label_smoothing=smoothing) for logits in scores]
    torch.testing.assert_close(output.loss, sum(losses) / 2)


def test_places_of_a_hand_are_in_its_own_box_beside_where_its_wrist_is():
    keypoints, confidence = clip(3)
    first, second = (
        place_features(points, confidence, torch.ones(1, 3, dtype=torch.bool))
        for points in (keypoints, keypoints + 0.5)
    )
    boxes = slice(14, 14 + 42)
    torch.testing.assert_close(first[..., boxes], second[..., boxes])
    assert first[..., boxes].abs().max() == 0.5
    torch.testing.assert_close(second[..., 56:58], keypoints[:, :, 7] + 0.5)


def test_gradient_reaches_every_parameter_of_the_classifier(classifier):
    classifier(*clip(10, batch=2), labels=torch.tensor([1, 2])).loss.backward()
    assert [name for name, parameter in classifier.named_parameters() if not parameter.grad.any()] == []


def test_hand_features_know_no_place_and_size():
    hand = torch.randn(1, 4, 21, 2)
    seen = torch.ones(1, 4, dtype=torch.bool)
    torch.testing.assert_close(hand_features(3 * hand + 5, seen), hand_features(hand, seen), rtol=1e-3, atol=1e-3)


def test_gaps_are_filled_from_the_nearest_frames_that_are_seen():
    values = torch.tensor([[[9.0], [1.0], [9.0], [9.0], [4.0], [9.0]], [[9.0]] * 6])
    seen = torch.tensor([[False, True, False, False, True, False], [False] * 6])
    assert fill_gaps(values, seen)[..., 0].tolist() == [[1, 1, 2, 3, 4, 4], [0] * 6]


def features_of_words(keypoints, confidence):
    return word_features(keypoints, confidence, torch.ones(confidence.shape[:2], dtype=torch.bool))


def test_word_features_do_not_say_how_a_signer_sits():
    keypoints, confidence = clip(6)
    confidence[:, :, 28:] = 0  # the left hand rests, its wrist is a guess
    confidence[:, :, 6] = 0.3
    other, sure = keypoints.clone(), confidence.clone()
    other[:, :, [1, 2, 4, 5, 6]] += 1  # shoulders, elbows and that wrist
    sure[:, :, [1, 2, 4, 5]] = 0
    torch.testing.assert_close(features_of_words(other, sure), features_of_words(keypoints, confidence), rtol=0, atol=0)


def test_a_hand_that_is_lost_for_a_frame_is_where_its_wrist_is_seen():
    keypoints = torch.zeros(1, 3, NUM_POINTS, 2)
    keypoints[:, :, 7:28] = clip(1)[0][:, :, 7:28]
    keypoints[:, :, 3] = keypoints[:, :, 7]
    confidence = torch.ones(1, 3, NUM_POINTS)
    whole = features_of_words(keypoints, confidence)
    confidence[:, 1, 7:28] = 0
    keypoints[:, 1, 7:28] = 9
    torch.testing.assert_close(features_of_words(keypoints, confidence), whole)


def test_hands_that_part_are_told_from_hands_that_close():
    apart = torch.stack([torch.linspace(1, 2, 8), torch.zeros(8)], dim=-1)[None]
    tips, mask = torch.zeros(1, 8, 5, 2), torch.ones(1, 8, dtype=torch.bool)
    parting, closing = pair_features(apart, tips, mask), pair_features(apart.flip(1), tips, mask)
    assert parting.shape == (1, 8, 25)
    assert (parting[0, 3:5, 9] > 0).all()  # the distance three frames later, less that three frames before
    torch.testing.assert_close(parting[..., 4:10].flip(1), -closing[..., 4:10])


def test_unseen_hand_has_no_features():
    keypoints, confidence = clip(4)
    confidence[:, :, 7:28] = 0
    other = keypoints.clone()
    other[:, :, 7:28] += 1
    torch.testing.assert_close(pose_features(keypoints, confidence), pose_features(other, confidence), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 10}, "`hidden_size` must be a multiple of `num_attention_heads`, got 10 and 4"),
        ({"conv_kernel_size": 4}, "`conv_kernel_size` must be odd, got 4"),
        ({"streams": ()}, "`streams` must be some of pose, word, place, got none"),
        ({"streams": ("word", "face")}, "`streams` must be some of pose, word, place, got word, face"),
        ({"block_strides": (1, 2)}, "`block_channels` and `block_strides` must be of as many blocks, .* got 4 and 2"),
        ({"conv_stride": 0}, "`conv_stride` must be at least 1, got 0"),
        ({"pad_token_id": 27}, "`pad_token_id` must be one of 27 labels, got 27"),
        ({"temperature": 0}, "`temperature` must be positive, got 0"),
        ({"unknown_threshold": 1.5}, r"`unknown_threshold` must be in \[0, 1\], got 1.5"),
    ],
)
def test_wrong_configurations_are_refused(change, message):
    with pytest.raises(Exception, match=message):
        SignRecognizerConfig(**change)


def test_whole_clips_are_read_by_each_framing(classifier):
    keypoints, confidence = clip(9, batch=2)
    plain = classifier(keypoints, confidence).logits
    nearer = classifier(*framed(keypoints, confidence, torch.tensor([0.1, 0.1]))).logits
    classifier.config.edges = (0.1,)
    torch.testing.assert_close(classifier(keypoints, confidence).logits, (plain + nearer) / 2)
    assert (plain != nearer).any()
    classifier.train()
    learned = classifier(keypoints, confidence, labels=torch.tensor([1, 2]))
    assert learned.logits.shape == plain.shape
