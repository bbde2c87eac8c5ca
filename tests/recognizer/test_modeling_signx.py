import pytest
import torch
from torch import nn

from recognizer.configuration_signx import DECODERS, SignXConfig
from recognizer.modeling_signx import SignXForPose2Gloss, contrastive_loss, from_wrists
from recognizer.modeling_signx_decoders import ctc_loss, even_pace, teacher_forcing_ratio, word_match_loss
from recognizer.tracks import HANDS, NUM_FEATURES, TRACKS

TINY = {
    "latent_size": 24,
    "fusion_size": 16,
    "num_fusion_heads": 2,
    "codebook_size": 12,
    "codebook_dim": 8,
    "hidden_size": 16,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_glosses": 5,
    "id2label": {0: "A", 1: "B", 2: "C"},
}


def build(**changes):
    torch.manual_seed(0)
    return SignXForPose2Gloss(SignXConfig(**TINY | changes)).eval()


def clip(frames, *, tracks=tuple(TRACKS), batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = torch.full((batch, frames, NUM_FEATURES), torch.nan)
    values = torch.randn(batch, frames, NUM_FEATURES, generator=generator)
    for name in tracks:
        features[..., TRACKS[name]] = values[..., TRACKS[name]]
    return features


LABELS = torch.tensor([[0, 1, -100], [2, 0, 0]])


@pytest.fixture(params=DECODERS)
def model(request):
    return build(decoder_type=request.param)


def test_shapes_are_the_published_ones_and_the_same_seed_gives_the_same(model):
    assert model(clip(4)).latents.shape == (1, 4, 24)
    assert model.fusion(clip(4)).shape == (1, 4, 1959)
    losses = []
    for _ in range(2):
        torch.manual_seed(1)
        losses.append(model(clip(8, batch=2), labels=LABELS).loss)
    assert losses[0] == losses[1]


@pytest.mark.parametrize("decoder_type", DECODERS)
def test_published_sizes_build_without_memory(decoder_type):
    with torch.device("meta"):
        model = SignXForPose2Gloss(
            SignXConfig(decoder_type=decoder_type, id2label=dict(enumerate(map(str, range(3000)))))
        )
    assert model.projection[0].weight.shape == (2048, 1959)
    assert model.codebook.entries.shape == (1024, 256)
    assert 20e6 < sum(parameter.numel() for parameter in model.parameters()) < 60e6


def test_batch_of_two_equals_two_of_one(model):
    long, short = clip(6), clip(4, seed=1, tracks=("dwpose", "smplerx"))
    features, mask = torch.full((2, 6, NUM_FEATURES), 7.0), torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    features[0], features[1, :4] = long[0], short[0]
    together = model.generate(features, mask)
    for row, alone in enumerate((model.generate(long), model.generate(short))):
        labels = together.labels[row]
        assert labels[labels >= 0].tolist() == alone.labels[0].tolist()
        torch.testing.assert_close(together.scores[row], alone.scores[0], rtol=1e-3, atol=1e-4)


def test_saved_model_loads_equal(model, tmp_path):
    model.set_statistics(torch.rand(NUM_FEATURES).numpy(), torch.rand(NUM_FEATURES).numpy() + 1)
    model.save_pretrained(tmp_path)
    loaded = SignXForPose2Gloss.from_pretrained(tmp_path)
    assert loaded.config.glosses == ("A", "B", "C")
    found, again = model.generate(clip(6)), loaded.generate(clip(6))
    torch.testing.assert_close(again.scores, found.scores, rtol=0, atol=0)
    assert loaded.glosses(again) == model.glosses(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"decoder_type": "diffusion"},
        {"decoder_type": "autoregressive", "ctc_loss_weight": 0.3},
        {"decoder_type": "ctc", "codebook_hard": True},
    ],
)
def test_gradient_reaches_every_parameter(changes):
    model = build(**changes)
    for parameter in model.parameters():  # zero biases and small weights can hide a path
        nn.init.normal_(parameter, std=0.3)
    features = clip(8, batch=2)
    features[1, :2, TRACKS["dwpose"]] = torch.nan
    features[0, 3] = torch.nan
    torch.manual_seed(1)
    model(features, labels=LABELS).loss.backward()
    # The softmax over keys cancels what is added to all of them; only chosen entries of a hard codebook learn.
    silent = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all() or not parameter.grad.any()
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"decoder_type": "diffusion"}, {"text", "length", "contrastive"}),
        ({"decoder_type": "autoregressive"}, {"text", "word_match", "contrastive"}),
        ({"decoder_type": "autoregressive", "ctc_loss_weight": 0.3}, {"text", "word_match", "ctc", "contrastive"}),
        ({"decoder_type": "ctc", "codebook_hard": True}, {"text", "codebook", "commitment", "contrastive"}),
    ],
)
def test_loss_is_the_weighted_sum(changes, expected):
    model = build(**changes, text_loss_weight=3)
    output = model(clip(8, batch=2), labels=LABELS)
    assert set(output.losses) == expected
    weights = {"text": 3, "ctc": 0.3, "commitment": 0.25}
    total = sum(weights.get(name, 1) * loss for name, loss in output.losses.items())
    torch.testing.assert_close(output.loss, total)


