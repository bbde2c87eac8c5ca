"""Two published ways to classify clips of one sign, written small, to compare the recognizer of words with.

After SPOTER (Boháček and Hrúz, WACV 2022 workshops, https://doi.org/10.1109/WACVW54805.2022.00024) and ST-GCN (Yan,
Xiong and Lin, AAAI 2018, https://arxiv.org/abs/1801.07455). Both have their published layout at a size that
trains on one core: SPOTER its width and heads, three layers each, a feed-forward part of 432; ST-GCN four blocks, and
the inputs of its successors, without which it hardly sees hands.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as F

from poses.keypoints import HAND, HAND_BONES
from recognizer.framing import BODY_POINTS, HANDS, NUM_POINTS
from recognizer.modeling_sign_recognizer import SignRecognizerOutput, in_own_box
from recognizer.word_clips import NormalizedClips

LIMBS = (
    ("nose", "right_shoulder"), ("nose", "left_shoulder"), ("right_shoulder", "left_shoulder"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
)  # fmt: skip
CENTRE = BODY_POINTS.index("nose")
NUM_INPUTS = 9
DROPOUT = 0.5


def plain_batches(clips: NormalizedClips, *, batch_size: int, seed: int) -> Iterator[dict[str, torch.Tensor]]:
    """Endless batches with the augmentation of these methods: turned by up to 13 degrees, squeezed, moved, jittered."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        chosen = torch.randint(len(clips.labels), (batch_size,), generator=generator)
        keypoints, confidence = clips.keypoints[chosen], clips.confidence[chosen]
        angle = 0.23 * (2 * torch.rand(batch_size, generator=generator) - 1)
        size = 1 + 0.15 * (2 * torch.rand(batch_size, 2, generator=generator) - 1)
        turn = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], dim=-1).view(-1, 1, 2, 2)
        keypoints = (keypoints @ turn) * size[:, None, None]
        keypoints = keypoints + 0.05 * torch.randn(batch_size, 1, 1, 2, generator=generator)
        keypoints = keypoints + 0.005 * torch.randn(keypoints.shape, generator=generator)
        keypoints = torch.where(confidence[..., None] > 0, keypoints, 0)
        yield {"keypoints": keypoints, "confidence": confidence, "labels": clips.labels[chosen]}


def _output(logits: torch.Tensor, labels: torch.Tensor | None) -> SignRecognizerOutput:
    loss = None if labels is None else F.cross_entropy(logits.float(), labels)
    return SignRecognizerOutput(loss=loss, logits=logits)


def _in_boxes(keypoints: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    """Body, and each hand in a box of its own."""
    parts = [keypoints[:, :, : len(BODY_POINTS)] / 2]
    parts += [in_own_box(keypoints[:, :, hand], confidence[:, :, hand] > 0) for hand in HANDS]
    return torch.cat(parts, dim=2)


class Spoter(nn.Module):
    """A transformer over frames, each the coordinates of all points; one learned query asks for the gloss.

    Body and hands are normalised each by a box of their own, as SPOTER does.
    """

    def __init__(self, num_labels: int, num_frames: int):
        super().__init__()
        width = 108
        self.embed = nn.Linear(2 * NUM_POINTS, width)
        self.positions = nn.Parameter(0.02 * torch.randn(num_frames, width))
        self.query = nn.Parameter(torch.rand(1, 1, width))
        options = {"d_model": width, "nhead": 9, "dim_feedforward": 4 * width, "batch_first": True}
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**options), num_layers=3)
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**options), num_layers=3)
        self.classifier = nn.Linear(width, num_labels)

    def forward(
        self, keypoints: torch.Tensor, confidence: torch.Tensor, labels: torch.Tensor | None = None
    ) -> SignRecognizerOutput:
        frames = self.embed(_in_boxes(keypoints, confidence).flatten(2)) + self.positions
        query = self.query.expand(len(frames), -1, -1)
        return _output(self.classifier(self.decoder(query, self.encoder(frames))[:, 0]), labels)


class StGcn(nn.Module):
    """Convolutions over the skeleton's graph, then over time, with the spatial partition of ST-GCN.

    Its inputs are coordinates, bones and movements, as in 2s-AGCN (Shi et al., CVPR 2019,
    https://arxiv.org/abs/1805.07694) and MS-AAGCN (https://arxiv.org/abs/1912.06971), and coordinates of hands in boxes
    of their own, as in SPOTER.
    """

    def __init__(self, num_labels: int):
        super().__init__()
        adjacency = _partitioned_adjacency()
        self.register_buffer("adjacency", adjacency)
        self.register_buffer("parents", adjacency[1].argmax(dim=0))  # of the nose, itself
        widths = [(NUM_INPUTS, 48, 2), (48, 64, 1), (64, 96, 2), (96, 128, 1)]
        self.norm = nn.BatchNorm1d(NUM_INPUTS * NUM_POINTS)
        self.blocks = nn.ModuleList(_StGcnBlock(before, after, stride) for before, after, stride in widths)
        self.dropout = nn.Dropout(DROPOUT)
        self.classifier = nn.Linear(widths[-1][1], num_labels)

    def forward(
        self, keypoints: torch.Tensor, confidence: torch.Tensor, labels: torch.Tensor | None = None
    ) -> SignRecognizerOutput:
        values = self.inputs(keypoints, confidence)  # [batch, frames, points, inputs]
        values = self.norm(values.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, (NUM_POINTS, NUM_INPUTS))
        values = values.permute(0, 3, 1, 2).contiguous()  # [batch, channels, frames, points]
        for block in self.blocks:
            values = block(values, self.adjacency)
        return _output(self.classifier(self.dropout(values.mean(dim=(2, 3)))), labels)

    def inputs(self, keypoints: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
        """Places, places in boxes, from the parent, since the frame before, confidence; 0 where an end is not seen."""
        seen = confidence[..., None] > 0
        bones = (keypoints - keypoints[:, :, self.parents]) * (seen & seen[:, :, self.parents])
        moved = (keypoints[:, 1:] - keypoints[:, :-1]) * (seen[:, 1:] & seen[:, :-1])
        moved = F.pad(moved, (0, 0, 0, 0, 1, 0))
        return torch.cat(
            [keypoints * seen, _in_boxes(keypoints, confidence), bones, moved, confidence[..., None]], dim=-1
        )


class _StGcnBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.importance = nn.Parameter(torch.ones(3, NUM_POINTS, NUM_POINTS))
        self.spatial = nn.Conv2d(3 * before, after, 1)
        self.temporal = nn.Sequential(
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, (9, 1), (stride, 1), (4, 0)),
            nn.BatchNorm2d(after),
        )
        self.residual = nn.Sequential(nn.Conv2d(before, after, 1, (stride, 1)), nn.BatchNorm2d(after))

    def forward(self, values: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        rows = values.reshape(-1, NUM_POINTS)
        weights = (adjacency * self.importance).to(values.dtype)
        mixed = torch.cat([(rows @ part).view_as(values) for part in weights], dim=1)
        return F.relu(self.temporal(self.spatial(mixed)) + self.residual(values))


def _partitioned_adjacency() -> torch.Tensor:
    """Neighbours of each point: itself, those nearer to the nose, those farther; columns sum to 1."""
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
    normalised = linked / linked.sum(dim=0)
    difference = (hops[:, None] - hops[None]).sign()
    return torch.stack([normalised * (difference == side) for side in (0, -1, 1)])
