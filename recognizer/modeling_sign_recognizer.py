"""The sign recognizer: hand-shape features, then convolution and attention over time, read out by CTC or as one."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import nn
from torch.nn import functional as F
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.generic import ModelOutput

from poses.keypoints import HAND, HAND_BONES
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.framing import BODY_POINTS, HANDS, NUM_POINTS, RAISED, SURE, framed

_BONES = tuple((HAND.index(root), HAND.index(tip)) for root, tip in HAND_BONES)
_JOINTS = tuple(
    (_BONES.index((a, b)), _BONES.index((b, c))) for a, b in _BONES for root, c in _BONES if root == b
)  # a bone and the one that goes on from it
_TIPS = tuple(HAND.index(f"{finger}_tip") for finger in ("thumb", "index", "middle", "ring", "little"))
_KNUCKLES = tuple(HAND.index(f"{finger}_mcp") for finger in ("index", "middle", "ring", "little"))
_SPREADS = tuple((a, b) for number, a in enumerate(_TIPS) for b in _TIPS[number + 1 :]) + tuple(
    (_TIPS[0], HAND.index(f"{finger}_{joint}"))
    for finger in ("index", "middle", "ring", "little")
    for joint in ("mcp", "pip", "dip")
)  # pairs of points whose distance tells a hand shape
_EPSILON = 1e-4


@dataclass
class SignRecognizerOutput(ModelOutput):
    """What the sign recognizers give back.

    Attributes:
        loss: Only with `labels`.
        logits: Scores of every label, before softmax: one step for `config.conv_stride` frames, or one a clip. In
            single precision, whatever the weights are in.
        last_hidden_state: Of continuous signing: what the logits are made of.
    """

    loss: Float[torch.Tensor, ""] | None = None
    logits: Float[torch.Tensor, "batch *steps labels"] | None = None
    last_hidden_state: Float[torch.Tensor, "batch steps hidden"] | None = None


def _palm_size(hand: Float[torch.Tensor, "batch frames 21 2"]) -> Float[torch.Tensor, "batch frames"]:
    """The longest of wrist to knuckles and palm width: at least one of them is hardly foreshortened."""
    to_knuckles = (hand[..., _KNUCKLES, :] - hand[..., :1, :]).norm(dim=-1).amax(dim=-1)
    width = (hand[..., _KNUCKLES[0], :] - hand[..., _KNUCKLES[-1], :]).norm(dim=-1)
    return torch.maximum(to_knuckles, width)


def hand_features(
    hand: Float[torch.Tensor, "batch frames 21 2"], seen: Bool[torch.Tensor, "batch frames"]
) -> Float[torch.Tensor, "batch frames features"]:
    """Describes a hand's shape and orientation whatever its place and size, as zeros where it is not seen.

    Lengths are in palm sizes of the whole clip, so that foreshortening stays visible.
    """
    weight = seen.to(hand.dtype)
    size = (_palm_size(hand) * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
    hand = (hand - hand[..., :1, :]) / size.clamp(min=_EPSILON)[:, None, None, None]
    roots, tips = zip(*_BONES, strict=True)
    bones = hand[..., tips, :] - hand[..., roots, :]
    lengths = bones.norm(dim=-1, keepdim=True)
    directions = bones / (lengths + 0.05)  # a bone that points at the camera has no direction
    before, after = (directions[..., side, :] for side in zip(*_JOINTS, strict=True))
    bends = torch.stack([(before * after).sum(dim=-1), _cross(before, after)], dim=-1)
    first, second = (hand[..., side, :] for side in zip(*_SPREADS, strict=True))
    spreads = (first - second).norm(dim=-1)
    facing = _cross(hand[..., _KNUCKLES[0], :], hand[..., _KNUCKLES[-1], :])[..., None]
    features = torch.cat(
        [hand[..., 1:, :].flatten(-2), directions.flatten(-2), lengths[..., 0], bends.flatten(-2), spreads, facing],
        dim=-1,
    )
    return features * weight[..., None]


def _cross(a: Float[torch.Tensor, "*shape 2"], b: Float[torch.Tensor, "*shape 2"]) -> Float[torch.Tensor, "*shape"]:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def pose_features(
    keypoints: Float[torch.Tensor, "batch frames points 2"], confidence: Float[torch.Tensor, "batch frames points"]
) -> Float[torch.Tensor, "batch frames features"]:
    """Features of every frame: both hands' shapes, where hands and arms are, how they move, how sure that is.

    Args:
        keypoints: `BODY_POINTS`, right hand, left hand, in shoulder widths from between the shoulders.
        confidence: 0 where a point is not seen.
    """
    body = len(BODY_POINTS)
    parts, places = [], []
    for side in HANDS:
        seen = (confidence[..., side] > 0).float().mean(dim=-1) >= 0.5
        hand = torch.where(seen[..., None, None], keypoints[..., side, :], 0)
        place = hand.mean(dim=-2)
        movement = torch.zeros_like(hand[..., (0, *_TIPS), :])
        moved = (seen[:, 2:] & seen[:, :-2])[..., None, None]
        step = hand[:, 2:, (0, *_TIPS)] - hand[:, :-2, (0, *_TIPS)]
        movement[:, 1:-1] = torch.where(moved, step, 0)
        parts += [
            hand_features(hand, seen),
            place,
            hand[..., 0, :],
            3 * movement.flatten(-2),
            seen[..., None].to(hand.dtype),
            confidence[..., side].mean(dim=-1, keepdim=True),
        ]
        places.append((place, seen))
    both = (places[0][1] & places[1][1])[..., None]
    parts.append(torch.where(both, places[0][0] - places[1][0], 0))
    visible = (confidence[..., :body] > 0).to(keypoints.dtype)
    parts += [(keypoints[..., :body, :] * visible[..., None]).flatten(-2), visible]
    return torch.cat(parts, dim=-1)


def fill_gaps(
    values: Float[torch.Tensor, "batch frames *shape"], seen: Bool[torch.Tensor, "batch frames"]
) -> Float[torch.Tensor, "batch frames *shape"]:
    """Puts what lies between the nearest seen frames where something is not seen, and zeros where it never is."""
    frames = torch.arange(seen.shape[1], device=seen.device).expand_as(seen)
    before = torch.where(seen, frames, -1).cummax(dim=1).values
    after = torch.where(seen, frames, seen.shape[1]).flip(1).cummin(dim=1).values.flip(1)
    before, after = torch.where(before < 0, after, before), torch.where(after == seen.shape[1], before, after)
    weight = ((frames - before) / (after - before).clamp(min=1)).clamp(0, 1).to(values.dtype)
    rows = torch.arange(len(values), device=seen.device)[:, None]
    last = seen.shape[1] - 1
    old, new = values[rows, before.clamp(0, last)], values[rows, after.clamp(0, last)]
    shape = (..., *[None] * (values.ndim - 2))
    return torch.where(seen.any(dim=1, keepdim=True)[shape], old + weight[shape] * (new - old), 0)


def word_features(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    mask: Bool[torch.Tensor, "batch frames"],
) -> Float[torch.Tensor, "batch frames features"]:
    """Features of every frame of one sign: both hands' shapes, where they are from shoulders and nose, how they move.

    Takes of a word are recorded in a row, so a network can tell it by how the signer sat and which frames the estimator
    lost. Hence no shoulder, elbow or resting arm is a feature, and what is not seen is filled in.

    Args:
        keypoints: `BODY_POINTS`, right hand, left hand, in shoulder widths from between the shoulders.
        confidence: 0 where a point is not seen.
        mask: Frames that are no padding.
    """
    nose = BODY_POINTS.index("nose")
    num_frames = mask.sum(dim=1)[:, None, None]
    face = fill_gaps(keypoints[:, :, nose], confidence[:, :, nose] > 0)
    parts, places, fingers = [], [], []
    for name, side in zip(("right", "left"), HANDS, strict=True):
        wrist, hand = BODY_POINTS.index(f"{name}_wrist"), keypoints[:, :, side]
        seen = (confidence[:, :, side] > 0).float().mean(dim=-1) >= 0.5
        raised = (confidence[:, :, wrist] > SURE) & (keypoints[:, :, wrist, 1] < RAISED)
        shown, moving = (some.any(dim=1, keepdim=True) & mask for some in (seen, seen | raised))
        shape = fill_gaps(hand - hand[:, :, :1], seen)
        place = torch.where(seen[..., None], hand[:, :, 0], keypoints[:, :, wrist])
        place = fill_gaps(place, seen | raised) * mask[..., None]
        from_face = (place - face) * moving[..., None]
        tips = (shape[:, :, _TIPS] + (place - face)[:, :, None]) * shown[..., None, None]
        parts += [
            hand_features(shape, shown),
            torch.stack([shown, moving], dim=-1).to(place.dtype),
            place,
            from_face,
            (place - place.sum(dim=1, keepdim=True) / num_frames) * mask[..., None],
            3 * _movement(place, mask),
            tips.flatten(-2),
            tips.norm(dim=-1),
            3 * _movement(tips.flatten(-2), mask),
        ]
        places.append((place, moving))
        fingers.append((tips, shown[..., None, None]))
    both = (places[0][1] & places[1][1])[..., None]
    apart = (places[0][0] - places[1][0]) * both
    between_tips = (fingers[0][0] - fingers[1][0]) * (fingers[0][1] & fingers[1][1])
    return torch.cat([*parts, apart, both.to(apart.dtype), pair_features(apart, between_tips, mask)], dim=-1)


def place_features(
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    mask: Bool[torch.Tensor, "batch frames"],
) -> Float[torch.Tensor, "batch frames features"]:
    """Where the points of every frame of one sign are, and how they move: body, and each hand in a box of its own.

    The boxes are SPOTER's (https://doi.org/10.1109/WACVW54805.2022.00024, section 3.2).

    Args:
        keypoints: `BODY_POINTS`, right hand, left hand, in shoulder widths from between the shoulders.
        confidence: 0 where a point is not seen.
        mask: Frames that are no padding.
    """
    body = len(BODY_POINTS)
    parts = [(keypoints[:, :, :body] / 2).flatten(2)]
    for side in HANDS:
        hand, seen = keypoints[:, :, side], confidence[:, :, side] > 0
        place = fill_gaps(hand[:, :, 0], seen.any(dim=2)) * mask[..., None]
        parts += [in_own_box(hand, seen).flatten(2), place]
    places = torch.cat(parts, dim=-1)
    return torch.cat([places, 2 * _movement(places, mask)], dim=-1)


def in_own_box(
    hand: Float[torch.Tensor, "batch frames 21 2"], seen: Bool[torch.Tensor, "batch frames 21"]
) -> Float[torch.Tensor, "batch frames 21 2"]:
    """A hand from the middle of the box around it, whose longer side is 1; zeros where it is not seen."""
    seen = seen[..., None]
    low = torch.where(seen, hand, torch.inf).amin(dim=2, keepdim=True)
    high = torch.where(seen, hand, -torch.inf).amax(dim=2, keepdim=True)
    size = (high - low).amax(dim=-1, keepdim=True).clamp(min=_EPSILON)
    return torch.where(seen, (hand - (low + high) / 2) / size, 0)


def pair_features(
    apart: Float[torch.Tensor, "batch frames 2"],
    between_tips: Float[torch.Tensor, "batch frames fingers 2"],
    mask: Bool[torch.Tensor, "batch frames"],
) -> Float[torch.Tensor, "batch frames features"]:
    """How two hands are to each other, and whether they close or part: what large, small and get differ in.

    Args:
        apart: From the wrist of one hand to the other's, zeros where either is not there.
        between_tips: From each fingertip of one hand to the other's, likewise.
        mask: Frames that are no padding.
    """
    distance = apart.norm(dim=-1, keepdim=True)
    mean = distance.sum(dim=1, keepdim=True) / mask.sum(dim=1)[:, None, None]
    vector = torch.cat([apart, distance], dim=-1)
    return torch.cat(
        [
            distance,
            (distance - mean) * mask[..., None],
            apart / (distance + 0.05),
            3 * _movement(vector, mask),
            _movement(vector, mask, reach=3),
            between_tips.flatten(-2),
            between_tips.norm(dim=-1),
        ],
        dim=-1,
    )


def _movement(
    values: Float[torch.Tensor, "batch frames features"], mask: Bool[torch.Tensor, "batch frames"], reach: int = 1
) -> Float[torch.Tensor, "batch frames features"]:
    """From `reach` frames before to as many after; none at both ends."""
    movement = torch.zeros_like(values)
    if values.shape[1] > 2 * reach:
        moved = values[:, 2 * reach :] - values[:, : -2 * reach]
        movement[:, reach:-reach] = moved * mask[:, 2 * reach :, None]
    return movement


_FEATURES = {
    "pose": lambda keypoints, confidence, mask: pose_features(keypoints, confidence),
    "word": word_features,
    "place": place_features,
}


def stream_features(
    stream: str,
    keypoints: Float[torch.Tensor, "batch frames points 2"],
    confidence: Float[torch.Tensor, "batch frames points"],
    attention_mask: Int[torch.Tensor, "batch frames"] | None,
) -> tuple[Float[torch.Tensor, "batch frames features"], Bool[torch.Tensor, "batch frames"]]:
    """What a stream sees of clips, in single precision whatever theirs, and which frames are no padding."""
    if attention_mask is None:
        attention_mask = torch.ones(keypoints.shape[:2], dtype=torch.long, device=keypoints.device)
    mask = attention_mask.bool()
    keypoints = torch.where(mask[..., None, None], keypoints.float(), 0)
    confidence = torch.where(mask[..., None], confidence.float(), 0)
    return _FEATURES[stream](keypoints, confidence, mask), mask


@cache
def _num_features(stream: str) -> int:
    nothing = torch.zeros(1, 3, NUM_POINTS, 2), torch.zeros(1, 3, NUM_POINTS), torch.ones(1, 3, dtype=torch.bool)
    return _FEATURES[stream](*nothing).shape[-1]


class SignRecognizerLayer(nn.Module):
    """Attention over the clip, convolution over neighbouring frames, feed-forward; each normalised first and added."""

    def __init__(self, config: SignRecognizerConfig):
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.attention_norm = nn.LayerNorm(config.hidden_size)
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.attention_output = nn.Linear(config.hidden_size, config.hidden_size)
        self.conv_norm = nn.LayerNorm(config.hidden_size)
        self.conv_gate = nn.Linear(config.hidden_size, 2 * config.hidden_size)
        self.conv = nn.Conv1d(
            config.hidden_size,
            config.hidden_size,
            config.conv_kernel_size,
            padding=config.conv_kernel_size // 2,
            groups=config.hidden_size,
        )
        self.conv_output = nn.Linear(config.hidden_size, config.hidden_size)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size)
        self.feed_forward = nn.Sequential(
            nn.Linear(config.hidden_size, config.intermediate_size),
            nn.GELU(),
            nn.Linear(config.intermediate_size, config.hidden_size),
        )
        self.dropout = nn.Dropout(config.hidden_dropout)

    def forward(
        self,
        hidden_states: Float[torch.Tensor, "batch frames hidden"],
        attention_mask: Bool[torch.Tensor, "batch frames"],
    ) -> Float[torch.Tensor, "batch frames hidden"]:
        batch, frames, _ = hidden_states.shape
        projected = self.query_key_value(self.attention_norm(hidden_states))
        query, key, value = projected.view(batch, frames, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask[:, None, None])
        attended = self.attention_output(attended.transpose(1, 2).flatten(-2))
        hidden_states = hidden_states + self.dropout(attended)

        gated = F.glu(self.conv_gate(self.conv_norm(hidden_states)), dim=-1) * attention_mask[..., None]
        convolved = F.silu(self.conv(gated.transpose(1, 2)).transpose(1, 2))
        hidden_states = hidden_states + self.dropout(self.conv_output(convolved))
        return hidden_states + self.dropout(self.feed_forward(self.feed_forward_norm(hidden_states)))


class SignRecognizerPreTrainedModel(PreTrainedModel):
    """The encoder of every sign recognizer; `SignRecognizerProcessor` prepares what it reads."""

    config_class = SignRecognizerConfig
    base_model_prefix = "sign_recognizer"
    main_input_name = "keypoints"

    def __init__(self, config: SignRecognizerConfig, stream: str = "pose"):
        super().__init__(config)
        self.stream = stream
        self.feature_dropout = nn.Dropout(config.feature_dropout)
        self.feature_conv = nn.Conv1d(
            _num_features(stream), config.hidden_size, config.conv_stride, stride=config.conv_stride
        )
        self.layers = nn.ModuleList(SignRecognizerLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size)

    def encode(
        self,
        keypoints: Float[torch.Tensor, "batch frames points 2"],
        confidence: Float[torch.Tensor, "batch frames points"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None,
    ) -> tuple[Float[torch.Tensor, "batch steps hidden"], Bool[torch.Tensor, "batch steps"]]:
        """Hidden states, one step for `config.conv_stride` frames, and which of them are no padding."""
        features, mask = stream_features(self.stream, keypoints, confidence, attention_mask)
        features = self.feature_dropout(features.to(self.dtype))
        # Frames are taken together by `conv_stride`; a clip's last ones may pair with padding, which is zeros.
        surplus = -features.shape[1] % self.config.conv_stride
        features, mask = F.pad(features, (0, 0, 0, surplus)), F.pad(mask, (0, surplus))[:, :: self.config.conv_stride]
        hidden_states = self.feature_conv(features.transpose(1, 2)).transpose(1, 2)
        for layer in self.layers:
            hidden_states = layer(hidden_states, mask)
        return self.norm(hidden_states), mask


def pool(
    hidden_states: Float[torch.Tensor, "batch steps hidden"], mask: Bool[torch.Tensor, "batch steps"]
) -> Float[torch.Tensor, "batch hidden"]:
    """The mean over the steps that are no padding, in single precision."""
    return (hidden_states * (mask[..., None] / mask.sum(dim=1)[:, None, None])).sum(dim=1)


class SignRecognizerForCTC(SignRecognizerPreTrainedModel):
    """Reads continuous signing: which glosses, and when. With `config.isolated` also clips of one sign (`classify`)."""

    def __init__(self, config: SignRecognizerConfig):
        super().__init__(config)
        self.classifier = nn.Linear(config.hidden_size, len(config.glosses))
        if config.isolated:
            self.isolated_classifier = nn.Linear(config.hidden_size, len(config.glosses))
        self.post_init()

    def forward(
        self,
        keypoints: Float[torch.Tensor, "batch frames points 2"],
        confidence: Float[torch.Tensor, "batch frames points"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None = None,
        labels: Int[torch.Tensor, "batch glosses"] | None = None,
        frame_labels: Int[torch.Tensor, "batch steps"] | None = None,
    ) -> SignRecognizerOutput:
        """Scores every label at every step.

        Args:
            keypoints: See `pose_features`.
            confidence: 0 where a point is not seen.
            attention_mask: 1 for frames of the clip, 0 for padding.
            labels: Gloss ids in order, padded with `config.pad_token_id` or -100. The loss is CTC's a label, plus
                the weighted frame loss.
            frame_labels: The label of each step, -100 where it is open.
        """
        hidden_states, mask = self.encode(keypoints, confidence, attention_mask)
        logits = self.classifier(hidden_states).float()
        loss = None if labels is None else self._loss(logits, mask, labels, frame_labels)
        return SignRecognizerOutput(loss=loss, logits=logits, last_hidden_state=hidden_states)

    def classify(
        self,
        keypoints: Float[torch.Tensor, "batch frames points 2"],
        confidence: Float[torch.Tensor, "batch frames points"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None = None,
    ) -> Float[torch.Tensor, "batch labels"]:
        """Logits of every label for clips of one sign each; the blank is none. See `forward` for what is given."""
        pooled = pool(*self.encode(keypoints, confidence, attention_mask))
        return self.isolated_classifier(pooled.to(self.dtype)).float()

    def _loss(
        self,
        logits: Float[torch.Tensor, "batch steps labels"],
        mask: Bool[torch.Tensor, "batch steps"],
        labels: Int[torch.Tensor, "batch glosses"],
        frame_labels: Int[torch.Tensor, "batch steps"] | None,
    ) -> Float[torch.Tensor, ""]:
        log_probs = logits.log_softmax(dim=-1)
        given = (labels != self.config.pad_token_id) & (labels >= 0)
        loss = F.ctc_loss(
            log_probs.transpose(0, 1),
            torch.where(given, labels, self.config.pad_token_id),
            mask.sum(dim=1),
            given.sum(dim=1),
            blank=self.config.pad_token_id,
        )
        if frame_labels is None:
            return loss
        frame_loss = F.nll_loss(log_probs.flatten(0, 1), frame_labels.flatten(), ignore_index=-100)
        return loss + self.config.frame_loss_weight * frame_loss


class SignRecognizerStream(SignRecognizerPreTrainedModel):
    """Scores every label for a clip of one sign by one kind of features."""

    def __init__(self, config: SignRecognizerConfig, stream: str):
        super().__init__(config, stream)
        self.classifier_dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, len(config.glosses))
        self.post_init()

    def forward(
        self,
        keypoints: Float[torch.Tensor, "batch frames points 2"],
        confidence: Float[torch.Tensor, "batch frames points"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None = None,
    ) -> Float[torch.Tensor, "batch labels"]:
        """Logits; see `pose_features` for what is given."""
        pooled = self.classifier_dropout(pool(*self.encode(keypoints, confidence, attention_mask)))
        return self.classifier(pooled.to(self.dtype)).float()


class SignRecognizerConvBlock(nn.Module):
    """Two convolutions over time on a residual path, with batch norms (https://arxiv.org/abs/1512.03385, figure 2)."""

    kernel_size = 5

    def __init__(self, before: int, after: int, stride: int, dropout: float):
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv1d(before, after, self.kernel_size, stride, self.kernel_size // 2),
            nn.BatchNorm1d(after),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv1d(after, after, self.kernel_size, padding=self.kernel_size // 2),
            nn.BatchNorm1d(after),
        )
        self.shortcut = nn.Conv1d(before, after, 1, stride)

    def forward(
        self, hidden_states: Float[torch.Tensor, "batch before frames"], mask: Bool[torch.Tensor, "batch steps"]
    ) -> Float[torch.Tensor, "batch after steps"]:
        """Takes frames of which padding is zeros; `mask` says which steps of the result are none."""
        first, second = self.path[:4], self.path[4:]
        return F.relu(second(first(hidden_states) * mask[:, None]) + self.shortcut(hidden_states)) * mask[:, None]


class SignRecognizerConvStream(PreTrainedModel):
    """Scores every label for a clip of one sign by convolutions over time alone.

    Features have many scales, which the first batch norm evens out. All norms are to be settled once the weights are
    averaged (`recognizer.word_training.settle_norms`).
    """

    config_class = SignRecognizerConfig
    base_model_prefix = "sign_recognizer"
    main_input_name = "keypoints"

    def __init__(self, config: SignRecognizerConfig, stream: str):
        super().__init__(config)
        self.stream = stream
        num_features, width = _num_features(stream), config.block_channels[0]
        self.feature_norm = nn.BatchNorm1d(num_features)
        self.feature_conv = nn.Conv1d(num_features, width, 1)
        self.norm = nn.BatchNorm1d(width)
        pairs = pairwise((width, *config.block_channels))
        self.blocks = nn.ModuleList(
            SignRecognizerConvBlock(before, after, stride, config.hidden_dropout)
            for (before, after), stride in zip(pairs, config.block_strides, strict=True)
        )
        self.classifier_dropout = nn.Dropout(config.block_classifier_dropout)
        self.classifier = nn.Linear(config.block_channels[-1], len(config.glosses))
        self.post_init()

    def forward(
        self,
        keypoints: Float[torch.Tensor, "batch frames points 2"],
        confidence: Float[torch.Tensor, "batch frames points"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None = None,
    ) -> Float[torch.Tensor, "batch labels"]:
        """Logits; see `pose_features` for what is given."""
        features, mask = stream_features(self.stream, keypoints, confidence, attention_mask)
        features = features.transpose(1, 2).to(self.dtype)
        hidden_states = F.relu(self.norm(self.feature_conv(self.feature_norm(features)))) * mask[:, None]
        for block, stride in zip(self.blocks, self.config.block_strides, strict=True):
            mask = mask[:, ::stride]
            hidden_states = block(hidden_states, mask)
        pooled = self.classifier_dropout(pool(hidden_states.transpose(1, 2), mask))
        return self.classifier(pooled.to(self.dtype)).float()


class SignRecognizerForSequenceClassification(PreTrainedModel):
    """Reads a clip of one sign: which gloss it is. Label 0 is none of them."""

    config_class = SignRecognizerConfig
    base_model_prefix = "sign_recognizer"
    main_input_name = "keypoints"

    def __init__(self, config: SignRecognizerConfig):
        super().__init__(config)
        self.streams = nn.ModuleList(
            (SignRecognizerConvStream if stream == "word" else SignRecognizerStream)(config, stream)
            for stream in config.streams
        )
        self.post_init()

    def forward(
        self,
        keypoints: Float[torch.Tensor, "batch frames points 2"],
        confidence: Float[torch.Tensor, "batch frames points"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None = None,
        labels: Int[torch.Tensor, " batch"] | Float[torch.Tensor, "batch labels"] | None = None,
    ) -> SignRecognizerOutput:
        """Scores every label for every clip: mean log probabilities of the streams and, unless training, of framings.

        Args:
            keypoints: See `pose_features`.
            confidence: 0 where a point is not seen.
            attention_mask: 1 for frames of the clip, 0 for padding. With `config.edges` clips must be of one length,
                as the processor's `num_frames` makes them: other framings are as long as the batch.
            labels: The gloss of each clip, or the share that every gloss has in it.
        """
        edges = () if self.training else self.config.edges
        framings = [(keypoints, confidence)]
        for edge in edges:
            framings.append(framed(keypoints, confidence, torch.full((len(keypoints),), edge, device=keypoints.device)))
        shown, sure = (torch.cat(of) for of in zip(*framings, strict=True))
        mask = None if attention_mask is None else attention_mask.repeat(len(framings), 1)
        scores = [logits for stream in self.streams for logits in stream(shown, sure, mask).chunk(len(framings))]
        loss = None
        if labels is not None:  # each learns by itself
            smoothing = self.config.label_smoothing
            losses = [F.cross_entropy(logits, labels, label_smoothing=smoothing) for logits in scores]
            loss = torch.stack(losses).mean()
        logits = torch.stack([logits.log_softmax(dim=-1) for logits in scores]).mean(dim=0)
        return SignRecognizerOutput(loss=loss, logits=logits)
