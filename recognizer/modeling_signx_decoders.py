"""Three ways from encoded frames to glosses behind one interface: `forward` gives losses, `generate` gives glosses.

Shared: frames come as `encoder_hidden_states` with a mask that is False where a clip was padded; labels are gloss
numbers padded with -100.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import nn
from torch.nn import functional as F

from poses.bounds import check_at_least
from recognizer.beam_search import CTCPrefixScorer, GlossSequences, beam_search, ctc_beam_search


def sinusoidal_positions(
    positions: Float[torch.Tensor, "*places"] | Int[torch.Tensor, "*places"], size: int
) -> Float[torch.Tensor, "*places size"]:
    """The positions of https://arxiv.org/abs/1706.03762, sines first, then cosines."""
    rates = torch.exp(torch.arange(size // 2, device=positions.device) * (-math.log(10_000) / (size // 2)))
    angles = positions[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def run_encoder(
    hidden_states: Float[torch.Tensor, "batch frames hidden"],
    mask: Bool[torch.Tensor, "batch frames"],
    layers: nn.ModuleList,
    norm: nn.Module,
) -> Float[torch.Tensor, "batch frames hidden"]:
    """Adds positions and goes through the layers of an encoder."""
    _, frames, size = hidden_states.shape
    hidden_states = hidden_states + sinusoidal_positions(torch.arange(frames, device=mask.device), size)
    for layer in layers:
        hidden_states = layer(hidden_states, mask[:, None])
    return norm(hidden_states)


def frame_mask(
    features: Float[torch.Tensor, "batch frames features"], attention_mask: Int[torch.Tensor, "batch frames"] | None
) -> Bool[torch.Tensor, "batch frames"]:
    """True for frames of the clip; all are where there is no `attention_mask`.

    Raises:
        ValueError: A clip has no frame.
    """
    if attention_mask is None:
        return torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
    if (attention_mask.sum(dim=1) == 0).any():
        raise ValueError("`attention_mask` must keep at least one frame of every clip, got a clip with none.")
    return attention_mask.bool()


def check_labels(labels: Int[torch.Tensor, "batch glosses"], num_glosses: int, max_glosses: int) -> None:
    """Refuses labels that no network of these sizes can learn.

    Args:
        labels: Gloss numbers in order, padded with -100.
        num_glosses: Of the vocabulary.
        max_glosses: Of the longest sequence.

    Raises:
        ValueError: A clip has no gloss or too many, a number is no gloss, or padding comes ahead of a gloss.
    """
    given = labels >= 0
    number = given.sum(dim=1)
    if int(number.min()) < 1 or int(number.max()) > max_glosses:
        raise ValueError(
            f"`labels` must hold 1 to {max_glosses} glosses a clip, got {int(number.min())} to {int(number.max())}."
        )
    if int(labels.max()) >= num_glosses:
        raise ValueError(f"`labels` must be below {num_glosses}, got {int(labels.max())}.")
    if (given.long().diff(dim=1) > 0).any():
        raise ValueError("`labels` must be padded at the end only.")


class Attention(nn.Module):
    """Multi-head attention that also says where it looked."""

    def __init__(self, hidden_size: int, num_heads: int, dropout: float | int):
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key_value = nn.Linear(hidden_size, 2 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        hidden_states: Float[torch.Tensor, "batch queries hidden"],
        context: Float[torch.Tensor, "batch keys hidden"],
        mask: Bool[torch.Tensor, "batch rows keys"],
    ) -> tuple[Float[torch.Tensor, "batch queries hidden"], Float[torch.Tensor, "batch queries keys"]]:
        """Attends where `mask` is True; the weights are the mean over heads."""
        query = self.query(hidden_states).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        key, value = self.key_value(context).unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        weights = scores.masked_fill(~mask[:, None], -torch.inf).softmax(dim=-1)
        attended = (self.dropout(weights) @ value).transpose(1, 2).flatten(-2)
        return self.output(attended), weights.mean(dim=1)


def _feed_forward(hidden_size: int, intermediate_size: int, dropout: float | int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(hidden_size),
        nn.Linear(hidden_size, intermediate_size),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(intermediate_size, hidden_size),
    )


class EncoderLayer(nn.Module):
    """Self-attention, feed-forward; each normalised first and added."""

    def __init__(self, hidden_size: int, num_heads: int, intermediate_size: int, dropout: float | int):
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.attention = Attention(hidden_size, num_heads, dropout)
        self.feed_forward = _feed_forward(hidden_size, intermediate_size, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, hidden_states: Float[torch.Tensor, "batch frames hidden"], mask: Bool[torch.Tensor, "batch rows keys"]
    ) -> Float[torch.Tensor, "batch frames hidden"]:
        normed = self.norm(hidden_states)
        hidden_states = hidden_states + self.dropout(self.attention(normed, normed, mask)[0])
        return hidden_states + self.dropout(self.feed_forward(hidden_states))


class DecoderLayer(nn.Module):
    """Self-attention, attention to the clip, feed-forward; each normalised first and added."""

    def __init__(self, hidden_size: int, num_heads: int, intermediate_size: int, dropout: float | int):
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.attention = Attention(hidden_size, num_heads, dropout)
        self.cross_norm = nn.LayerNorm(hidden_size)
        self.cross_attention = Attention(hidden_size, num_heads, dropout)
        self.feed_forward = _feed_forward(hidden_size, intermediate_size, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        hidden_states: Float[torch.Tensor, "batch glosses hidden"],
        self_mask: Bool[torch.Tensor, "batch rows glosses"],
        encoder_hidden_states: Float[torch.Tensor, "batch frames hidden"],
        mask: Bool[torch.Tensor, "batch frames"],
    ) -> tuple[Float[torch.Tensor, "batch glosses hidden"], Float[torch.Tensor, "batch glosses frames"]]:
        normed = self.norm(hidden_states)
        hidden_states = hidden_states + self.dropout(self.attention(normed, normed, self_mask)[0])
        attended, weights = self.cross_attention(self.cross_norm(hidden_states), encoder_hidden_states, mask[:, None])
        hidden_states = hidden_states + self.dropout(attended)
        return hidden_states + self.dropout(self.feed_forward(hidden_states)), weights


class GlossTransformer(nn.Module):
    """Scores every gloss at every place of a sequence, from the sequence so far and the clip."""

    def __init__(self, num_tokens: int, num_outputs: int, hidden_size: int, layers: list[DecoderLayer]):
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, hidden_size)
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(hidden_size)
        self.classifier = nn.Linear(hidden_size, num_outputs)

    def forward(
        self,
        tokens: Int[torch.Tensor, "batch glosses"],
        positions: Float[torch.Tensor, "batch glosses"] | Int[torch.Tensor, " glosses"],
        self_mask: Bool[torch.Tensor, "batch rows glosses"],
        encoder_hidden_states: Float[torch.Tensor, "batch frames hidden"],
        mask: Bool[torch.Tensor, "batch frames"],
    ) -> tuple[Float[torch.Tensor, "batch glosses labels"], Float[torch.Tensor, "batch glosses frames"]]:
        """Scores, and where the last layer looked."""
        size = self.embedding.embedding_dim
        hidden_states = self.embedding(tokens) * math.sqrt(size)
        hidden_states = hidden_states + sinusoidal_positions(positions, size)
        weights = hidden_states.new_zeros(*tokens.shape, mask.shape[1])
        for layer in self.layers:
            hidden_states, weights = layer(hidden_states, self_mask, encoder_hidden_states, mask)
        return self.classifier(self.norm(hidden_states)), weights


class DiffusionDecoder(nn.Module):
    """Glosses by reverse diffusion: all are masked at first and are uncovered over some steps.

    Our reading of the paper's "inverse diffusion": absorbing-state discrete diffusion as in MDLM
    (https://arxiv.org/abs/2406.07524) with the linear schedule, conditioned on the clip, and uncovered the surest first
    as in LLaDA (https://arxiv.org/abs/2502.09992). How many glosses there are is read off the clip first.
    """

    def __init__(self, num_glosses: int, max_glosses: int, hidden_size: int, layers: list[DecoderLayer]):
        super().__init__()
        self.mask_token = num_glosses
        self.transformer = GlossTransformer(num_glosses + 1, num_glosses, hidden_size, layers)
        # Beside the mean of the frames, the logarithm of their number.
        self.length_head = nn.Linear(hidden_size + 1, max_glosses)

    def forward(
        self,
        encoder_hidden_states: Float[torch.Tensor, "batch frames hidden"],
        mask: Bool[torch.Tensor, "batch frames"],
        labels: Int[torch.Tensor, "batch glosses"],
    ) -> dict[str, Float[torch.Tensor, ""]]:
        """Gives `text`, the bound on the negative log likelihood of a gloss, and `length`."""
        given = labels >= 0
        # Spread evenly over the batch, so that the loss varies less from step to step.
        masking = (torch.rand(1, device=labels.device) + torch.randperm(len(labels), device=labels.device)) / len(
            labels
        )
        masking = 1 - masking.remainder(1) * 0.999
        masked = given & (torch.rand(labels.shape, device=labels.device) < masking[:, None])
        tokens = torch.where(given & ~masked, labels, self.mask_token)
        logits, _ = self.transformer(tokens, even_pace(given, mask), given[:, None], encoder_hidden_states, mask)
        nll = F.cross_entropy(logits.transpose(1, 2), labels.clamp(min=0), reduction="none")
        length_logits = self._length_logits(encoder_hidden_states, mask)
        return {
            "text": (nll * masked / masking[:, None]).sum() / given.sum(),
            "length": F.cross_entropy(length_logits, given.sum(dim=1) - 1),
        }

    def _length_logits(
        self,
        encoder_hidden_states: Float[torch.Tensor, "batch frames hidden"],
        mask: Bool[torch.Tensor, "batch frames"],
    ) -> Float[torch.Tensor, "batch lengths"]:
        frames = mask.sum(dim=1, keepdim=True).to(encoder_hidden_states.dtype)
        mean = (encoder_hidden_states * mask[..., None]).sum(dim=1) / frames
        return self.length_head(torch.cat([mean, frames.log()], dim=-1))

    @torch.no_grad()
    def generate(
        self,
        encoder_hidden_states: Float[torch.Tensor, "batch frames hidden"],
        mask: Bool[torch.Tensor, "batch frames"],
        *,
        num_inference_steps: int = 8,
        temperature: float | int = 0.0,
        generator: torch.Generator | None = None,
    ) -> GlossSequences:
        """Uncovers glosses; scores are the mean log probability that each had when it was uncovered.

        Args:
            encoder_hidden_states: Encoded frames.
            mask: False where a clip was padded.
            num_inference_steps: Steps from all masked to none; more than there are glosses change nothing.
            temperature: 0 takes the likeliest gloss, more draws from the distribution.
            generator: For drawing.
        """
        check_at_least(1, num_inference_steps=num_inference_steps)
        lengths = self._length_logits(encoder_hidden_states, mask).argmax(dim=-1) + 1
        given = torch.arange(int(lengths.amax()), device=mask.device) < lengths[:, None]
        tokens = torch.full(given.shape, self.mask_token, device=mask.device)
        scores = torch.zeros(given.shape, device=mask.device)
        positions = even_pace(given, mask)
        for step in range(num_inference_steps):
            masked = given & (tokens == self.mask_token)
            remaining = lengths * (num_inference_steps - 1 - step) // num_inference_steps
            uncover = masked.sum(dim=1) - remaining
            if not uncover.any():
                continue
            logits, _ = self.transformer(tokens, positions, given[:, None], encoder_hidden_states, mask)
            log_probs = logits.float().log_softmax(dim=-1)
            guess = _draw(log_probs, temperature, generator)
            confidence = log_probs.gather(-1, guess[..., None])[..., 0]
            order = confidence.masked_fill(~masked, -torch.inf).argsort(dim=1, descending=True).argsort(dim=1)
            chosen = masked & (order < uncover[:, None])
            tokens = torch.where(chosen, guess, tokens)
            scores = torch.where(chosen, confidence, scores)
        return GlossSequences(torch.where(given, tokens, -100), scores.sum(dim=1) / lengths)


def even_pace(
    given: Bool[torch.Tensor, "batch glosses"], mask: Bool[torch.Tensor, "batch frames"]
) -> Float[torch.Tensor, "batch glosses"]:
    """The frame in which each gloss of a clip would be signed if all took as long.

    Places counted so share the frames' positions: where to look is nearly known before anything is learned.
    """
    places = torch.arange(given.shape[1], device=given.device) + 0.5
    return places * (mask.sum(dim=1) / given.sum(dim=1))[:, None]


def _draw(
    log_probs: Float[torch.Tensor, "batch glosses labels"], temperature: float | int, generator: torch.Generator | None
) -> Int[torch.Tensor, "batch glosses"]:
    if temperature == 0:
        return log_probs.argmax(dim=-1)
    uniform = torch.rand(log_probs.shape, generator=generator).to(log_probs.device).clamp(min=1e-9)
    return (log_probs / temperature - (-uniform.log()).log()).argmax(dim=-1)


class AutoregressiveDecoder(nn.Module):
    """Glosses one after the other, with the published losses; CTC beside them where `ctc` is set."""

    def __init__(
        self,
        num_glosses: int,
        max_glosses: int,
        hidden_size: int,
        layers: list[DecoderLayer],
        *,
        label_smoothing: float | int,
        ctc: bool,
    ):
        super().__init__()
        self.end, self.start = num_glosses, num_glosses + 1
        self.max_glosses = max_glosses
        self.label_smoothing = label_smoothing
        self.transformer = GlossTransformer(num_glosses + 2, num_glosses + 1, hidden_size, layers)
        self.ctc_classifier = nn.Linear(hidden_size, num_glosses + 1) if ctc else None

    def forward(
        self,
        encoder_hidden_states: Float[torch.Tensor, "batch frames hidden"],
        mask: Bool[torch.Tensor, "batch frames"],
        labels: Int[torch.Tensor, "batch glosses"],
        teacher_forcing: float | int | Float[torch.Tensor, ""] = 1.0,
    ) -> dict[str, Float[torch.Tensor, ""]]:
        """Gives `text`, `word_match` and, where there is CTC, `ctc`.

        Args:
            encoder_hidden_states: Encoded frames.
            mask: False where a clip was padded.
            labels: Gloss numbers, padded with -100.
            teacher_forcing: Share of true glosses among those that are fed back; the others are the network's own, from
                a first pass that sees the true ones (https://arxiv.org/abs/1906.07651).
        """
        given = labels >= 0
        fed = torch.where(given, labels, self.end)
        if teacher_forcing < 1:
            with torch.no_grad():
                own = self._logits(fed[:, :-1], encoder_hidden_states, mask)[0].argmax(dim=-1)
            fed = torch.where(torch.rand(fed.shape, device=fed.device) < teacher_forcing, fed, own)
        logits, _ = self._logits(fed, encoder_hidden_states, mask)
        targets = F.pad(labels, (0, 1), value=-100)
        targets = targets.scatter(1, given.sum(dim=1, keepdim=True), self.end)
        losses = {
            "text": F.cross_entropy(logits.transpose(1, 2), targets, label_smoothing=self.label_smoothing),
            "word_match": word_match_loss(logits[:, :-1].softmax(dim=-1)[..., : self.end], labels),
        }
        if self.ctc_classifier is not None:
            losses["ctc"] = ctc_loss(self.ctc_classifier(encoder_hidden_states), mask, labels)
        return losses

    def _logits(
        self,
        glosses: Int[torch.Tensor, "batch glosses"],
        encoder_hidden_states: Float[torch.Tensor, "batch frames hidden"],
        mask: Bool[torch.Tensor, "batch frames"],
    ) -> tuple[Float[torch.Tensor, "batch places labels"], Float[torch.Tensor, "batch places frames"]]:
        """Scores what follows the start and each of `glosses`."""
        tokens = F.pad(glosses, (1, 0), value=self.start)
        places = tokens.shape[1]
        causal = torch.ones(places, places, dtype=torch.bool, device=tokens.device).tril()
        positions = torch.arange(places, device=tokens.device)
        return self.transformer(tokens, positions, causal.expand(len(tokens), -1, -1), encoder_hidden_states, mask)

    @torch.no_grad()
    def generate(
        self,
        encoder_hidden_states: Float[torch.Tensor, "batch frames hidden"],
        mask: Bool[torch.Tensor, "batch frames"],
        *,
        num_beams: int = 5,
        length_penalty: float | int = 0.7,
        entropy_weight: float | int = 0.1,
        ctc_weight: float | int = 0.0,
    ) -> GlossSequences:
        """Searches by `beam_search`, whose scores it gives; `ctc_weight` mixes CTC's log probability in."""
        scorer = None
        if ctc_weight > 0:
            if self.ctc_classifier is None:
                raise ValueError(f"`ctc_weight` must be 0 where `ctc_loss_weight` was 0 in training, got {ctc_weight}.")
            scorer = CTCPrefixScorer(self.ctc_classifier(encoder_hidden_states).log_softmax(dim=-1), mask, num_beams)
        num_positions = mask.sum(dim=1)
        encoder_hidden_states = encoder_hidden_states.repeat_interleave(num_beams, dim=0)
        mask = mask.repeat_interleave(num_beams, dim=0)

        def step(prefixes, parents):
            logits, attention = self._logits(prefixes, encoder_hidden_states, mask)
            log_probs = logits[:, -1].float().log_softmax(dim=-1)
            if scorer is not None:
                log_probs = (1 - ctc_weight) * log_probs + ctc_weight * scorer(prefixes, parents)
            return log_probs, attention[:, -1]

        return beam_search(
            step,
            num_positions,
            num_beams=num_beams,
            max_glosses=self.max_glosses,
            length_penalty=length_penalty,
            entropy_weight=entropy_weight,
        )


class CTCDecoder(nn.Module):
    """Glosses in all frames at once; the blank, the last label, in between."""

    def __init__(self, num_glosses: int, max_glosses: int, hidden_size: int, layers: list[EncoderLayer]):
        super().__init__()
        self.max_glosses = max_glosses
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(hidden_size)
        self.classifier = nn.Linear(hidden_size, num_glosses + 1)

    def _logits(
        self, hidden_states: Float[torch.Tensor, "batch frames hidden"], mask: Bool[torch.Tensor, "batch frames"]
    ) -> Float[torch.Tensor, "batch frames labels"]:
        for layer in self.layers:
            hidden_states = layer(hidden_states, mask[:, None])
        return self.classifier(self.norm(hidden_states))

    def forward(
        self,
        encoder_hidden_states: Float[torch.Tensor, "batch frames hidden"],
        mask: Bool[torch.Tensor, "batch frames"],
        labels: Int[torch.Tensor, "batch glosses"],
    ) -> dict[str, Float[torch.Tensor, ""]]:
        """Gives `text`, the CTC loss of a gloss."""
        return {"text": ctc_loss(self._logits(encoder_hidden_states, mask), mask, labels)}

    @torch.no_grad()
    def generate(
        self,
        encoder_hidden_states: Float[torch.Tensor, "batch frames hidden"],
        mask: Bool[torch.Tensor, "batch frames"],
        *,
        num_beams: int = 5,
    ) -> GlossSequences:
        """Searches by `ctc_beam_search`; scores are log probabilities."""
        log_probs = self._logits(encoder_hidden_states, mask).float().log_softmax(dim=-1)
        return ctc_beam_search(log_probs, mask, num_beams=num_beams, max_glosses=self.max_glosses)


def ctc_loss(
    logits: Float[torch.Tensor, "batch steps labels"],
    mask: Bool[torch.Tensor, "batch steps"],
    labels: Int[torch.Tensor, "batch glosses"],
) -> Float[torch.Tensor, ""]:
    """CTC loss of a gloss; the blank is the last label.

    Raises:
        ValueError: A clip has fewer steps than its glosses and the blanks between repeated ones.
    """
    given = labels >= 0
    repeats = ((labels[:, 1:] == labels[:, :-1]) & given[:, 1:]).sum(dim=1)
    needed, steps = given.sum(dim=1) + repeats, mask.sum(dim=1)
    if (needed > steps).any():
        short = int((needed > steps).nonzero()[0])
        raise ValueError(
            f"`labels` must fit into the clip's steps, got {int(needed[short])} glosses and blanks for "
            f"{int(steps[short])} steps in clip {short}."
        )
    log_probs = logits.float().log_softmax(dim=-1).transpose(0, 1)
    return F.ctc_loss(log_probs, labels.clamp(min=0), steps, given.sum(dim=1), blank=logits.shape[-1] - 1)


def word_match_loss(
    probabilities: Float[torch.Tensor, "batch places glosses"], labels: Int[torch.Tensor, "batch places"]
) -> Float[torch.Tensor, ""]:
    """One minus the soft F1 of the bag of glosses, whatever their order: 0 for the same bag, 1 for a disjoint one.

    For two bags of one size, F1 is the sum over glosses of the smaller share.

    Args:
        probabilities: Of every gloss at every place.
        labels: The gloss of each place, padded with -100.
    """
    given = (labels >= 0)[..., None]
    number = given.sum(dim=1)
    found = (probabilities * given).sum(dim=1) / number
    true = (F.one_hot(labels.clamp(min=0), probabilities.shape[-1]) * given).sum(dim=1) / number
    return (1 - torch.minimum(found, true).sum(dim=-1)).mean()


def teacher_forcing_ratio(step: int, num_steps: int, *, start: float = 0.5, end: float = 0.0) -> float:
    """The share of true glosses fed back at a training step: from `start` to `end` in a straight line."""
    return start + (end - start) * step / max(num_steps - 1, 1)
