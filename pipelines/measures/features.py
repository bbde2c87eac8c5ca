"""Distances between pictures as a feature network sees them. The network is named in every figure that it makes.

None of the figures is LPIPS, FID or FVD: those names belong to certain networks with certain weights. The network here
has no weights, so it can be described in full, needs no file, and was trained on nobody's face.
"""

from collections.abc import Sequence
from functools import cache
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8


@runtime_checkable
class FeatureNetwork(Protocol):
    """Anything that turns pictures into maps of features, from fine to coarse.

    Attributes:
        name: With its version; part of the names of its figures.
    """

    name: str

    def layers(
        self, pictures: UInt8[np.ndarray, "pictures height width 3"]
    ) -> list[Float[np.ndarray, "pictures _ _ _"]]:
        """Maps [pictures, channels, rows, columns] of each layer."""
        ...


class OrientedFilters:
    """Energy in four directions at three scales, and colour: what the first cells of a visual system pass on.

    Each scale halves the picture. Energy is the length of the pair (even, odd) of Gabor filters of 7 x 7 pixels,
    wavelength 4 pixels, on luma (ITU-R BT.601, 0 to 1); colour is red minus green and blue minus yellow beside it.
    """

    name = "oriented-filters-1"

    def layers(
        self, pictures: UInt8[np.ndarray, "pictures height width 3"]
    ) -> list[Float[np.ndarray, "pictures _ _ _"]]:
        """Six channels at each of three scales."""
        image = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
        red, green, blue = image.unbind(1)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        planes = torch.stack([luma, red - green, blue - (red + green) / 2], dim=1)
        maps = []
        with torch.no_grad():
            for scale in range(3):
                if scale:
                    planes = F.avg_pool2d(planes, 2)
                even, odd = F.conv2d(planes[:, :1], _gabor_filters(), padding=3).chunk(2, dim=1)
                maps.append(torch.cat([(even**2 + odd**2).sqrt(), planes[:, 1:]], dim=1).numpy())
        return maps


PICTURES_AT_ONCE = 32
"""Pictures that go through a network together: so few that their maps stay in the processor's cache."""


@cache
def _gabor_filters() -> torch.Tensor:
    """Even filters in four directions, then odd ones, each free of a mean and of unit sum of magnitudes."""
    y, x = np.mgrid[-3:4, -3:4]
    window = np.exp(-(x**2 + y**2) / (2 * 1.6**2))
    filters = []
    for phase in (0, np.pi / 2):
        for angle in np.arange(4) * np.pi / 4:
            wave = window * np.cos(2 * np.pi / 4 * (x * np.cos(angle) + y * np.sin(angle)) + phase)
            wave -= window * wave.sum() / window.sum()
            filters.append(wave / np.abs(wave).sum())
    return torch.from_numpy(np.stack(filters)[:, None]).float()


Maps = Sequence[Float[np.ndarray, "pictures _ _ _"]]
"""What a network makes of some pictures, by layer."""


def compare_pictures(
    network: FeatureNetwork,
    first: UInt8[np.ndarray, "pictures height width 3"],
    second: UInt8[np.ndarray, "pictures height width 3"],
) -> tuple[
    Float[np.ndarray, "pictures features"], Float[np.ndarray, "pictures features"], Float[np.ndarray, " pictures"]
]:
    """What `describe_pictures` says of both, and the distance of each pair; the network sees every picture once."""
    found = []
    for block in _blocks(len(first)):
        of_first, of_second = network.layers(first[block]), network.layers(second[block])
        found.append((_describe(of_first), _describe(of_second), feature_distance(of_first, of_second)))
    rows, other_rows, distances = (np.concatenate(column) for column in zip(*found, strict=True))
    return rows, other_rows, distances


def describe_pictures(
    network: FeatureNetwork, pictures: UInt8[np.ndarray, "pictures height width 3"]
) -> Float[np.ndarray, "pictures features"]:
    """One row a picture: mean and deviation of every channel of every layer over its places."""
    return np.concatenate([_describe(network.layers(pictures[block])) for block in _blocks(len(pictures))])


def _blocks(count: int) -> list[slice]:
    """At least one, so that no pictures have descriptions too: none."""
    return [slice(first, first + PICTURES_AT_ONCE) for first in range(0, max(count, 1), PICTURES_AT_ONCE)]


def _describe(layers: Maps) -> Float[np.ndarray, "pictures features"]:
    return np.concatenate([statistic(axis=(2, 3)) for maps in layers for statistic in (maps.mean, maps.std)], axis=1)


def feature_distance(first: Maps, second: Maps) -> Float[np.ndarray, " pictures"]:
    """Distance of pictures in pairs, in the form of LPIPS (https://arxiv.org/abs/1801.03924, equation 1), unweighted.

    At each place of each layer the channels are scaled to unit length (0.05 added, so that flat regions stay quiet);
    squared differences are summed over channels, and averaged over places and then over layers.
    """
    total = np.zeros(len(first[0]))
    for layer in zip(first, second, strict=True):
        units = [maps / (np.linalg.norm(maps, axis=1, keepdims=True) + 0.05) for maps in layer]
        total += ((units[0] - units[1]) ** 2).sum(axis=1).mean(axis=(1, 2))
    return total / len(first)


def cosine_similarity(first: Float[np.ndarray, " features"], second: Float[np.ndarray, " features"]) -> float | None:
    """1 for the same direction; None where one is zero."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / lengths if lengths > 0 else None


Moments = tuple[float, Float[np.ndarray, " features"], Float[np.ndarray, "features features"]]
"""Weight of rows, their weighted sum, and the weighted sum of their outer products."""


def moments(rows: Float[np.ndarray, "rows features"]) -> Moments:
    """What the Fréchet distance needs to know of some rows; sums of these are those of all rows together."""
    rows = rows.astype(np.float64)
    return float(len(rows)), rows.sum(axis=0), rows.T @ rows


def weighted_sum(items: Sequence[Moments], weights: Float[np.ndarray, " items"]) -> Moments:
    """Moments of rows of which each item's count as often as its weight says."""
    counts, totals, outers = (np.stack(parts) for parts in zip(*items, strict=True))
    return float(weights @ counts), weights @ totals, np.tensordot(weights, outers, 1)


def frechet_distance(first: Moments, second: Moments) -> float | None:
    """Squared Fréchet distance of two Gaussians (Dowson and Landau 1982, https://doi.org/10.1016/0047-259X(82)90077-X).

    Returns:
        None where either has no more rows than features: its covariance would be singular.
    """
    if min(first[0], second[0]) <= len(first[1]):
        return None
    (mean, covariance), (other_mean, other_covariance) = _gaussian(first), _gaussian(second)
    # tr((A B)^(1/2)) through the symmetric A^(1/2) B A^(1/2), whose eigenvalues are the same and real.
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other_covariance @ root), 0)).sum()
    spread = np.trace(covariance) + np.trace(other_covariance) - 2 * cross
    return float(((mean - other_mean) ** 2).sum() + max(spread, 0.0))


def _gaussian(of: Moments) -> tuple[Float[np.ndarray, " features"], Float[np.ndarray, "features features"]]:
    count, total, outer = of
    mean = total / count
    return mean, (outer - count * np.outer(mean, mean)) / (count - 1)
