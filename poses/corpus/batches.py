"""Batches for training from a store: what of which clip, clips of like length together, padded.

A `StoreDataset` is what `torch.utils.data.DataLoader` takes for a dataset, and torch is imported only to make tensors:

    spans = caption_spans(store, languages={"en"}, provenances={"human"})
    batches = bucketed_batches([len(span) for span in spans], max_frames=4096, seed=epoch)
    loader = DataLoader(StoreDataset(store, spans), batch_sampler=batches, collate_fn=pad_batch, num_workers=2)

What needs no captions learns from `usable_spans(store)` instead.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poses.captions import Provenance, frame_span, tidied
from poses.corpus.store import ClipStore
from poses.sequence import PoseSequence

if TYPE_CHECKING:
    import torch

BUCKET_RATIO = 1.1
"""Clips come into one batch where the longest is at most so many times as long as the shortest."""


@dataclass(frozen=True)
class Span:
    """Frames of a clip, and what is said in them, where that is known."""

    clip: int
    start: int
    stop: int
    text: str = ""

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Example:
    """What a span of a store holds."""

    poses: PoseSequence
    video_id: str
    text: str


def usable_spans(store: ClipStore, *, min_frames: int = 24) -> list[Span]:
    """Stretches in which one signer, with hands, signs alone.

    Args:
        store: The clips.
        min_frames: Shorter ones are left out.
    """
    return [
        Span(number, start, stop)
        for number, clip in enumerate(store)
        for start, stop in clip.signer().runs()
        if stop - start >= min_frames
    ]


def caption_spans(
    store: ClipStore, *, languages: Collection[str], provenances: Collection[Provenance], min_frames: int = 8
) -> list[Span]:
    """What is shown with each caption, repeats and overlaps taken out.

    Args:
        store: The clips.
        languages: Of the captions, as their files name them: `en`.
        provenances: Who may have written them. Automatic ones of a signed video are an interpreter, or noise.
        min_frames: Shorter ones are left out.
    """
    spans = []
    for number, clip in enumerate(store):
        num_frames = len(clip.keypoints)
        for track in clip.captions:
            if track.language in languages and track.provenance in provenances:
                for caption in tidied(track).captions:
                    start, stop = frame_span(caption, fps=clip.fps)
                    spans.append(Span(number, start, min(stop, num_frames), caption.text))
    return [span for span in spans if span.stop - span.start >= min_frames]


class StoreDataset(Sequence[Example]):
    """Spans of a store, read when they are asked for; it travels to other processes as the store's folder."""

    def __init__(self, store: ClipStore, spans: Sequence[Span]):
        self.store = store
        self.spans = spans

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, number: int) -> Example:  # pyrefly: ignore[bad-override] - slices are not needed
        span = self.spans[number]
        clip = self.store[span.clip]
        return Example(clip.poses(span.start, span.stop), clip.video_id, span.text)


def bucketed_batches(lengths: Sequence[int], *, max_frames: int, seed: int = 0) -> list[list[int]]:
    """Puts examples of like length together, in random batches in random order; each comes once.

    Args:
        lengths: Frames of each example.
        max_frames: Frames of a batch, padding included.
        seed: Decides the order; another one for each epoch.

    Raises:
        ValueError: An example has no frames, or more than a batch may have.
    """
    counts = np.asarray(lengths, np.int64)
    if len(counts) and not 0 < counts.min() <= counts.max() <= max_frames:
        raise ValueError(f"`lengths` must be 1 to {max_frames} frames, got {counts.min()} to {counts.max()}.")
    random = np.random.default_rng(seed)
    buckets = np.floor(np.log(np.maximum(counts, 1)) / np.log(BUCKET_RATIO))
    batches: list[list[int]] = []
    longest, bucket = 0, -1.0
    for number in np.lexsort((random.random(len(counts)), buckets)).tolist():
        longest = max(longest, lengths[number])
        if buckets[number] != bucket or (len(batches[-1]) + 1) * longest > max_frames:
            batches.append([])
            longest, bucket = lengths[number], buckets[number]
        batches[-1].append(number)
    return [batches[at] for at in random.permutation(len(batches)).tolist()]


def pad_batch(examples: Sequence[Example]) -> "dict[str, torch.Tensor | list[Any]]":
    """Makes tensors of examples, zeros behind the shorter ones.

    Returns:
        `keypoints` [batch, frames, 128, 2] and `confidence` [batch, frames, 128], float32; `attention_mask` [batch,
        frames], true where there are frames; lists `video_id`, `language` and `text`.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    lengths = torch.tensor([len(example.poses) for example in examples])
    return {
        "keypoints": pad_sequence([torch.from_numpy(each.poses.keypoints) for each in examples], batch_first=True),
        "confidence": pad_sequence([torch.from_numpy(each.poses.confidence) for each in examples], batch_first=True),
        "attention_mask": torch.arange(int(lengths.max())) < lengths[:, None],
        "video_id": [example.video_id for example in examples],
        "language": [example.poses.language for example in examples],
        "text": [example.text for example in examples],
    }
