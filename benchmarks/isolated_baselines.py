"""Two published ways to classify clips of one sign, written small, to compare the recognizer of words with.

After SPOTER (Boháček and Hrúz, WACV 2022 workshops, https://doi.org/10.1109/WACVW54805.2022.00024) and ST-GCN (Yan,
Xiong and Lin, AAAI 2018, https://arxiv.org/abs/1801.07455). Both have their published layout at a size that
trains on one core: SPOTER its width and heads, three layers each, a feed-forward part of 432; ST-GCN is one stream of
the recognizer of words (`GraphStream`) by itself.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from recognizer.configuration_sign_recognizer import SignRecognizerConfig
from recognizer.framing import NUM_POINTS, in_boxes
from recognizer.modeling_sign_recognizer import SignRecognizerForSequenceClassification, SignRecognizerOutput
from recognizer.word_clips import NormalizedClips


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
        frames = self.embed(in_boxes(keypoints, confidence).flatten(2)) + self.positions
        query = self.query.expand(len(frames), -1, -1)
        logits = self.classifier(self.decoder(query, self.encoder(frames))[:, 0])
        loss = None if labels is None else F.cross_entropy(logits.float(), labels)
        return SignRecognizerOutput(loss=loss, logits=logits)


def st_gcn(glosses: Sequence[str]) -> SignRecognizerForSequenceClassification:
    """The graph by itself, as a clip is and with labels as they are."""
    labels = dict(enumerate(glosses))
    network = SignRecognizerConfig(streams=("graph",), label_smoothing=0.0, id2label=labels)
    return SignRecognizerForSequenceClassification(network)
