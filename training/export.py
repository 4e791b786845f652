"""From a trained network to the two files Baken loads: ONNX in 8 bits, and JSON that says how it wants its input."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from training.network import CopyDescriptor
from training.train import LUMA_MEAN, LUMA_SCALE, as_input

LICENCE = "Apache-2.0"
EXACT_CONVOLUTIONS = 4
_OPSET = 17
_INPUT, _OUTPUT = "luma", "vector"
_CALIBRATION_BATCH = 16


def write_float(model: CopyDescriptor, size_px: int, path: Path) -> None:
    """Write the network with 32-bit weights: float32[N, 1, S, S] to float32[N, dims]."""
    torch.onnx.export(
        model.eval(),
        (torch.zeros(2, 1, size_px, size_px),),
        path,
        input_names=[_INPUT],
        output_names=[_OUTPUT],
        dynamic_axes={_INPUT: {0: "views"}, _OUTPUT: {0: "views"}},
        opset_version=_OPSET,
        dynamo=False,
    )


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, lumas: Sequence[NDArray[np.uint8]], size_px: int) -> None:
        self._batches: Iterator[dict[str, NDArray[np.float32]]] = (
            {_INPUT: as_input(lumas[start : start + _CALIBRATION_BATCH], size_px).numpy()}
            for start in range(0, len(lumas), _CALIBRATION_BATCH)
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._batches, None)


def write_quantised(float_path: Path, path: Path, lumas: Sequence[NDArray[np.uint8]], size_px: int) -> None:
    """Quantise weights (a scale for each channel) and activations to 8 bits, calibrated on altered pictures.

    The first few convolutions stay as they are: quantised, they cost most of what quantising costs. So do pooling and
    the last layer.
    """
    prepared = float_path.with_suffix(".prepared.onnx")
    quant_pre_process(float_path, prepared)
    convolutions = [node.name for node in onnx.load(prepared).graph.node if node.op_type == "Conv"]
    quantize_static(
        prepared,
        path,
        _Calibration(lumas, size_px),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv", "Clip", "Add"],
        nodes_to_exclude=convolutions[:EXACT_CONVOLUTIONS],
    )
    prepared.unlink()


def write_description(path: Path, *, model_id: str, size_px: int, dims: int) -> None:
    """Write the JSON file that `baken.fingerprints.descriptor` wants beside `path`."""
    fields = {
        "id": model_id,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size_px": size_px,
        "mean": [LUMA_MEAN / 255],
        "std": [1 / (255 * LUMA_SCALE)],
        "dims": dims,
        "licence": LICENCE,
    }
    path.with_suffix(".json").write_text(json.dumps(fields, indent=2) + "\n")
