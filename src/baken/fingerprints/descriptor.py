"""What a descriptor network makes of a picture: unit vectors that stay near each other however a copy was altered.

The network is an ONNX file with a JSON file beside it that says how it wants its input (`DescriptorNetwork.load`). The
shipped one is trained by `training/`; docs/model-card.md says on what, how well it does and what it is not for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baken.copies import WHOLE_VIEW, Region, Vectors, View, ViewKind
from baken.errors import ExtraMissingError, ModelFileError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MAX_CONTENT_VIEWS = 2
"""Content boxes asked beside the whole and the quadrants; the likeliest come first."""

MIN_DESCRIBED_PERCENT = 25
"""Views that are plainer, by PDQ's measure of quality, are not described. The network tells plainer pictures apart than
PDQ does, which asks for 50: docs/model-card.md has what either costs and finds."""

MIN_QUARTERED_PX = 128
"""Pictures with a shorter side below this are not quartered: their quadrants would be enlarged more than twice."""

UNIT = 127
"""What a vector of length 1 is multiplied by to be kept in 8 bits a value."""

SHIPPED_MODEL = "copy-descriptor.onnx"

QUADRANTS = tuple(
    View(ViewKind.TILE, Region(left, top, left + 0.5, top + 0.5)) for top in (0.0, 0.5) for left in (0.0, 0.5)
)

_QUARTER_DEGREES = 90.0
_QUALITY_SIDE_PX = 64
_QUALITY_DIVISOR = 90
_MAX_SIZE_PX = 1024
_MAX_DIMS = 4096
_DOCUMENTED = "docs/model-card.md says what the two files must hold"


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What the JSON file beside a network says.

    Attributes:
        id: name and version.
        sha256: of the ONNX file, in hexadecimal.
        size_px: side of the square the network sees.
        mean: one number for each channel it wants; luma is repeated into each. On a scale of 0 (black) to 1.
        std: what luma less `mean` is divided by, one for each channel.
        dims: values of a vector.
        licence: of the weights, as an SPDX expression where there is one.
    """

    id: str
    sha256: str
    size_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dims: int
    licence: str


