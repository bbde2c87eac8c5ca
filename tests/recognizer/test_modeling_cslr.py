import pytest
import torch
from torch import nn

from recognizer.configuration_cslr import SignXCSLRConfig
from recognizer.latents import cross_covariance, forced_alignment, whiten_latents
from recognizer.modeling_cslr import NormLinear, SignXForCSLR, TemporalConv, out_length

TINY = {
    "feature_size": 6,
    "latent_size": 10,
    "temporal_size": 12,
    "hidden_size": 8,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_glosses": 4,
    "id2label": {0: "A", 1: "B"},
}
LABELS = torch.tensor([[0, 1], [1, -100]])


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SignXForCSLR(SignXCSLRConfig(**TINY)).eval()


def clip(frames, *, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(batch, frames, 6, generator=generator)
    return {"features": features, "latents": torch.randn(batch, frames, 10, generator=generator)}


@pytest.mark.parametrize(("frames", "steps"), [(1, 1), (4, 1), (5, 2), (106, 27), (116, 29), (136, 34)])
def test_one_latent_step_for_four_frames(frames, steps):
    assert out_length(frames) == steps
    assert TemporalConv(6, 8)(torch.zeros(1, frames, 6)).shape == (1, steps, 8)


def test_published_sizes_build_without_memory():
    with torch.device("meta"):
        model = SignXForCSLR(SignXCSLRConfig())
    assert model.conv.conv1.weight.shape == (1024, 512, 5)
    assert model.recurrent.hidden_size == 512
    assert len(model.encoder_layers) == len(model.decoder.transformer.layers) == 6


@pytest.mark.parametrize("shorter", [1, 4, 6])
def test_batch_of_two_equals_two_of_one(model, shorter):
    long, short = clip(9), clip(shorter, seed=1)
    padded = {"features": torch.full((2, 9, 6), 7.0), "latents": torch.full((2, 9, 10), 7.0)}
    mask = torch.zeros(2, 9, dtype=torch.long)
    for row, one in enumerate((long, short)):
        for name, values in one.items():
            padded[name][row, : values.shape[1]] = values[0]
        mask[row, : one["latents"].shape[1]] = 1
    together = model(**padded, attention_mask=mask).logits
    torch.testing.assert_close(together[:1], model(**long).logits)
    torch.testing.assert_close(together[1:, : out_length(shorter)], model(**short).logits)
    found = model.generate(**padded, attention_mask=mask)
    torch.testing.assert_close(found.scores[1:], model.generate(**short).scores, rtol=1e-3, atol=1e-4)


def test_saved_model_loads_equal_and_stays_pruned(model, tmp_path):
    values = clip(20, seed=2)["latents"]
    values[..., 3] = 1
    model.prune(values, torch.ones(1, 20, dtype=torch.long))
    assert model.latent_mask.tolist() == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    inputs = clip(8)
    model.save_pretrained(tmp_path)
    loaded = SignXForCSLR.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded(**inputs).logits, model(**inputs).logits, rtol=0, atol=0)
    torch.testing.assert_close(loaded.generate(**inputs).scores, model.generate(**inputs).scores)
    with torch.no_grad():
        model.latent_projection.weight[:, 3] += 5
    torch.testing.assert_close(loaded(**inputs).logits, model(**inputs).logits, rtol=0, atol=0)


def test_batches_prune_a_network_on_another_device(model):
    model.to("meta").prune(clip(20)["latents"], torch.ones(1, 20, dtype=torch.long))
    assert model.latent_mask.device.type == "meta"


def test_frames_drop_in_training_as_often_as_asked():
    model = SignXForCSLR(SignXCSLRConfig(**TINY | {"frame_drop": 0.1}))
    seen = []
    model.conv.register_forward_pre_hook(lambda _, given: seen.append(given[0].any(dim=-1)))
    torch.manual_seed(0)
    inputs = clip(2000)
    for given in (inputs, {"latents": inputs["latents"]}):  # dropped whole, with what the pixels show
        model.train()(**given)
        model.eval()(**given)
        assert 150 < (~seen[-2]).sum() < 250
        assert seen[-1].all()


def test_what_neighbours_share_is_learned_where_it_is_told_by_a_matrix(tmp_path, monkeypatch):
    monkeypatch.setattr("recognizer.modeling_cslr.COVARIANCE_SHARE", 0.5)
    model = SignXForCSLR(SignXCSLRConfig(**TINY | {"covariance": True, "frame_drop": 0.0}))
    latents = clip(9)["latents"].repeat_interleave(4, dim=1)
    with torch.autocast("cpu", torch.bfloat16):
        model.train()(latents)
    mask = torch.ones(latents.shape[:2], dtype=torch.bool)
    torch.testing.assert_close(model.covariance, cross_covariance(latents, mask) / 2, rtol=0.05, atol=0.05)
    learned = model.covariance.clone()
    model.eval()
    compiled = model.align(latents, torch.tensor([[0, 1]]))
    expected = whiten_latents(latents, mask, whitening=model.config.whitening, covariance=learned)
    torch.testing.assert_close(compiled.latents, expected)
    model.save_pretrained(tmp_path)
    loaded = SignXForCSLR.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.covariance, learned, rtol=0, atol=0)
    torch.testing.assert_close(loaded(latents).logits, model(latents).logits, rtol=0, atol=0)


