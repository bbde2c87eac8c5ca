"""The stream that reads a clip of one sign by its skeleton: ST-GCN, convolutions over the graph, then over time.

After Yan, Xiong and Lin, AAAI 2018 (https://arxiv.org/abs/1801.07455), with its spatial partition, at a size that
trains on one core: four blocks. Inputs are coordinates, bones and movements, as in 2s-AGCN (Shi et al., CVPR 2019,
https://arxiv.org/abs/1805.07694) and MS-AAGCN (https://arxiv.org/abs/1912.06971), and hands in boxes of their own, as
in SPOTER (https://doi.org/10.1109/WACVW54805.2022.00024): without these it hardly sees hands.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import nn
from torch.nn import functional as F
from transformers.modeling_utils import PreTrainedModel

from poses.keypoints import HAND, HAND_BONES
from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.framing import BODY_POINTS, NUM_POINTS, in_boxes

LIMBS = (
    ("nose", "right_shoulder"), ("nose", "left_shoulder"), ("right_shoulder", "left_shoulder"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
)  # fmt: skip
CENTRE = BODY_POINTS.index("nose")
NUM_INPUTS = 9
BLOCKS = ((NUM_INPUTS, 48, 2), (48, 64, 1), (64, 96, 2), (96, 128, 1))
"""Channels before and after each block, and its stride over time."""
DROPOUT = 0.5


def _neighbours() -> Float[torch.Tensor, "points 3 points"]:
    """How much of which point comes to each from itself, from those nearer to the nose, and from those farther."""
    edges = [(BODY_POINTS.index(a), BODY_POINTS.index(b)) for a, b in LIMBS]
    for number, wrist in enumerate(("right_wrist", "left_wrist")):
        first = len(BODY_POINTS) + number * len(HAND)
        edges.append((BODY_POINTS.index(wrist), first))
        edges += [(first + HAND.index(a), first + HAND.index(b)) for a, b in HAND_BONES]
    linked = torch.eye(NUM_POINTS)
    for a, b in edges:
        linked[a, b] = linked[b, a] = 1
    hops = torch.full((NUM_POINTS,), float(NUM_POINTS))
    reached = torch.zeros(NUM_POINTS)
    reached[CENTRE] = 1
    for distance in range(NUM_POINTS):
        hops = torch.where(reached > 0, hops.clamp(max=distance), hops)
        reached = (linked @ reached > 0).float()
    farther = (hops - hops[:, None]).sign()  # whether a point, in columns, is farther than the one it comes to
    normalised = linked / linked.sum(dim=1, keepdim=True)
    return torch.stack([normalised * (farther == side) for side in (0, -1, 1)], dim=1)


_NEIGHBOURS = _neighbours()
_PARENTS = _NEIGHBOURS[:, 1].argmax(dim=1).tolist()
_PARENTS[CENTRE] = CENTRE


class GraphStream(PreTrainedModel):
    """Scores every label for a clip of one sign by the graph of its points."""

    config_class = SignRecognizerConfig
    base_model_prefix = "sign_recognizer"
    main_input_name = "keypoints"

    def __init__(self, config: SignRecognizerConfig):
        super().__init__(config)
        self.norm = nn.BatchNorm1d(NUM_POINTS * NUM_INPUTS)
        self.blocks = nn.ModuleList(_GraphBlock(*block) for block in BLOCKS)
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(BLOCKS[-1][1], len(config.glosses))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()  # as PyTorch begins, where transformers has one deviation for all

    def forward(
        self,
        keypoints: Float[torch.Tensor, "batch frames points 2"],
        confidence: Float[torch.Tensor, "batch frames points"],
        attention_mask: Int[torch.Tensor, "batch frames"] | None = None,
    ) -> Float[torch.Tensor, "batch labels"]:
        """Logits; see `recognizer.modeling_sign_recognizer.pose_features` for what is given."""
        if attention_mask is None:
            attention_mask = torch.ones(keypoints.shape[:2], dtype=torch.long, device=keypoints.device)
        mask = attention_mask.bool()
        confidence = torch.where(mask[..., None], confidence, 0)
        inputs = self.inputs(keypoints, confidence)
        values = self.norm(inputs.flatten(0, 1).flatten(1)).view_as(inputs)
        values = values.permute(0, 3, 1, 2)  # channels first in name and last in memory, which is quickest
        for block in self.blocks:
            values, mask = block(values, mask)
        pooled = (values.mean(dim=3) * mask[:, None]).sum(dim=2) / mask.sum(dim=1, keepdim=True)
        return self.classifier(self.dropout(pooled))

    def inputs(
        self,
        keypoints: Float[torch.Tensor, "batch frames points 2"],
        confidence: Float[torch.Tensor, "batch frames points"],
    ) -> Float[torch.Tensor, "batch frames points 9"]:
        """Places, places in boxes, from the parent, since the frame before, confidence; 0 where an end is not seen."""
        seen = confidence[..., None] > 0
        keypoints = torch.where(seen, keypoints, 0)
        bones = (keypoints - keypoints[:, :, _PARENTS]) * (seen & seen[:, :, _PARENTS])
        moved = (keypoints[:, 1:] - keypoints[:, :-1]) * (seen[:, 1:] & seen[:, :-1])
        moved = F.pad(moved, (0, 0, 0, 0, 1, 0))
        return torch.cat([keypoints, in_boxes(keypoints, confidence), bones, moved, confidence[..., None]], dim=-1)


class _GraphBlock(nn.Module):
    """Points take from their neighbours, frames from those around them, and what was before is added."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.stride = stride
        self.importance = nn.Parameter(torch.ones(NUM_POINTS, 3, NUM_POINTS))
        self.spatial = nn.Conv2d(3 * before, after, 1)
        self.spatial_norm = nn.BatchNorm2d(after)
        self.temporal = nn.Conv2d(after, after, (9, 1), (stride, 1), (4, 0))
        self.temporal_norm = nn.BatchNorm2d(after)
        self.residual = nn.Conv2d(before, after, 1, (stride, 1))
        self.residual_norm = nn.BatchNorm2d(after)

    def forward(
        self, values: Float[torch.Tensor, "batch before frames points"], mask: Bool[torch.Tensor, "batch frames"]
    ) -> tuple[Float[torch.Tensor, "batch after steps points"], Bool[torch.Tensor, "batch steps"]]:
        batch, _, frames, points = values.shape
        weights = (_NEIGHBOURS.to(self.importance.device) * self.importance).flatten(0, 1)
        rows = values.permute(0, 2, 3, 1).flatten(0, 1)
        mixed = torch.einsum("op,fpc->foc", weights, rows)  # each point's three parts beside each other
        mixed = mixed.reshape(batch, frames, points, -1).permute(0, 3, 1, 2)
        shaped = F.relu(self.spatial_norm(self.spatial(mixed))) * mask[:, None, :, None]
        moved = self.temporal_norm(self.temporal(shaped))
        return F.relu(moved + self.residual_norm(self.residual(values))), mask[:, :: self.stride]