class DescriptorNetwork:
    """A loaded network; any number of threads may use it. `load` makes one.

    Attributes:
        description: what its JSON file says.
    """

    def __init__(self, description: ModelDescription, session: InferenceSession) -> None:
        self.description = description
        self._session = session
        self._input = session.get_inputs()[0].name
        self._takes_batches = session.get_inputs()[0].shape[0] != 1

    @classmethod
    def load(cls, path: Path | None = None) -> DescriptorNetwork:
        """The shipped network, or an operator's own.

        Args:
            path: an ONNX file with one input, float32[N, C, S, S], and one output, float32[N, D]; beside it a file of
                the same name with the suffix `.json` that holds the fields of `ModelDescription`.

        Raises:
            ExtraMissingError: onnxruntime is not installed.
            ModelFileError: a file is missing or is not what it should be.
        """
        where = path or Path(str(resources.files("baken") / "models" / SHIPPED_MODEL))
        description = _described(where.with_suffix(".json"))
        data = _read(where)
        found = hashlib.sha256(data).hexdigest()
        if found != description.sha256:
            raise ModelFileError(
                f"{where} has the SHA-256 {found}, and {where.with_suffix('.json').name} says {description.sha256}",
                hint="fetch the two files again, from one release",
            )
        network = cls(description, _session(where, data))
        network._refuse_wrong_shapes(where)
        return network

    @property
    def model_id(self) -> str:
        """Name and version."""
        return self.description.id

    @property
    def model_sha256(self) -> bytes:
        """32 bytes, of the ONNX file; checked when it was loaded."""
        return bytes.fromhex(self.description.sha256)

    @property
    def size(self) -> int:
        """How many values a vector has."""
        return self.description.dims

    def describe(
        self, luma: NDArray[np.uint8], views: Sequence[View], *, min_quality_percent: int = MIN_DESCRIBED_PERCENT
    ) -> Vectors:
        """The vectors of some views of a picture, in one batch.

        Views that are too plain to tell pictures apart (PDQ's measure of quality) are left out; so are those for which
        a network has no direction to give. Equal input gives equal vectors.

        Args:
            luma: uint8[H, W], the working luma, whatever it shows.
            views: which parts.
            min_quality_percent: views that are plainer are left out.
        """
        side = self.description.size_px
        squares = np.array([_square(luma, view.region, side) for view in views], np.uint8).reshape(-1, side, side)
        rich = np.flatnonzero([quality_percent(square) >= min_quality_percent for square in squares])
        values = self._run(squares[rich])
        lengths = np.linalg.norm(values, axis=1)
        sound = np.isfinite(lengths) & (lengths > 0)
        rounded = np.rint(values[sound] / lengths[sound, None] * UNIT).astype(np.int8)
        kept = tuple(views[row] for row in rich[sound])
        return Vectors(self.model_id, self.model_sha256, kept, rounded)

    def _run(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not len(squares):
            return np.empty((0, self.size), np.float32)
        mean, std = (
            np.array(numbers, np.float32)[:, None, None] for numbers in (self.description.mean, self.description.std)
        )
        batch = (squares[:, None].astype(np.float32) / 255 - mean) / std
        parts = [batch] if self._takes_batches else np.split(batch, len(batch))
        return np.concatenate([np.asarray(self._session.run(None, {self._input: part})[0]) for part in parts])

    def _refuse_wrong_shapes(self, where: Path) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        wanted = [len(self.description.mean), self.description.size_px, self.description.size_px]
        got = f"{[(each.type, each.shape) for each in inputs]} to {[(each.type, each.shape) for each in outputs]}"
        fits = (
            len(inputs) == len(outputs) == 1
            and inputs[0].type == outputs[0].type == "tensor(float)"
            and len(inputs[0].shape) == 1 + len(wanted)
            and all(isinstance(a, str) or a is None or a == b for a, b in zip(inputs[0].shape[1:], wanted, strict=True))
        )
        values = self._run(np.zeros((2, *wanted[1:]), np.uint8)) if fits else np.empty((0, 0), np.float32)
        if values.shape != (2, self.size):
            raise ModelFileError(
                f"the network {where} goes from {got}, expected one float input [N, {wanted[0]}, {wanted[1]}, "
                f"{wanted[2]}] and one float output [N, {self.size}]",
                hint=_DOCUMENTED,
            )


def descriptor_views(luma: NDArray[np.uint8], content: Sequence[View]) -> tuple[View, ...]:
    """Which views of an item are described: the whole, also turned, its likeliest content boxes and its quadrants.

    Mirroring is left to the network, which sees through it; quarter turns it sees through badly.

    Args:
        luma: uint8[H, W], the working luma.
        content: the content boxes, the likeliest first (`fingerprints.views.content_views`).
    """
    quadrants = QUADRANTS if min(luma.shape) >= MIN_QUARTERED_PX else ()
    return (WHOLE_VIEW, *content[:MAX_CONTENT_VIEWS], *quadrants, *_turned_views(luma))


def _turned_views(luma: NDArray[np.uint8]) -> tuple[View, ...]:
    """The whole picture as it looks turned by 90, 180 and 270 degrees."""
    height, width = luma.shape
    across, down = height / width / 2, width / height / 2
    sideways = Region(0.5 - across, 0.5 - down, 0.5 + across, 0.5 + down)
    return tuple(
        View(ViewKind.TILTED, replace(region, tilt_degrees=degrees))
        for region, degrees in ((sideways, 90.0), (Region(), 180.0), (sideways, 270.0))
    )


def quality_percent(square: NDArray[np.uint8]) -> int:
    """How much there is to see in a picture, 0 to 100: PDQ's measure, from the differences of 64 x 64 averages.

    Source: https://github.com/facebook/ThreatExchange/blob/main/hashing/hashing.pdf, "image-domain quality metric".

    Args:
        square: uint8[S, S].
    """
    small = Image.fromarray(square).resize((_QUALITY_SIDE_PX, _QUALITY_SIDE_PX), Image.Resampling.BOX)
    levels = np.asarray(small).astype(np.int32)
    steps = sum(int((np.abs(np.diff(levels, axis=axis)) * 100 // 255).sum()) for axis in (0, 1))
    return min(100, steps // _QUALITY_DIVISOR)


def _square(luma: NDArray[np.uint8], region: Region, side_px: int) -> NDArray[np.uint8]:
    """A region squeezed into a square; what of it lies beyond the picture is left out."""
    height, width = luma.shape
    left, right = region.left * width, region.right * width
    top, bottom = region.top * height, region.bottom * height
    x, y = (left + right) / 2, (top + bottom) / 2
    picture = Image.fromarray(np.ascontiguousarray(luma))
    quarter_turns, rest_degrees = divmod(region.tilt_degrees, _QUARTER_DEGREES)
    if rest_degrees:
        picture = picture.rotate(region.tilt_degrees, Image.Resampling.BILINEAR, center=(x, y))
        quarter_turns = 0
    if quarter_turns % 2:  # lying on its side, it covers as much across as it is high
        across, down = (bottom - top) / 2, (right - left) / 2
        left, top, right, bottom = x - across, y - down, x + across, y + down
    box = (*_within(left, right, width), *_within(top, bottom, height))
    square = picture.resize((side_px, side_px), Image.Resampling.BILINEAR, box=(box[0], box[2], box[1], box[3]))
    return np.rot90(np.asarray(square), int(quarter_turns))


def _within(low: float, high: float, limit_px: int) -> tuple[float, float]:
    """A range cut to 0 to `limit_px`, and never narrower than a pixel."""
    low = min(max(low, 0.0), limit_px - 1.0)
    return low, min(max(high, low + 1), float(limit_px))


def _described(path: Path) -> ModelDescription:
    try:
        fields = json.loads(_read(path))
        description = ModelDescription(
            id=str(fields["id"]),
            sha256=str(fields["sha256"]).lower(),
            size_px=int(fields["size_px"]),
            mean=tuple(float(each) for each in fields["mean"]),
            std=tuple(float(each) for each in fields["std"]),
            dims=int(fields["dims"]),
            licence=str(fields["licence"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ModelFileError(f"{path} does not describe a network: {error!r}", hint=_DOCUMENTED) from error
    is_sound = (
        1 <= description.size_px <= _MAX_SIZE_PX
        and 1 <= description.dims <= _MAX_DIMS
        and len(description.mean) == len(description.std) >= 1
        and all(np.isfinite(description.mean))
        and all(np.isfinite(each) and each > 0 for each in description.std)
    )
    if not is_sound:
        raise ModelFileError(
            f"{path} says {description}, expected 1 to {_MAX_SIZE_PX} px, 1 to {_MAX_DIMS} values, "
            "and a mean and a std above 0 for each channel",
            hint=_DOCUMENTED,
        )
    return description


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read: {error.strerror}", hint="name an ONNX file that has its JSON file beside it"
        ) from error


def _session(path: Path, data: bytes) -> InferenceSession:
    try:
        import onnxruntime  # noqa: PLC0415 - an optional extra
        from onnxruntime.capi import onnxruntime_pybind11_state as states  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise ExtraMissingError(
            "the descriptor network needs onnxruntime, which is not installed",
            hint="install it: pip install 'baken[deep]'",
        ) from error
    onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(4)  # what it would print is in the error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Weights in further files would be read by name, unchecked: they are looked for where nothing is.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", "/nonexistent")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except (
        states.Fail,
        states.InvalidArgument,
        states.InvalidGraph,
        states.InvalidProtobuf,
        states.NotImplemented,
        states.RuntimeException,
        states.NoSuchFile,
    ) as error:
        raise ModelFileError(f"onnxruntime cannot use {path}: {error}", hint=_DOCUMENTED) from error