@pytest.mark.long
@pytest.mark.parametrize(
    ("decoder_type", "num_steps"),
    # The autoregressive one learns from clips in test_training_signx.py, each time the tests are run.
    [("ctc", 40), ("diffusion", 80), pytest.param("autoregressive", 150, marks=pytest.mark.slow)],
)
def test_two_clips_are_learned_and_read_whichever_tracks_there_are(decoder_type, num_steps):
    model = build(decoder_type=decoder_type, dropout=0.0, hidden_size=32, codebook_size=32)
    features = clip(8, batch=2)
    features[1, :, TRACKS["primedepth_depth"]] = torch.nan  # one clip has four tracks
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    torch.manual_seed(1)
    for _ in range(num_steps):
        optimizer.zero_grad()
        model(features, labels=LABELS).loss.backward()
        optimizer.step()
    assert model.glosses(model.generate(features)) == [("A", "B"), ("C", "A", "A")]


def test_missing_tracks_are_not_zeros():
    model = build()
    alone = clip(3, tracks=("dwpose",))
    zeros = alone.nan_to_num()
    assert not torch.allclose(model(alone).latents, model(zeros).latents, atol=1e-4)
    assert model(clip(3, tracks=())).latents.isfinite().all()


def test_missing_tracks_are_not_listened_to():
    model = build()
    fused = model.fusion(clip(3, tracks=("dwpose",)))
    with torch.no_grad():
        model.fusion.missing.weight[1:] += 5  # what stands for the others
    again = model.fusion(clip(3, tracks=("dwpose",)))
    torch.testing.assert_close(again[..., TRACKS["dwpose"]], fused[..., TRACKS["dwpose"]], rtol=0, atol=0)
    assert not torch.allclose(again[..., TRACKS["smplerx"]], fused[..., TRACKS["smplerx"]])


def test_statistics_standardise():
    model = build()
    mean, std = torch.randn(NUM_FEATURES), torch.rand(NUM_FEATURES) + 0.5
    expected = model(clip(3)).latents
    model.set_statistics(mean.numpy(), std.numpy())
    moved = from_wrists(clip(3)) * std + mean
    for first, size in HANDS:
        points = moved[..., first : first + 21 * size].unflatten(-1, (21, size))
        points[..., 1:, :] += points[..., :1, :]
    torch.testing.assert_close(model(moved).latents, expected, rtol=1e-3, atol=1e-3)


def test_fingers_are_counted_from_their_wrist():
    features = torch.full((1, NUM_FEATURES), torch.nan)
    features[:, TRACKS["dwpose"]] = 0
    first, size = HANDS[1]
    features[:, first : first + 2 * size] = torch.tensor([0.5, 0.25, 0.6, 0.5])
    found = from_wrists(features)
    assert found[0, first : first + 4].tolist() == pytest.approx([0.5, 0.25, 0.1, 0.25])
    assert not found[:, first + 4 : TRACKS["dwpose"].stop].any()
    assert found[:, TRACKS["dwpose"].stop :].isnan().all()


