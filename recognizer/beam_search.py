"""Beam search over glosses (algorithm 3 of https://arxiv.org/abs/2504.16315), and what CTC says about beginnings."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class GlossSequences:
    """The glosses found in a batch of clips.

    Attributes:
        labels: In order, padded with -100.
        scores: By which the sequence was chosen; comparable between clips only where the decoder says so.
    """

    labels: Int[torch.Tensor, "batch glosses"]
    scores: Float[torch.Tensor, " batch"]


Step = Callable[
    [Int[torch.Tensor, "rows glosses"], Int[torch.Tensor, " rows"]],
    tuple[Float[torch.Tensor, "rows labels"], Float[torch.Tensor, "rows positions"] | None],
]
"""Scores what may follow each beginning.

It gets the glosses so far, and for each row the row of the step before that it goes on from. It gives the log
probability of every gloss and, last, of the end; and how attention spreads over the clip, or None.
"""


def beam_search(
    step: Step,
    num_positions: Int[torch.Tensor, " batch"],
    *,
    num_beams: int = 5,
    max_glosses: int = 64,
    length_penalty: float = 0.7,
    entropy_weight: float = 0.1,
) -> GlossSequences:
    """Finds, for every clip of a batch, the sequence of glosses with the best score.

    A sequence's score is the sum, over its glosses and its end, of log probability minus `entropy_weight` times the
    attention's entropy, divided by their number to the power of `length_penalty`. Entropy is measured in units of the
    highest that a clip of that length allows, so that it weighs the same in short and long clips.

    Args:
        step: Rows are the clips in order, `num_beams` beginnings of each.
        num_positions: How many positions of each clip attention may fall on.
        num_beams: Beginnings that are kept. The paper's k, how many ways each goes on, changes nothing from there on.
        max_glosses: The longest sequence; after it, only the end may follow.
        length_penalty: 0 compares sums, 1 compares means.
        entropy_weight: The paper's alpha.
    """
    batch, device = len(num_positions), num_positions.device
    highest = num_positions.clamp(min=2).log().repeat_interleave(num_beams)
    prefixes = torch.empty(batch * num_beams, 0, dtype=torch.long, device=device)
    parents = torch.arange(batch * num_beams, device=device)
    # At first all beginnings of a clip are the same, empty one: only the first may go on.
    totals = torch.full((batch, num_beams), -torch.inf, device=device)
    totals[:, 0] = 0
    lengths = torch.zeros_like(totals)
    ended = torch.zeros_like(totals, dtype=torch.bool)
    for length in range(max_glosses + 1):
        log_probs, attention = step(prefixes.clamp(min=0), parents)
        labels = log_probs.shape[-1]
        if attention is not None:
            log_probs = log_probs - entropy_weight * (_entropy(attention) / highest)[:, None]
        if length == max_glosses:
            log_probs[:, :-1] = -torch.inf
        going_on = totals[..., None] + log_probs.view(batch, num_beams, labels)
        # A sequence that has ended stays as it is; the last column, the end, carries it along.
        going_on[..., :-1].masked_fill_(ended[..., None], -torch.inf)
        going_on[..., -1] = torch.where(ended, totals, going_on[..., -1])
        grown = lengths + (~ended).float()
        ranks = going_on / grown.clamp(min=1)[..., None] ** length_penalty
        chosen = ranks.flatten(1).topk(num_beams, dim=1).indices
        beams, label = chosen // labels, chosen % labels
        totals = going_on.flatten(1).gather(1, chosen)
        lengths, ended = grown.gather(1, beams), label == labels - 1
        parents = (beams + num_beams * torch.arange(batch, device=device)[:, None]).flatten()
        prefixes = torch.cat([prefixes[parents], torch.where(ended, -100, label).view(-1, 1)], dim=1)
        if (ended | totals.isneginf()).all():
            break
    best = (totals / lengths**length_penalty).argmax(dim=1)
    rows = best + num_beams * torch.arange(batch, device=device)
    scores = (totals / lengths**length_penalty).gather(1, best[:, None])[:, 0]
    return GlossSequences(trim(prefixes[rows]), scores)


def trim(labels: Int[torch.Tensor, "batch glosses"]) -> Int[torch.Tensor, "batch glosses"]:
    """Takes away columns at the end that are padding in every row."""
    return labels[:, : int((labels >= 0).sum(dim=1).amax())]


def _entropy(probabilities: Float[torch.Tensor, "rows positions"]) -> Float[torch.Tensor, " rows"]:
    return torch.special.entr(probabilities).sum(dim=-1)


class CTCPrefixScorer:
    """Log probability that CTC gives to beginnings of a gloss sequence, for `beam_search`.

    The forward recursion over beginnings of Watanabe et al. 2017 (https://doi.org/10.1109/JSTSP.2017.2763455, algorithm
    2), for all rows and all next glosses at once. What it returns for one row sums to a probability of 1 over every
    gloss and the end, so that it can stand beside a decoder's log probabilities or alone.

    Args:
        log_probs: Of every gloss and, last, the blank.
        mask: False where a clip was padded.
        num_beams: Rows for each clip.
    """

    def __init__(
        self,
        log_probs: Float[torch.Tensor, "batch steps labels"],
        mask: Bool[torch.Tensor, "batch steps"],
        num_beams: int,
    ):
        # A padded step is a certain blank, which leaves every probability as it is.
        padding = torch.full_like(log_probs[0, 0], -torch.inf)
        padding[-1] = 0
        log_probs = torch.where(mask[..., None], log_probs, padding).repeat_interleave(num_beams, dim=0)
        self.glosses, self.blank = log_probs[..., :-1], log_probs[..., -1]
        # Of all paths up to a step that spell the beginning, those that end in its last gloss and those in a blank.
        # Index 0 is before the first step.
        self.in_blank = torch.cat([torch.zeros_like(self.blank[:, :1]), self.blank.cumsum(dim=1)], dim=1)
        self.in_gloss = torch.full_like(self.in_blank, -torch.inf)
        self.total = torch.zeros_like(self.in_blank[:, 0])

    def __call__(
        self, prefixes: Int[torch.Tensor, "rows glosses"], parents: Int[torch.Tensor, " rows"]
    ) -> Float[torch.Tensor, "rows labels"]:
        """Log probability of each gloss and of the end after `prefixes`; rows as `Step` says."""
        if prefixes.shape[1]:
            before = prefixes[:, -2] if prefixes.shape[1] > 1 else torch.full_like(parents, -1)
            self._advance(prefixes[:, -1], before, parents)
        either = torch.logaddexp(self.in_blank, self.in_gloss)
        begins = (either[:, :-1, None] + self.glosses).logsumexp(dim=1)
        if prefixes.shape[1]:
            last = prefixes[:, -1:]
            repeated = self.glosses.gather(2, last[:, None].expand(-1, self.glosses.shape[1], 1))[..., 0]
            begins = begins.scatter(1, last, (self.in_blank[:, :-1] + repeated).logsumexp(dim=1, keepdim=True))
        scores = torch.cat([begins, either[:, -1:]], dim=1) - self.total[:, None]
        # A beginning that is impossible stays so whatever follows.
        return scores.nan_to_num(nan=-torch.inf, neginf=-torch.inf)

    def _advance(
        self, last: Int[torch.Tensor, " rows"], before: Int[torch.Tensor, " rows"], parents: Int[torch.Tensor, " rows"]
    ) -> None:
        in_blank, in_gloss = self.in_blank[parents], self.in_gloss[parents]
        gloss = self.glosses.gather(2, last[:, None, None].expand(-1, self.glosses.shape[1], 1))[..., 0]
        # The same gloss again needs a blank in between.
        enters = torch.where((last == before)[:, None], in_blank, torch.logaddexp(in_blank, in_gloss))
        new_gloss, new_blank = torch.full_like(in_gloss, -torch.inf), torch.full_like(in_blank, -torch.inf)
        for step in range(gloss.shape[1]):
            new_gloss[:, step + 1] = torch.logaddexp(new_gloss[:, step], enters[:, step]) + gloss[:, step]
            new_blank[:, step + 1] = torch.logaddexp(new_blank[:, step], new_gloss[:, step]) + self.blank[:, step]
        self.total = (enters[:, :-1] + gloss).logsumexp(dim=1)
        self.in_blank, self.in_gloss = new_blank, new_gloss


def ctc_beam_search(
    log_probs: Float[torch.Tensor, "batch steps labels"],
    mask: Bool[torch.Tensor, "batch steps"],
    *,
    num_beams: int = 5,
    max_glosses: int = 64,
) -> GlossSequences:
    """Finds the gloss sequence that CTC finds likeliest over all alignments; scores are its log probability.

    Args:
        log_probs: Of every gloss and, last, the blank.
        mask: False where a clip was padded.
        num_beams: Beginnings that are kept.
        max_glosses: The longest sequence.
    """
    scorer = CTCPrefixScorer(log_probs, mask, num_beams)
    return beam_search(
        lambda prefixes, parents: (scorer(prefixes, parents), None),
        mask.sum(dim=1),
        num_beams=num_beams,
        max_glosses=max_glosses,
        length_penalty=0,
    )