def test_latents_alone_are_read_where_there_are_no_features(model):
    inputs = clip(8)
    with torch.no_grad():
        model.mix.fill_(-1e3)  # no share for features
    alone = model(inputs["latents"]).logits
    torch.testing.assert_close(model(**inputs).logits, alone)
    with torch.no_grad():
        model.mix.fill_(0)
    assert not torch.allclose(model(**inputs).logits, alone)


def test_known_glosses_are_found_in_time(model):
    latents, mask = clip(8, batch=2)["latents"], torch.tensor([[1] * 8, [1] * 5 + [0] * 3])
    compiled = model.align(latents, LABELS, mask)
    assert compiled.mask.equal(mask.bool())
    logits = model(latents, mask).logits.log_softmax(dim=-1).repeat_interleave(4, dim=1)
    assert compiled.alignment[0].equal(forced_alignment(logits[0], LABELS[0]))
    assert compiled.alignment[1].tolist() == [*forced_alignment(logits[1, :5], LABELS[1, :1]).tolist(), *[-100] * 3]
    spoken = [label for label in compiled.alignment[0].tolist() if label < 2]
    assert [label for before, label in zip([None, *spoken], spoken, strict=False) if label != before] == [0, 1]


def test_loss_is_the_weighted_sum_and_reaches_every_parameter(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    output = model(**clip(16, batch=2), labels=LABELS)
    assert set(output.losses) == {"conv_ctc", "sequence_ctc", "distillation", "text", "ctc"}
    total = sum((0.3 if name == "ctc" else 1) * loss for name, loss in output.losses.items())
    torch.testing.assert_close(output.loss, total)
    output.loss.backward()
    silent = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert silent == []


@pytest.mark.long
def test_two_clips_are_learned_and_read():
    torch.manual_seed(0)
    model = SignXForCSLR(
        SignXCSLRConfig(**TINY | {"dropout": 0.0, "frame_drop": 0.0, "hidden_size": 32, "temporal_size": 32})
    )
    inputs = clip(16, batch=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        model(**inputs, labels=LABELS).loss.backward()
        optimizer.step()
    assert model.eval().generate(**inputs).labels.tolist() == [[0, 1], [1, -100]]


def test_classifier_rows_have_length_one():
    classifier = NormLinear(3, 2)
    with torch.no_grad():
        classifier.weight.copy_(torch.tensor([[3.0, 4, 0], [0, 0, 0.1]]))
    torch.testing.assert_close(classifier(torch.ones(1, 1, 3)), torch.tensor([[[1.4, 1.0]]]))


def test_clips_too_short_for_their_glosses_are_refused(model):
    with pytest.raises(ValueError, match="got 2 glosses and blanks for 1 steps in clip 0"):
        model(**clip(4, batch=2), labels=LABELS)
    with pytest.raises(ValueError, match="`attention_mask` must keep at least one frame"):
        model(**clip(4), attention_mask=torch.zeros(1, 4, dtype=torch.long))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 2]], "`labels` must be below 2, got 2"),
        ([[-100, 1]], "`labels` must be padded at the end only"),
        ([[0, 1], [-100, -100]], "`labels` must hold 1 to 4 glosses a clip, got 0 to 2"),
        ([[0] * 5], "`labels` must hold 1 to 4 glosses a clip, got 5 to 5"),
        ([[]], "`labels` must hold 1 to 4 glosses a clip, got 0 to 0"),
    ],
)
def test_wrong_labels_are_refused(model, labels, message):
    labels = torch.tensor(labels, dtype=torch.long)
    with pytest.raises(ValueError, match=message):
        model(**clip(64, batch=len(labels)), labels=labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 9}, "`hidden_size` must be a multiple of `num_attention_heads`, got 9 and 2"),
        ({"frame_drop": 1}, r"`frame_drop` must be in \[0, 1\), got 1"),
        ({"temporal_size": 9}, "`temporal_size` must be even, got 9"),
        ({"distillation_temperature": 0}, "`distillation_temperature` must be positive, got 0"),
    ],
)
def test_wrong_configurations_are_refused(change, message):
    with pytest.raises(Exception, match=message):
        SignXCSLRConfig(**TINY | change)