def test_places_share_the_frames_evenly():
    given = torch.tensor([[True, True, True], [True, False, False]])
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    assert even_pace(given, mask)[0].tolist() == [1, 3, 5]
    assert even_pace(given, mask)[1, 0] == 2


def test_hard_codebook_takes_the_nearest_entry():
    codebook = build(codebook_hard=True).codebook
    with torch.no_grad():
        codebook.entries.copy_(codebook.query_norm(codebook.query(torch.eye(12, 24))))
    found, losses = codebook(torch.eye(12, 24)[None] * 1.0, torch.ones(1, 12, dtype=torch.bool))
    torch.testing.assert_close(found[0], codebook.output(codebook.norm(codebook.entries)))
    assert losses["commitment"] < 1e-10


def test_diffusion_uncovers_as_many_as_it_says(monkeypatch):
    model = build(decoder_type="diffusion")
    decoder = model.decoder
    monkeypatch.setattr(decoder, "_length_logits", lambda *_: torch.eye(5)[[4, 2]])
    masked = []
    transformer = decoder.transformer.forward

    def count(tokens, *rest):
        masked.append((tokens == decoder.mask_token).sum(dim=1).tolist())
        return transformer(tokens, *rest)

    monkeypatch.setattr(decoder.transformer, "forward", count)
    found = model.generate(clip(4, batch=2), num_inference_steps=3)
    assert masked == [[5, 5], [3, 4], [1, 3]]  # the second clip's last two places are padding
    assert (found.labels >= 0).sum(dim=1).tolist() == [5, 3]
    masked.clear()
    model.generate(clip(4, batch=2), num_inference_steps=50)
    assert len(masked) == 7  # a step that uncovers nothing costs nothing
    drawn = [
        model.generate(clip(4, batch=2), temperature=1.0, generator=torch.Generator().manual_seed(3)).labels.tolist()
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]
    with pytest.raises(ValueError, match="`num_inference_steps` must be at least 1, got 0"):
        model.generate(clip(4), num_inference_steps=0)


def test_diffusion_bound_of_a_uniform_model_is_the_number_of_glosses():
    decoder = build(decoder_type="diffusion").decoder
    for parameter in decoder.transformer.classifier.parameters():
        nn.init.zeros_(parameter)
    labels = torch.randint(3, (4000, 4), generator=torch.Generator().manual_seed(0))
    hidden = torch.zeros(4000, 1, 16)
    torch.manual_seed(0)
    loss = decoder(hidden, torch.ones(4000, 1, dtype=torch.bool), labels)["text"]
    assert loss.item() == pytest.approx(torch.tensor(3.0).log().item(), rel=0.05)


def test_own_glosses_are_fed_back_as_teacher_forcing_falls():
    model = build(decoder_type="autoregressive")
    losses = [model(clip(8, batch=2), labels=LABELS, teacher_forcing=ratio).losses["text"] for ratio in (1.0, 0.0)]
    assert losses[0] != losses[1]
    assert [teacher_forcing_ratio(step, 5) for step in range(5)] == [0.5, 0.375, 0.25, 0.125, 0.0]


def test_ctc_joins_the_search():
    model = build(decoder_type="autoregressive", ctc_loss_weight=0.3)
    nn.init.zeros_(model.decoder.ctc_classifier.weight)
    with torch.no_grad():
        model.decoder.ctc_classifier.bias.copy_(torch.tensor([0.0, 20.0, 0.0, 0.0]))  # B for sure, once
    assert model.glosses(model.generate(clip(6), ctc_weight=0.95)) == [("B",)]
    with pytest.raises(ValueError, match="`ctc_weight` must be 0 where `ctc_loss_weight` was 0"):
        build(decoder_type="autoregressive").generate(clip(6), ctc_weight=0.3)


