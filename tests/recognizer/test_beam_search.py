from itertools import product

import pytest
import torch

from recognizer.beam_search import CTCPrefixScorer, beam_search, ctc_beam_search


def table(seed, labels=3):
    """Log probabilities of three glosses' successors, by the last gloss (row `labels` before the first)."""
    generator = torch.Generator().manual_seed(seed)
    log_probs = torch.randn(labels + 1, labels + 1, generator=generator).log_softmax(dim=-1)
    attention = torch.rand(labels + 1, 4, generator=generator)
    return log_probs, attention / attention.sum(dim=-1, keepdim=True)


def markov(tables, num_beams, attend):
    """A step that looks a clip's next gloss up in its table."""

    def step(prefixes, parents):
        last = prefixes[:, -1] if prefixes.shape[1] else torch.full((len(parents),), -1)
        clips = torch.arange(len(parents)) // num_beams
        log_probs, attention = (torch.stack([tables[clip][part][row] for clip, row in zip(clips, last, strict=True)])
                                for part in (0, 1))  # fmt: skip
        return log_probs, attention if attend else None

    return step


def score(sequence, log_probs, attention, *, length_penalty, entropy_weight, positions):
    total, last = 0.0, -1
    for label in (*sequence, 3):
        entropy = -(attention[last] * attention[last].log()).sum() / torch.tensor(float(positions)).log()
        total += (log_probs[last, label] - entropy_weight * entropy).item()
        last = label
    return total / (len(sequence) + 1) ** length_penalty


@pytest.mark.parametrize(("length_penalty", "entropy_weight"), [(0.7, 0.1), (0.0, 0.0), (1.0, 2.0)])
def test_wide_beam_finds_the_best_of_all_sequences(length_penalty, entropy_weight):
    tables = [table(seed) for seed in (1, 2)]
    found = beam_search(
        markov(tables, 60, attend=True),
        torch.tensor([4, 9]),
        num_beams=60,
        max_glosses=3,
        length_penalty=length_penalty,
        entropy_weight=entropy_weight,
    )
    sequences = [sequence for length in range(4) for sequence in product(range(3), repeat=length)]
    for row, (tables_of_clip, positions) in enumerate(zip(tables, (4, 9), strict=True)):
        scores = [
            score(
                sequence,
                *tables_of_clip,
                length_penalty=length_penalty,
                entropy_weight=entropy_weight,
                positions=positions,
            )
            for sequence in sequences
        ]
        best = max(range(len(sequences)), key=scores.__getitem__)
        labels = found.labels[row]
        assert tuple(labels[labels >= 0].tolist()) == sequences[best]
        assert found.scores[row].item() == pytest.approx(scores[best], abs=1e-5)


def test_attention_that_wanders_costs():
    # Gloss 0 is a little likelier, but attention is scattered after it.
    log_probs = torch.tensor([[-9.0, -9.0, 0.0], [-9.0, -9.0, 0.0], [-0.6, -0.8, -9.0]])
    attention = torch.tensor([[0.25] * 4, [1.0, 0, 0, 0], [1.0, 0, 0, 0]])

    def step(prefixes, parents):
        last = prefixes[:, -1] if prefixes.shape[1] else torch.full((len(parents),), -1)
        return log_probs[last], attention[last]

    for weight, gloss in ((0.0, 0), (0.1, 0), (0.3, 1)):
        assert beam_search(step, torch.tensor([4]), entropy_weight=weight).labels.tolist() == [[gloss]]


def test_one_beam_is_greedy_and_narrow_beams_miss_what_wide_ones_find():
    # 0 looks best at first, but all that follows it is unlikely.
    log_probs = torch.tensor([[0.01, 0.01, 0.98], [0.33, 0.33, 0.34], [0.5, 0.4, 0.1]]).log()[[1, 0, 2]]

    def step(prefixes, parents):
        last = prefixes[:, -1] if prefixes.shape[1] else torch.full((len(parents),), -1)
        return log_probs[last], None

    greedy = beam_search(step, torch.tensor([4]), num_beams=1, length_penalty=0)
    wide = beam_search(step, torch.tensor([4]), num_beams=3, length_penalty=0)
    assert greedy.labels.tolist() == [[0]]
    assert greedy.scores.item() == pytest.approx(torch.tensor(0.5 * 0.34).log().item())
    assert wide.labels.tolist() == [[1]]
    assert wide.scores.item() == pytest.approx(torch.tensor(0.4 * 0.98).log().item())


def test_no_sequence_is_longer_than_allowed():
    never_ends = torch.tensor([0.9, 0.1, 1e-9]).log()
    found = beam_search(
        lambda _, parents: (never_ends.repeat(len(parents), 1), None), torch.tensor([4]), num_beams=2, max_glosses=3
    )
    assert found.labels.tolist() == [[0, 0, 0]]


def collapse(path, blank):
    return tuple(
        label for number, label in enumerate(path) if label != blank and (number == 0 or path[number - 1] != label)
    )


@pytest.mark.parametrize("seed", range(3))
def test_ctc_search_is_the_best_over_all_alignments(seed):
    generator = torch.Generator().manual_seed(seed)
    log_probs = (2 * torch.randn(2, 5, 3, generator=generator)).log_softmax(dim=-1)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    found = ctc_beam_search(log_probs, mask, num_beams=40)
    for row, steps in enumerate((5, 3)):
        totals = {}
        for path in product(range(3), repeat=steps):
            probability = log_probs[row, torch.arange(steps), torch.tensor(path)].sum().exp().item()
            totals[collapse(path, 2)] = totals.get(collapse(path, 2), 0) + probability
        best = max(totals, key=totals.get)
        labels = found.labels[row]
        assert tuple(labels[labels >= 0].tolist()) == best
        assert found.scores[row].exp().item() == pytest.approx(totals[best], rel=1e-4)


def test_ctc_prefix_scores_are_a_distribution():
    generator = torch.Generator().manual_seed(3)
    log_probs = torch.randn(1, 6, 4, generator=generator).log_softmax(dim=-1)
    scorer = CTCPrefixScorer(log_probs, torch.ones(1, 6, dtype=torch.bool), num_beams=2)
    prefixes, parents = torch.empty(2, 0, dtype=torch.long), torch.arange(2)
    for label in (1, 1, 2):  # the first repeats
        scores = scorer(prefixes, parents)
        torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(2))
        prefixes = torch.cat([prefixes, torch.full((2, 1), label)], dim=1)
    torch.testing.assert_close(scorer(prefixes, parents).exp().sum(dim=1), torch.ones(2))


def test_impossible_sequences_never_win():
    log_probs = torch.full((1, 2, 3), -torch.inf)
    log_probs[..., 0] = 0.0  # both steps are gloss 0 for sure
    found = ctc_beam_search(log_probs, torch.ones(1, 2, dtype=torch.bool))
    assert found.labels.tolist() == [[0]]
    assert found.scores.item() == 0
