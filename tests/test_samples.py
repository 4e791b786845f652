"""The drawn pictures: the same for a seed, comparable by PDQ, and far from each other."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from baken import _native, samples, samples_confusable

SEEDS = range(200)
SMALL_PX = (512, 384)


def pdq_of(image: Image.Image) -> tuple[np.ndarray, int]:
    orientations, quality = _native.pdq(np.asarray(image.convert("L")))
    return np.unpackbits(orientations, axis=1), quality


def test_any_two_of_200_seeds_are_far_apart_however_turned():
    prints = [pdq_of(samples.draw(seed, SMALL_PX)) for seed in SEEDS]
    assert min(quality for _, quality in prints) >= 80
    upright = np.array([bits[0] for bits, _ in prints], dtype=np.int32)
    for orientation in range(8):
        turned = np.array([bits[orientation] for bits, _ in prints], dtype=np.int32)
        distances = (upright[:, None] != turned[None]).sum(axis=2)
        np.fill_diagonal(distances, 256)
        assert distances.min() > 60


@pytest.mark.parametrize("seed", range(10))
def test_a_seed_gives_the_same_picture_again_and_at_the_default_size(seed: int):
    first, second = samples.draw(seed), samples.draw(seed)
    assert first.size == (1024, 768)
    assert first.mode == "RGB"
    assert first.tobytes() == second.tobytes()
    assert pdq_of(first)[1] >= 80


@pytest.mark.parametrize("size", [(64, 48), (300, 900), (1001, 333)])
@pytest.mark.parametrize("seed", range(10))
def test_every_scene_fits_any_size(seed: int, size: tuple[int, int]):
    assert samples.draw(seed, size).size == size


@pytest.mark.parametrize("seed", range(12))
def test_a_flat_picture_is_too_plain_to_compare(seed: int):
    assert pdq_of(samples.draw_flat(seed))[1] < 50


def test_altered_copies_and_broken_files_are_the_same_bytes_every_time():
    image = samples.draw(4, SMALL_PX)
    copies = list(samples.altered_copies(image))
    assert copies == list(samples.altered_copies(image))
    assert len({data for _, _, data in copies}) == len(copies) == 9
    assert list(samples.broken_files()) == list(samples.broken_files())


CONFUSABLE = {
    "empty view": samples_confusable.draw_empty_view,
    "logo": samples_confusable.draw_logo,
    "page": samples_confusable.draw_page,
    "meme": lambda seed: samples_confusable.with_meme_words(samples.draw(7), seed),
}


@pytest.mark.parametrize("kind", CONFUSABLE)
def test_a_confusable_picture_follows_from_its_seed_and_is_another_one_for_another(kind: str):
    draw = CONFUSABLE[kind]
    assert draw(3).tobytes() == draw(3).tobytes()
    assert len({draw(seed).tobytes() for seed in range(12)}) == 12


def test_memes_of_one_template_are_near_each_other_and_pages_are_far_apart():
    memes = [pdq_of(CONFUSABLE["meme"](seed))[0][0] for seed in range(5)]
    pages = [pdq_of(samples_confusable.draw_page(seed))[0][0] for seed in range(30)]
    assert max((memes[0] != other).sum() for other in memes[1:]) < 80
    assert min((pages[a] != pages[b]).sum() for a in range(30) for b in range(a)) > 60


def test_most_logos_are_rich_enough_to_compare_and_most_empty_views_are_not():
    logos = [pdq_of(samples_confusable.draw_logo(seed))[1] >= 50 for seed in range(40)]
    views = [pdq_of(samples_confusable.draw_empty_view(seed))[1] >= 50 for seed in range(40)]
    assert sum(logos) > 25
    assert sum(views) < 10