def test_word_match_is_one_minus_f1_of_bags():
    labels = torch.tensor([[0, 1, 1, -100]])
    perfect = nn.functional.one_hot(torch.tensor([[1, 0, 1, 2]]), 3).float()  # another order
    assert word_match_loss(perfect, labels).item() == pytest.approx(0)
    assert word_match_loss(nn.functional.one_hot(torch.full((1, 4), 2), 3).float(), labels).item() == 1
    half = nn.functional.one_hot(torch.tensor([[0, 0, 0, 0]]), 3).float()
    assert word_match_loss(half, labels).item() == pytest.approx(2 / 3)


def test_contrastive_loss_is_infonce_and_spares_twins():
    clips = torch.eye(3)
    loss = contrastive_loss(clips, clips, torch.eye(3, dtype=torch.bool), 0.5)
    expected = -torch.tensor([2.0, 0, 0]).log_softmax(dim=0)[0]
    torch.testing.assert_close(loss, expected)
    twins = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    assert contrastive_loss(twins, twins, same, 0.07).item() == pytest.approx(0, abs=1e-5)
    assert contrastive_loss(twins, twins, torch.eye(3, dtype=torch.bool), 0.07) > 0.4


def test_ctc_needs_room_for_blanks():
    mask = torch.tensor([[True] * 3, [True] * 3])
    assert ctc_loss(torch.zeros(2, 3, 4), mask, torch.tensor([[0, 1, 2], [1, 1, -100]])).isfinite()
    with pytest.raises(ValueError, match="got 4 glosses and blanks for 3 steps in clip 1"):
        ctc_loss(torch.zeros(2, 3, 4), mask, torch.tensor([[0, 1, 2], [1, 1, 2]]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 3]], "`labels` must be below 3, got 3"),
        ([[-100, 1]], "`labels` must be padded at the end only"),
        ([[-100, -100]], "`labels` must hold 1 to 5 glosses a clip, got 0 to 0"),
        ([[0] * 6], "`labels` must hold 1 to 5 glosses a clip, got 6 to 6"),
    ],
)
def test_wrong_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        build()(clip(8), labels=torch.tensor(labels))


def test_clips_that_cannot_be_read_are_refused():
    model = build(frame_stride=2, decoder_type="ctc")
    features, mask = clip(6, batch=2), torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    features[1, 4:] = torch.nan  # padding
    features[:, 1] = torch.nan  # which isn't read
    features[0, 2] = torch.nan  # a frame without any track
    features[0, 0, TRACKS["smplerx"]] = torch.nan
    assert len(model.generate(features, mask).labels) == 2
    features[1, 2, TRACKS["dwpose"].stop - 1] = torch.nan
    with pytest.raises(
        ValueError, match="`features` must be finite or all NaN in a track, got both in dwpose of clip 1"
    ):
        model.generate(features, mask)
    features[1, 2, TRACKS["dwpose"].stop - 1] = torch.inf
    with pytest.raises(ValueError, match="got both in dwpose of clip 1"):
        model.generate(features, mask)
    features[1, ::2] = torch.nan
    with pytest.raises(ValueError, match="`features` must show a track in every clip, got none in clip 1"):
        model.generate(features, mask)


def test_clips_without_frames_are_refused():
    with pytest.raises(ValueError, match="`attention_mask` must keep at least one frame"):
        build()(clip(2), torch.zeros(1, 2, dtype=torch.long))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder_type": "rnn"}, "`decoder_type` must be one of diffusion, autoregressive, ctc, got 'rnn'"),
        ({"hidden_size": 15}, "`hidden_size` must be a multiple of `num_attention_heads`, got 15 and 2"),
        ({"fusion_size": 15}, "`fusion_size` must be a multiple of `num_fusion_heads`, got 15 and 2"),
        ({"hidden_size": 15, "num_attention_heads": 5}, "`hidden_size` must be even, got 15"),
        ({"max_glosses": 0}, "`max_glosses` must be at least 1, got 0"),
        ({"contrastive_temperature": 0}, "`contrastive_temperature` must be positive, got 0"),
    ],
)
def test_wrong_configurations_are_refused(change, message):
    with pytest.raises(Exception, match=message):
        SignXConfig(**TINY | change)
