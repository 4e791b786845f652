"""The training itself: contrastive pairs of one picture and an altered copy of it.

The loss is InfoNCE with temperature 0.05 over all pairs of a batch and the KoLeo entropy regulariser, as in SSCD
(https://arxiv.org/abs/2202.10261). Batches are put together from neighbours, so that a picture's hardest negatives
stand beside it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from training.alterations import Alterer
from training.network import CopyDescriptor, fold_norms

LUMA_MEAN = 127.0
LUMA_SCALE = 1 / 128
"""How EfficientNet-Lite's own weights want their input: (luma - 127) / 128."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything a run follows from, beside its pictures.

    Attributes:
        size_px: side of the square the network sees.
        dims: values of a vector.
        steps: batches.
        batch_pictures: pictures in a batch; each gives two views.
        temperature: of InfoNCE.
        entropy_weight: of the KoLeo regulariser.
        relative_rate: learning rate as a share of each tensor's root mean square (as Adafactor does,
            https://arxiv.org/abs/1804.04235): normalisation is folded into the weights, so their sizes differ widely.
        head_rate: learning rate of the new last layer.
        frozen_blocks: blocks at the input that stay as they were; they see edges, and cost the most.
        hard_share: share of a batch that is put together from neighbours.
        altered_share: how often both views of a pair are altered, not one of them.
        seed: of everything random.
    """

    size_px: int = 128
    dims: int = 256
    steps: int = 420
    batch_pictures: int = 64
    temperature: float = 0.05
    entropy_weight: float = 10.0
    relative_rate: float = 2.5e-3
    head_rate: float = 1e-3
    frozen_blocks: int = 3
    hard_share: float = 0.5
    altered_share: float = 0.3
    seed: int = 4


class Trainer:
    """One run. `train` may be called once; the network is `model`.

    Args:
        recipe: everything it follows from.
        pictures: uint8[H, W, 3] each.
        weights: of the trunk to start from, as `CopyDescriptor.load_trunk` takes them.
        start: a file of `save` to start from instead: a second run that continues a first one.
    """

    def __init__(
        self,
        recipe: Recipe,
        pictures: Sequence[NDArray[np.uint8]],
        *,
        weights: dict[str, Tensor] | None = None,
        start: Path | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        torch.set_num_threads(1)
        self.recipe = recipe
        self.pictures = pictures
        self.rng = np.random.default_rng(recipe.seed)
        self.alterer = Alterer(self.rng, pictures)
        self.model = CopyDescriptor(recipe.dims)
        if weights is not None:
            self.model.load_trunk(weights)
        fold_norms(self.model)
        if start is not None:
            self.model.load_state_dict(torch.load(start, weights_only=True)["weights"])
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._freeze()
        self.optimiser = torch.optim.AdamW(self._groups(), betas=(0.9, 0.99), weight_decay=0.0)
        self.neighbours: NDArray[np.int64] | None = None

    def train(self, checkpoint: Path | None = None, *, checkpoint_steps: int = 50, refresh_steps: int = 100) -> None:
        """Run all steps, and print one line for every ten."""
        start = time.monotonic()
        recent: list[float] = []
        for step in range(self.recipe.steps):
            if step % refresh_steps == 0:
                self._find_neighbours()
            for group, base in zip(self.optimiser.param_groups, self.base_rates, strict=True):
                group["lr"] = base * _schedule(step / self.recipe.steps)
            recent.append(self._step())
            if step % 10 == 9:
                print(
                    f"step {step + 1}: loss {np.mean(recent[-10:]):.4f}, {time.monotonic() - start:.0f} s", flush=True
                )
            if checkpoint is not None and (step + 1) % checkpoint_steps == 0:
                self.save(checkpoint)

    def save(self, path: Path) -> None:
        """Write weights and recipe, whole or not at all."""
        partial = path.with_suffix(".partial")
        torch.save({"weights": self.model.state_dict(), "recipe": json.dumps(asdict(self.recipe))}, partial)
        partial.replace(path)

    def _freeze(self) -> None:
        self.model._conv_stem.requires_grad_(False)
        for block in self.model._blocks[: self.recipe.frozen_blocks]:
            block.requires_grad_(False)

    def _groups(self) -> list[dict[str, object]]:
        groups: list[dict[str, object]] = []
        self.base_rates = []
        for name, tensor in self.model.named_parameters():
            if not tensor.requires_grad:
                continue
            size = float(tensor.detach().square().mean().sqrt())
            rate = (
                self.recipe.head_rate if name.startswith("embedding") else self.recipe.relative_rate * max(size, 1e-3)
            )
            groups.append({"params": [tensor], "lr": rate})
            self.base_rates.append(rate)
        return groups

    def _step(self) -> float:
        chosen = self._batch()
        first, second = [], []
        for picture in chosen:
            colours = self.pictures[picture]
            is_plain = self.rng.random() >= self.recipe.altered_share
            first.append(self.alterer.plain(colours) if is_plain else self.alterer.altered(colours))
            second.append(self.alterer.altered(colours))
        vectors = self.model(as_input(first + second, self.recipe.size_px))
        loss = info_nce(vectors, self.recipe.temperature) + self.recipe.entropy_weight * koleo(vectors)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for g in self.optimiser.param_groups for p in g["params"]], 5.0)
        self.optimiser.step()
        return float(loss.detach())

    def _batch(self) -> NDArray[np.int64]:
        """Distinct pictures: some drawn evenly, the others their neighbours."""
        size = min(self.recipe.batch_pictures, len(self.pictures))
        order = self.rng.permutation(len(self.pictures))
        if self.neighbours is None:
            return order[:size]
        chosen: dict[int, None] = {}
        for picture in order:
            chosen.setdefault(int(picture))
            if self.rng.random() < self.recipe.hard_share:
                for near in self.rng.permutation(self.neighbours[picture])[:2]:
                    chosen.setdefault(int(near))
            if len(chosen) >= size:
                break
        return np.array(list(chosen)[:size], np.int64)

    def _find_neighbours(self, count: int = 8) -> None:
        plain = [self.alterer.plain(colours) for colours in self.pictures]
        vectors = self.describe(plain)
        similarities = vectors @ vectors.T
        np.fill_diagonal(similarities, -2)
        self.neighbours = np.argsort(-similarities, axis=1)[:, : min(count, len(plain) - 1)]

    @torch.no_grad()
    def describe(self, lumas: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """float32[N, dims] of N lumas."""
        parts = [self.model(as_input(lumas[i : i + 64], self.recipe.size_px)) for i in range(0, len(lumas), 64)]
        return torch.cat(parts).numpy()


def as_input(lumas: Sequence[NDArray[np.uint8]], size_px: int) -> Tensor:
    """float32[N, 1, S, S] as the network wants it, each luma squeezed into a square."""
    squares = np.empty((len(lumas), 1, size_px, size_px), np.uint8)
    for row, luma in enumerate(lumas):
        squares[row, 0] = Image.fromarray(luma).resize((size_px, size_px), Image.Resampling.BILINEAR)
    return (torch.from_numpy(squares).float() - LUMA_MEAN) * LUMA_SCALE


def info_nce(vectors: Tensor, temperature: float) -> Tensor:
    """Cross entropy of finding each row's partner (row i and row N/2 + i) among all other rows (NT-Xent)."""
    half = len(vectors) // 2
    scores = vectors @ vectors.T / temperature
    scores = scores.masked_fill(torch.eye(len(vectors), dtype=torch.bool), -1e4)
    partners = torch.cat((torch.arange(half, 2 * half), torch.arange(half)))
    return functional.cross_entropy(scores, partners)


def koleo(vectors: Tensor) -> Tensor:
    """Minus the mean logarithm of the distance to the nearest row of another picture (SSCD, equation 6)."""
    half = len(vectors) // 2
    similarities = vectors @ vectors.T
    same = torch.eye(half, dtype=torch.bool).repeat(2, 2)
    nearest = similarities.masked_fill(same, -2).amax(1)
    return -0.5 * torch.log((2 - 2 * nearest).clamp(min=1e-6)).mean()


def _schedule(progress: float) -> float:
    return min(1.0, progress / 0.04 + 0.02) * 0.5 * (1 + math.cos(math.pi * progress))
