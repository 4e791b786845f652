"""Small networks for tests: made here in a few nodes, so that what they must answer is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE_PX = 4


def write_network(
    path: Path,
    *,
    channels: int = 1,
    side_px: int = SIDE_PX,
    batch: str | int = "views",
    nodes: Sequence[onnx.NodeProto] | None = None,
    **described: object,
) -> Path:
    """A network that answers its normalised input, flattened, and the JSON file beside it.

    Args:
        path: of the ONNX file.
        channels: what it wants.
        side_px: likewise.
        batch: the batch's dimension: a name, or a number where only that many go in.
        nodes: other nodes from `luma` to `vector`.
        described: fields of the JSON file that shall differ.
    """
    dims = channels * side_px * side_px
    graph = helper.make_graph(
        list(nodes or [helper.make_node("Flatten", ["luma"], ["vector"], axis=1)]),
        "network",
        [helper.make_tensor_value_info("luma", TensorProto.FLOAT, [batch, channels, side_px, side_px])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [batch, dims])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    fields = {
        "id": "flat-1",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size_px": side_px,
        "mean": [0.5] * channels,
        "std": [0.25] * channels,
        "dims": dims,
        "licence": "Apache-2.0",
    }
    path.with_suffix(".json").write_text(json.dumps(fields | described))
    return path


def node(kind: str, inputs: Sequence[str] = ("luma",), outputs: Sequence[str] = ("vector",)) -> onnx.NodeProto:
    """One node of an operator."""
    return helper.make_node(kind, list(inputs), list(outputs))


def write_with_weights_elsewhere(path: Path) -> Path:
    """A network whose weights lie in another file, beside it."""
    size = SIDE_PX * SIDE_PX
    weights = numpy_helper.from_array(np.eye(size, dtype=np.float32), "weights")
    nodes = [
        helper.make_node("Flatten", ["luma"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["vector"]),
    ]
    write_network(path, nodes=nodes)
    model = onnx.load(path)
    model.graph.initializer.append(weights)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    fields = json.loads(path.with_suffix(".json").read_text())
    fields["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(fields))
    return path
