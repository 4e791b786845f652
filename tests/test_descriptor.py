"""The descriptor network: copies near each other, other pictures far, wrong files refused, odd pictures borne."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from baken import samples
from baken.copies import WHOLE_VIEW, Region, View, ViewKind
from baken.errors import ExtraMissingError, ModelFileError
from baken.fingerprints.descriptor import QUADRANTS, DescriptorNetwork, descriptor_views, quality_percent
from descriptor_models import SIDE_PX, node, write_network, write_with_weights_elsewhere

EVERYTHING = 0
SCENES = 8


@pytest.fixture(scope="module")
def network() -> DescriptorNetwork:
    return DescriptorNetwork.load()


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    return [samples.draw(seed, (512, 384)).convert("L") for seed in range(SCENES)]


def luma_of(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("L"))


def cosine(a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.float64]:
    return a.astype(float) @ b.astype(float).T / 127**2


def captioned(image: Image.Image) -> Image.Image:
    canvas = Image.new("L", (image.width, image.height + 60), 255)
    canvas.paste(image, (0, 60))
    return canvas


ALTERATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "cropped": lambda image: image.crop((40, 30, 480, 370)),
    "smaller": lambda image: image.resize((128, 96)),
    "darker": lambda image: image.point([value * 2 // 3 for value in range(256)]),
    "captioned": captioned,
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "upside down": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "tilted": lambda image: image.rotate(8, Image.Resampling.BILINEAR),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_altered_copy_is_nearer_to_its_original_than_to_any_other_picture(
    network: DescriptorNetwork, drawn: list[Image.Image], name: str
):
    banked = np.concatenate([network.describe(luma_of(image), [WHOLE_VIEW]).values for image in drawn])
    for row, image in enumerate(drawn):
        luma = luma_of(ALTERATIONS[name](image))
        asked = network.describe(luma, descriptor_views(luma, ())).values
        assert int(cosine(asked, banked).max(axis=0).argmax()) == row


def test_vectors_are_unit_vectors_of_the_shipped_network(network: DescriptorNetwork, drawn: list[Image.Image]):
    vectors = network.describe(luma_of(drawn[0]), descriptor_views(luma_of(drawn[0]), ()))
    assert (network.size, network.model_id) == (256, "baken-copy-1")
    assert vectors.model_id == network.model_id
    assert vectors.model_sha256 == network.model_sha256
    assert (vectors.values.dtype, vectors.values.shape) == (np.int8, (8, 256))
    np.testing.assert_allclose(np.linalg.norm(vectors.values.astype(float), axis=1), 127, atol=3)


def test_the_same_picture_gives_the_same_vectors_in_any_instance(drawn: list[Image.Image]):
    views = descriptor_views(luma_of(drawn[1]), ())
    first, second = (DescriptorNetwork.load().describe(luma_of(drawn[1]), views) for _ in range(2))
    np.testing.assert_array_equal(first.values, second.values)
    assert first.views == second.views == views


def test_the_shipped_network_says_its_licence_and_is_small():
    folder = Path(__file__).parent.parent / "src" / "baken" / "models"
    described = json.loads((folder / "copy-descriptor.json").read_text())
    assert described["licence"] == "Apache-2.0"
    assert (folder / "copy-descriptor.onnx").stat().st_size < 6_000_000


def test_plain_views_are_left_out(network: DescriptorNetwork, drawn: list[Image.Image]):
    luma = luma_of(drawn[2]).copy()
    luma[:192, :256] = 90
    vectors = network.describe(luma, (WHOLE_VIEW, *QUADRANTS))
    assert vectors.views == (WHOLE_VIEW, *QUADRANTS[1:])
    assert len(vectors.values) == 4
    nothing = network.describe(np.full((300, 400), 128, np.uint8), (WHOLE_VIEW, *QUADRANTS))
    assert nothing.views == ()
    assert nothing.values.shape == (0, 256)


def test_no_views_give_no_vectors(network: DescriptorNetwork):
    assert network.describe(np.zeros((9, 9), np.uint8), ()).values.shape == (0, 256)


@given(
    shape=st.tuples(st.sampled_from((1, 2, 7, 64, 300)), st.sampled_from((1, 3, 64, 512))),
    seed=st.integers(0, 9),
    edges=st.lists(st.floats(-3, 4), min_size=4, max_size=4),
    tilt=st.sampled_from((0.0, 90.0, 180.0, 270.0, -90.0, 360.0, 5.0, -12.5, 451.0)),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_no_picture_and_no_region_raises(
    network: DescriptorNetwork, shape: tuple[int, int], seed: int, edges: list[float], tilt: float
):
    luma = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)[:, ::-1]
    views = (*descriptor_views(luma, ()), View(ViewKind.TILTED, Region(*edges, tilt)))
    vectors = network.describe(luma, views, min_quality_percent=EVERYTHING)
    assert vectors.views == views
    assert vectors.values.shape == (len(views), 256)


def test_the_whole_two_content_boxes_the_quadrants_and_three_turns_are_described():
    boxes = tuple(View(ViewKind.TRIMMED, Region(0.1, 0.1, 0.9, bottom)) for bottom in (0.9, 0.8, 0.7))
    views = descriptor_views(np.zeros((300, 400), np.uint8), boxes)
    assert views[:7] == (WHOLE_VIEW, *boxes[:2], *QUADRANTS)
    assert [view.region.tilt_degrees for view in views[7:]] == [90, 180, 270]


def test_small_pictures_are_not_quartered():
    assert not set(QUADRANTS) & set(descriptor_views(np.zeros((100, 400), np.uint8), ()))


def test_a_turned_view_sees_the_picture_as_it_was_before_it_was_turned(
    network: DescriptorNetwork, drawn: list[Image.Image]
):
    luma = luma_of(drawn[3])
    upright = network.describe(luma, [WHOLE_VIEW]).values[0]
    for quarter_turns in (1, 2, 3):  # counterclockwise
        item = np.rot90(luma, quarter_turns)
        views = descriptor_views(item, ())
        seen = network.describe(item, views).values
        undone = [view.region.tilt_degrees for view in views].index(360 - 90 * quarter_turns)
        similar = cosine(seen, upright[None])[:, 0]
        assert similar[undone] > 0.99  # resizing rounds rows and columns in another order
        assert similar.argmax() == undone


def test_a_tilted_view_turns_clockwise(tmp_path: Path):
    network = DescriptorNetwork.load(write_network(tmp_path / "flat.onnx", side_px=2))
    luma = np.array([[255, 255], [0, 0]], np.uint8).repeat(32, 0).repeat(32, 1)
    # Up in the view is to the right in the picture, so that the picture's upper half lies at the left.
    for tilt in (90.0, 89.9):
        view = View(ViewKind.TILTED, Region(tilt_degrees=tilt))
        seen = network.describe(luma, [view], min_quality_percent=EVERYTHING).values[0].reshape(2, 2)
        assert (seen[:, 0] > 50).all()
        assert (seen[:, 1] < -50).all()


def test_a_network_of_an_operator_gets_each_channel_with_its_mean_and_deviation(tmp_path: Path):
    path = write_network(tmp_path / "own.onnx", channels=3, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    network = DescriptorNetwork.load(path)
    luma = np.arange(SIDE_PX**2, dtype=np.uint8).reshape(SIDE_PX, SIDE_PX) * 16
    vectors = network.describe(luma, [WHOLE_VIEW], min_quality_percent=EVERYTHING)
    wanted = np.concatenate(
        [(luma.ravel() / 255 - mean) / std for mean, std in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    )
    np.testing.assert_array_equal(vectors.values[0], np.rint(127 * wanted / np.linalg.norm(wanted)))
    assert (network.model_id, network.size) == ("flat-1", 48)
    assert network.model_sha256 == hashlib.sha256(path.read_bytes()).digest()


def test_a_network_that_takes_one_view_at_a_time_is_asked_so(tmp_path: Path, drawn: list[Image.Image]):
    batched = DescriptorNetwork.load(write_network(tmp_path / "many.onnx"))
    single = DescriptorNetwork.load(write_network(tmp_path / "one.onnx", batch=1))
    luma = luma_of(drawn[0])
    views = (WHOLE_VIEW, *QUADRANTS)
    np.testing.assert_array_equal(single.describe(luma, views).values, batched.describe(luma, views).values)


def test_a_view_without_a_direction_is_left_out(tmp_path: Path):
    flat = node("Flatten", outputs=["flat"])
    network = DescriptorNetwork.load(write_network(tmp_path / "log.onnx", nodes=[flat, node("Log", ["flat"])]))
    dark = np.zeros((8, 8), np.uint8)  # the logarithm of what is below the mean is no number
    assert network.describe(dark, [WHOLE_VIEW], min_quality_percent=EVERYTHING).views == ()


def test_the_quality_of_a_view_is_that_of_pdq():
    assert quality_percent(np.full((128, 128), 7, np.uint8)) == 0
    ramp = np.arange(64, dtype=np.uint8)[None].repeat(64, 0) * 4  # 64 rows of 63 steps of int(400 / 255) each
    assert quality_percent(ramp) == 64 * 63 // 90
    assert quality_percent(np.random.default_rng(0).integers(0, 256, (128, 128), np.uint8)) == 100


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ModelFileError, match=r"none\.json cannot be read"):
        DescriptorNetwork.load(tmp_path / "none.onnx")
    write_network(tmp_path / "gone.onnx").unlink()
    with pytest.raises(ModelFileError, match=r"gone\.onnx cannot be read"):
        DescriptorNetwork.load(tmp_path / "gone.onnx")


def test_a_file_with_another_checksum_is_refused(tmp_path: Path):
    path = write_network(tmp_path / "own.onnx")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelFileError, match="SHA-256"):
        DescriptorNetwork.load(path)


@pytest.mark.parametrize(
    "described",
    [
        {"size_px": 0},
        {"size_px": 1 << 20},
        {"dims": 0},
        {"dims": "many"},
        {"mean": []},
        {"mean": [0.5, 0.5]},
        {"mean": 0.5},
        {"std": [0]},
        {"std": [float("nan")]},
        {"std": None},
    ],
)
def test_a_description_that_cannot_be_is_refused(tmp_path: Path, described: dict[str, object]):
    with pytest.raises(ModelFileError, match=r"own\.json"):
        DescriptorNetwork.load(write_network(tmp_path / "own.onnx", **described))


@given(text=st.one_of(st.text(max_size=60), st.from_type(dict).map(repr), st.just("[]"), st.just("{}")))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_text_beside_a_network_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str):
    path = write_network(tmp_path_factory.mktemp("text") / "own.onnx")
    path.with_suffix(".json").write_text(text)
    with pytest.raises(ModelFileError, match="does not describe"):
        DescriptorNetwork.load(path)


def test_bytes_that_are_no_network_are_refused(tmp_path: Path):
    path = write_network(tmp_path / "own.onnx")
    for content in (b"", b"These are words.", path.read_bytes()[:40], bytes(range(256)) * 9):
        path.write_bytes(content)
        fields = json.loads(path.with_suffix(".json").read_text())
        fields["sha256"] = hashlib.sha256(content).hexdigest()
        path.with_suffix(".json").write_text(json.dumps(fields))
        with pytest.raises(ModelFileError, match=r"own\.onnx"):
            DescriptorNetwork.load(path)


@pytest.mark.parametrize("described", [{"dims": 17}, {"size_px": 5}, {"mean": [0, 0, 0], "std": [1, 1, 1]}])
def test_a_network_of_another_shape_than_described_is_refused(tmp_path: Path, described: dict[str, object]):
    with pytest.raises(ModelFileError, match="expected one float input"):
        DescriptorNetwork.load(write_network(tmp_path / "own.onnx", **described))


def test_weights_in_another_file_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_with_weights_elsewhere(tmp_path / "own.onnx")
    assert (tmp_path / "weights.bin").stat().st_size > 0
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError, match="onnxruntime cannot use"):
        DescriptorNetwork.load(path)


def test_without_onnxruntime_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ExtraMissingError) as caught:
        DescriptorNetwork.load()
    assert "baken[deep]" in caught.value.hint
