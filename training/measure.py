"""`python -m training.measure CORPUS`: what a network finds of each edit of `bench.edits`, and what it mistakes.

Banked are the whole pictures of `CORPUS/originals` and the held-out ones of `CORPUS/distractors`; asked are the views
of `descriptor_views` of each edited original. Nothing of it was trained on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baken import samples_confusable
from baken.copies import WHOLE_VIEW, WORKING_SIDE_PX
from baken.fingerprints.descriptor import UNIT, DescriptorNetwork, descriptor_views
from baken.fingerprints.views import content_views
from baken.images.reduction import reduced
from bench.edits import EDITS, RANDOM_EDITS
from bench.intervals import upper_bound, wilson
from training.pictures import is_held_out

FALSE_PAIR_RATES = (1e-4, 1e-5, 0.0)
"""Thresholds are set so that so many of the unrelated pairs lie above them; 0: above the nearest pair that was seen."""

EXTRAPOLATED_RATE = 1e-12
"""One false match in a million screenings of unrelated pictures, in a bank of a million."""

_TAIL_SHARE = 1e-3
_CONFUSABLE_COUNT = 120

Luma = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Query:
    """One edited picture and how near it came to each banked one: float[B], -1 where nothing could be compared."""

    edit: str
    own: int
    nearness: NDArray[np.float64]

    @property
    def rank(self) -> int:
        """How many other banked pictures are at least as near as its own."""
        return int((np.delete(self.nearness, self.own) >= self.nearness[self.own]).sum())


def working_luma(image: Image.Image) -> Luma:
    """uint8[H, W] as Baken sees a picture beside its PDQ."""
    return reduced(np.asarray(image.convert("L")), WORKING_SIDE_PX)


def opened(path: Path, longer_side_px: int) -> Image.Image:
    """A file in RGB, at most so large."""
    with Image.open(path) as image:
        picture = image.convert("RGB")
    picture.thumbnail((longer_side_px, longer_side_px))
    return picture


def nearness_to(banked: Sequence[NDArray[np.int8]], asked: NDArray[np.int8]) -> NDArray[np.float64]:
    """float[B]: the cosine of the nearest pair of vectors for each banked picture, -1 where there is none."""
    nearness = np.full(len(banked), -1.0)
    for row, vectors in enumerate(banked):
        if len(vectors) and len(asked):
            nearness[row] = (asked.astype(float) @ vectors.astype(float).T).max() / UNIT**2
    return nearness


def asked_vectors(network: DescriptorNetwork, luma: Luma) -> NDArray[np.int8]:
    """int8[V, D] of the views of an item."""
    return network.describe(luma, descriptor_views(luma, content_views(luma))).values


def queries(network: DescriptorNetwork, corpus: Path, every: int, longer_side_px: int) -> Iterator[Query]:
    """Every edit of one in `every` originals."""
    originals = sorted((corpus / "originals").glob("*.jpg"))
    others = [path for path in sorted((corpus / "distractors").glob("*.jpg")) if is_held_out(path)]
    lumas = [working_luma(opened(path, 4096)) for path in (*originals, *others)]
    banked = [network.describe(luma, [WHOLE_VIEW]).values for luma in lumas]
    for own in range(0, len(originals), every):
        picture = opened(originals[own], longer_side_px)
        for edit in (*EDITS, *RANDOM_EDITS):
            luma = working_luma(edit.apply(picture, own))
            yield Query(edit.name, own, nearness_to(banked, asked_vectors(network, luma)))


def thresholds(found: Sequence[Query]) -> tuple[NDArray[np.float64], list[float]]:
    """How near unrelated pairs are, float[pairs], and the threshold of each of `FALSE_PAIR_RATES`."""
    unrelated = np.concatenate([np.delete(query.nearness, query.own) for query in found])
    return unrelated, [float(np.quantile(unrelated, 1 - rate)) for rate in FALSE_PAIR_RATES]


def extrapolated(unrelated: NDArray[np.float64], rate: float) -> float:
    """The threshold of a rate far below what was counted: an exponential tail through the nearest thousandth.

    Cosines are bounded, so that their tail falls faster than an exponential one: the threshold errs on the safe side,
    for unrelated pictures. It says nothing of pictures that are related (the same scene, the same template).
    """
    start = float(np.quantile(unrelated, 1 - _TAIL_SHARE))
    beyond = unrelated[unrelated > start] - start
    return start + float(beyond.mean()) * float(np.log(len(beyond) / len(unrelated) / rate))


def recall_lines(found: Sequence[Query], limits: Sequence[float]) -> Iterator[str]:
    """A row of a Markdown table for each edit, with the 95 % interval of the first share."""
    yield "| edit | above 1e-4 | 95 % | above 1e-5 | above all | first | first ten |"
    yield "|---|---|---|---|---|---|---|"
    for name in dict.fromkeys(query.edit for query in found):
        mine = [query for query in found if query.edit == name]
        shares = [np.mean([query.nearness[query.own] > limit for query in mine]) for limit in limits]
        low, high = wilson(round(shares[0] * len(mine)), len(mine))
        ranks = [query.rank for query in mine]
        first, ten = np.mean([rank == 0 for rank in ranks]), np.mean([rank < 10 for rank in ranks])
        rest = " | ".join(f"{share:.2f}" for share in (*shares[1:], first, ten))
        yield f"| {name} | {shares[0]:.2f} | {low:.2f}-{high:.2f} | {rest} |"


def mean_line(found: Sequence[Query], limits: Sequence[float], names: set[str]) -> str:
    """Means over some edits."""
    mine = [query for query in found if query.edit in names]
    shares = [np.mean([query.nearness[query.own] > limit for query in mine]) for limit in limits]
    ranks = np.array([query.rank for query in mine])
    return ", ".join(f"{share:.3f}" for share in (*shares, (ranks == 0).mean(), (ranks < 10).mean()))


def confusable_lines(network: DescriptorNetwork, limits: Sequence[float]) -> Iterator[str]:
    """How many pairs of different pictures of an easily confused kind lie above each threshold."""
    kinds: dict[str, Callable[[int], Image.Image]] = {
        "empty views": samples_confusable.draw_empty_view,
        "logos": samples_confusable.draw_logo,
        "pages": samples_confusable.draw_page,
    }
    for name, draw in kinds.items():
        lumas = [working_luma(draw(seed)) for seed in range(_CONFUSABLE_COUNT)]
        banked = [network.describe(luma, [WHOLE_VIEW]).values for luma in lumas]
        nearness = np.array([nearness_to(banked, asked_vectors(network, luma)) for luma in lumas])
        pairs = nearness[~np.eye(len(lumas), dtype=bool)]
        shares = ", ".join(f"{(pairs > limit).mean():.1e}" for limit in limits)
        described = sum(len(vectors) > 0 for vectors in banked)
        yield f"{name}: {described} of {len(lumas)} described; share of pairs above each threshold: {shares}"


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m training.measure", description=__doc__)
    parser.add_argument("corpus", type=Path, help="folder with originals/ and distractors/")
    parser.add_argument("--model", type=Path, help="an ONNX file instead of the shipped network")
    parser.add_argument("--every", type=int, default=1, help="use one in so many originals")
    parser.add_argument("--longer-side-px", type=int, default=1280, help="of the originals before they are edited")
    options = parser.parse_args()
    network = DescriptorNetwork.load(options.model)
    start = time.process_time()
    found = list(queries(network, options.corpus, options.every, options.longer_side_px))
    unrelated, limits = thresholds(found)
    bound = upper_bound(0, len(unrelated))
    far = extrapolated(unrelated, EXTRAPOLATED_RATE)
    seconds = time.process_time() - start
    print(f"{network.model_id}: {len(found)} queries, {len(unrelated)} unrelated pairs, {seconds:.0f} s")
    print(f"thresholds {[round(limit, 3) for limit in limits]}; at most {bound:.1e} above the last one (95 %)")
    print(f"extrapolated to {EXTRAPOLATED_RATE:g}: {far:.3f}\n")
    limits = [*limits, far]
    for line in recall_lines(found, limits[:3]):
        print(line)
    for label, edits in (("baseline edits", EDITS), ("random parameters", RANDOM_EDITS)):
        names = {edit.name for edit in edits}
        print(f"{label}: {mean_line(found, limits, names)} (each threshold, the extrapolated one, first, first ten)")
    for line in confusable_lines(network, limits):
        print(line)


if __name__ == "__main__":
    main()
