"""Frames, pages and pictures over black through the whole flow: asked, banked, named, and never silently left out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import heif_files
import hostile_files
import picture_files
from altered_files import bordered, drawn, jpeg, png
from baken import banking, pipeline
from baken.banking import NewPicture
from baken.candidates import CandidateChecker
from baken.copies import FIRST_FRAME_VIEW, MAX_BANKED_FRAMES, FrameRef, MatchStage, ViewKind, ViewSet
from baken.decisions import verdict_of
from baken.fingerprints import Asked, compute
from baken.images import Frame, Frames, Picture, decode, further_frames
from baken.keeping import Keeping
from baken.known import KnownFollower
from baken.model import (
    Finding,
    FingerprintKind,
    Fingerprints,
    ItemMeta,
    Match,
    Provenance,
    Purpose,
    Screening,
    Transform,
    Unscreenable,
    UnscreenableReason,
    Verdict,
)
from baken.pipeline import Gate
from baken.samples_files import encoded
from baken.sealing import Sealer
from baken.store import Store
from baken.view_words import match_words
from baken.web import wire
from baken.workers import FileFingerprinter
from baken.workers_pool import InProcess
from command_line import Command

SIZE_PX = (320, 240)
COUNT = 7
KNOWN_FRAME = 4
SCENES = [drawn(seed).resize(SIZE_PX) for seed in range(40, 40 + COUNT)]
BLACK = Image.new("RGB", SIZE_PX)


def film(format_name: str, pictures: list[Image.Image], **options: object) -> bytes:
    first, *others = [each.copy() for each in pictures]  # Pillow leaves the options of one format with a picture
    return encoded(first, format_name, save_all=True, append_images=others, **options)


FILMS: dict[str, Callable[[list[Image.Image]], bytes]] = {
    "gif": lambda shown: film("GIF", [each.quantize(200) for each in shown]),
    "png": lambda shown: film("PNG", shown, compress_level=1),
    "webp": lambda shown: film("WEBP", shown, method=0, quality=85),
    "avif": lambda shown: film("AVIF", shown, speed=10, quality=90),
    "tiff": lambda shown: film("TIFF", shown),
    "heic": lambda shown: heif_files.file_of(
        [heif_files.coded(each.resize((160, 120)), "heic") for each in shown], b"heic"
    ),
}


class World:
    """A store with one bank, and a gate before it."""

    def __init__(self, store: Store, folder: Path, *, keeps_keypoints: bool = False) -> None:
        self.store = store
        self.keeping = Keeping(Sealer(folder / "feature.key"))
        self.known = KnownFollower(store)
        self.gate = Gate(self.known, CandidateChecker(store.kept, self.keeping.sealer))
        self.make("known", Purpose.KNOWN_ABUSE, Verdict.BLOCK, keeps_keypoints=keeps_keypoints)

    def make(self, name: str, purpose: Purpose, verdict: Verdict, *, keeps_keypoints: bool = False) -> None:
        """A bank."""
        self.store.create_bank(
            name, purpose, radius_bits=31, verdict=verdict, keeps_keypoints=keeps_keypoints, actor="test"
        )

    def bank(self, data: bytes, name: str = "known", view_set: ViewSet | None = None) -> int:
        """The id of the entry that a file became."""
        added = banking.add_picture(
            self.store,
            self.known,
            name,
            NewPicture(data),
            Provenance("files", "test"),
            actor="test",
            fingerprinter=FileFingerprinter(),
            decoding=InProcess(),
            keeping=self.keeping,
            view_set=view_set,
        )
        return added.ids[0]

    def screen(self, data: bytes, gate: Gate | None = None) -> Screening:
        """Screen and record an item; what is read again says the same."""
        screening = pipeline.screen(data, ItemMeta(), gate or self.gate, self.store)
        assert wire.screening(self.store.screening(screening.id)) == wire.screening(screening)
        return screening

    def match(self, data: bytes, gate: Gate | None = None) -> Match:
        """The one match of an item."""
        [match] = self.screen(data, gate).outcome.matches
        return match


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    """On each engine."""
    return World(store, tmp_path)


@pytest.fixture
def sqlite_world(tmp_path: Path) -> Iterator[World]:
    """On SQLite alone, for what does not depend on the database."""
    with Store.initialise(f"sqlite:///{tmp_path / 'baken.sqlite3'}") as store:
        yield World(store, tmp_path)


def asked(data: bytes, max_frames: int = 16) -> Fingerprints:
    picture = decode(data)
    frames = further_frames(data, picture)
    return compute(data, picture, frames, asked=Asked(query_views=True, max_frames=max_frames))


@pytest.mark.parametrize("name", FILMS)
def test_a_banked_still_is_found_as_a_frame_with_its_number(sqlite_world: World, name: str):
    sqlite_world.bank(png(SCENES[KNOWN_FRAME]), view_set=ViewSet.NONE)
    screening = sqlite_world.screen(FILMS[name](SCENES))
    [match] = screening.outcome.matches
    assert match.view.frame == FrameRef(KNOWN_FRAME)
    assert (match.view.kind, match.stage) == (ViewKind.WHOLE, MatchStage.VIEWS)
    assert screening.outcome.verdict is Verdict.BLOCK


@pytest.mark.parametrize("name", ["gif", "png", "webp", "avif", "tiff"])
def test_a_still_of_any_frame_finds_the_banked_file_and_names_the_frame(sqlite_world: World, name: str):
    entry_id = sqlite_world.bank(FILMS[name](SCENES))
    for number, scene in enumerate(SCENES):
        match = sqlite_world.match(jpeg(scene))
        assert (match.entry_id, match.entry_view.frame) == (entry_id, FrameRef(number))
        assert verdict_of(match) is Verdict.BLOCK  # frames are whole pictures, which need no check
        assert match.entry_view_number == (0 if number == 0 else FIRST_FRAME_VIEW + number - 1)


def test_a_mirrored_frame_is_told_in_words(world: World):
    world.bank(png(ImageOps.mirror(SCENES[KNOWN_FRAME])), view_set=ViewSet.NONE)
    match = world.match(FILMS["gif"](SCENES))
    assert match.transform is Transform.MIRRORED
    assert match_words(match) == "the whole item (frame 4, mirrored) shows the whole banked picture"


def test_a_frame_of_the_item_matches_a_frame_of_the_banked_file(world: World):
    world.bank(FILMS["gif"](SCENES[:4]))
    match = world.match(FILMS["webp"]([*SCENES[4:], SCENES[2]]))
    assert match.view.frame == FrameRef(3)
    assert match.entry_view.frame == FrameRef(2)
    assert "(frame 3) shows the whole banked picture (frame 2)" in match_words(match)


def test_a_frame_between_bars_is_found_in_its_content_box(sqlite_world: World):
    sqlite_world.bank(png(SCENES[KNOWN_FRAME]), view_set=ViewSet.NONE)
    match = sqlite_world.match(FILMS["gif"]([bordered(each) for each in SCENES]))
    assert match.view.frame == FrameRef(KNOWN_FRAME)
    assert match.view.kind is ViewKind.TRIMMED


def transparent(strokes_from: Image.Image) -> Image.Image:
    """A logo: one colour that is opaque where the picture is dark."""
    grey = np.asarray(strokes_from.convert("L"))
    logo = np.zeros((*grey.shape, 4), np.uint8)
    logo[..., :3], logo[..., 3] = 128, 255 - grey
    return Image.fromarray(logo)


@pytest.mark.parametrize("page", ["white", "black"])
def test_a_transparent_banked_picture_is_found_on_both_pages(sqlite_world: World, page: str):
    logo = transparent(SCENES[0])
    sqlite_world.bank(png(logo))
    on_page = Image.new("RGBA", SIZE_PX, page)
    on_page.alpha_composite(logo)
    match = sqlite_world.match(png(on_page.convert("RGB")))
    assert match.entry_view.frame == FrameRef(is_over_black=page == "black")


@pytest.mark.parametrize("page", ["white", "black"])
def test_a_transparent_item_is_asked_on_both_pages(sqlite_world: World, page: str):
    logo = transparent(SCENES[0])
    on_page = Image.new("RGBA", SIZE_PX, page)
    on_page.alpha_composite(logo)
    sqlite_world.bank(png(on_page.convert("RGB")), view_set=ViewSet.NONE)
    match = sqlite_world.match(png(logo))
    assert match.view.frame == FrameRef(is_over_black=page == "black")
    assert ("over black" in match_words(match)) == (page == "black")


def test_white_strokes_are_led_by_what_they_show_over_black():
    strokes = np.full((*reversed(SIZE_PX), 4), 255, np.uint8)
    strokes[..., 3] = np.asarray(SCENES[1].convert("L"))
    computed = asked(png(Image.fromarray(strokes)))
    assert computed.unscreenable is None
    assert computed.frame == FrameRef(is_over_black=True)


def test_a_black_first_frame_gives_the_lead_to_the_first_rich_one(world: World):
    shown = [BLACK, *SCENES]
    world.bank(png(SCENES[0]), view_set=ViewSet.NONE)
    screening = world.screen(FILMS["gif"](shown))
    [match] = screening.outcome.matches
    assert (match.stage, match.view.frame) == (MatchStage.FINGERPRINT, FrameRef(1))
    kept = screening.fingerprints
    assert (kept.frame, kept.unscreenable, kept.unseen) == (FrameRef(1), None, None)


def test_a_banked_film_that_fades_in_has_the_fingerprint_of_its_first_rich_frame(sqlite_world: World):
    entry_id = sqlite_world.bank(FILMS["gif"]([BLACK, *SCENES]))
    entry = sqlite_world.store.entry("known", entry_id)
    assert FingerprintKind.PDQ in {code.kind for code in entry.fingerprints}
    assert sqlite_world.match(jpeg(SCENES[0])).stage is MatchStage.FINGERPRINT
    assert sqlite_world.match(jpeg(SCENES[3])).entry_view.frame == FrameRef(4)


def test_a_film_of_plain_frames_alone_is_of_low_quality(sqlite_world: World):
    screening = sqlite_world.screen(FILMS["gif"]([BLACK, Image.new("RGB", SIZE_PX, "white")]))
    assert screening.outcome.reason == UnscreenableReason.LOW_QUALITY


def test_frames_that_show_the_same_are_asked_once():
    still = asked(png(SCENES[0])).query_views
    film_of_one = asked(FILMS["webp"]([SCENES[0]] * 5 + [SCENES[0].rotate(0.2)])).query_views
    assert still is not None
    assert film_of_one is not None
    assert {view.frame for view in film_of_one.views} == {FrameRef()}


def test_no_more_frames_are_asked_than_are_wanted():
    data = FILMS["gif"](SCENES)
    for max_frames in (0, 1, 3):
        views = asked(data, max_frames).query_views
        assert views is not None
        assert len({view.frame for view in views.views}) == 1 + max_frames
    assert asked(data, 1).query_views.views[-1].frame == FrameRef(COUNT - 1)  # type: ignore[union-attr]


def tiff_with_broken(*numbers: int) -> bytes:
    """Pages, of some of which no decoder can read the strips."""
    data = bytearray(film("TIFF", SCENES, compression="tiff_adobe_deflate"))
    with Image.open(io.BytesIO(bytes(data))) as image:
        for number in numbers:
            image.seek(number)
            at, size = (image.tag_v2[tag][0] for tag in (273, 279))  # type: ignore[attr-defined]
            data[at : at + size] = b"\xff" * size
    return bytes(data)


def test_a_frame_that_cannot_be_decoded_is_told_and_the_file_is_not_clear(world: World):
    data = tiff_with_broken(2, 5)
    screening = world.screen(data)
    assert (screening.outcome.finding, screening.outcome.verdict) == (Finding.UNSCREENABLE, Verdict.HOLD)
    assert screening.outcome.reason == UnscreenableReason.PARTLY_SEEN
    assert screening.fingerprints.not_checked is not None
    assert "2 of the frames looked at were not seen (2, 5)" in screening.fingerprints.not_checked.detail
    world.bank(png(SCENES[KNOWN_FRAME]), view_set=ViewSet.NONE)
    assert world.match(data).view.frame == FrameRef(KNOWN_FRAME)


def test_a_first_page_that_cannot_be_decoded_leaves_the_lead_to_the_next(sqlite_world: World):
    sqlite_world.bank(png(SCENES[1]), view_set=ViewSet.NONE)
    computed = asked(tiff_with_broken(0))
    assert computed.frame == FrameRef(1)
    assert computed.unscreenable is None
    assert computed.unseen is not None
    assert sqlite_world.match(tiff_with_broken(0)).view.frame == FrameRef(1)


def test_a_film_cut_inside_a_frame_is_not_clear(sqlite_world: World):
    for name in ("gif", "png", "webp"):
        whole = FILMS[name](SCENES)
        cut = sqlite_world.screen(whole[: len(whole) - len(whole) // COUNT // 2])
        assert cut.outcome.reason == UnscreenableReason.PARTLY_SEEN, name
        assert sqlite_world.screen(whole).outcome.finding is Finding.CLEAR


def test_a_default_image_that_only_viewers_without_animation_show_is_asked(sqlite_world: World):
    moving, hidden = SCENES[2], SCENES[KNOWN_FRAME]
    data = picture_files.png_with_hidden_default(picture_files.rgb_of(hidden), picture_files.rgb_of(moving), (0, 0))
    sqlite_world.bank(png(hidden), view_set=ViewSet.NONE)
    match = sqlite_world.match(data)
    assert match.view.frame == FrameRef(1)


def test_small_frames_on_a_vast_canvas_cost_what_they_show():
    vast = hostile_files.gif_of([(n % 8, n % 7, 4, 4) for n in range(50)], (8000, 8000), count=100)
    picture = decode(vast)
    frames = further_frames(vast, picture)
    assert isinstance(frames, Frames)
    *drawn, last = frames.sample(after_first=True)
    assert len(drawn) <= 3
    assert isinstance(last.picture, Unscreenable)
    assert last.picture.reason is UnscreenableReason.TOO_MANY_PIXELS


def test_a_gif_of_more_frames_than_are_walked_is_not_clear():
    endless = hostile_files.gif_of([(n % 8, n % 7, 4, 4) for n in range(50)], (64, 64), count=101_000)
    computed = asked(endless, max_frames=1)
    assert computed.not_checked is not None
    assert computed.not_checked.reason is UnscreenableReason.PARTLY_SEEN


def test_a_check_looks_at_the_frame_that_was_near(tmp_path: Path):
    with Store.initialise(f"sqlite:///{tmp_path / 'baken.sqlite3'}") as store:
        world = World(store, tmp_path, keeps_keypoints=True)
        world.bank(png(SCENES[KNOWN_FRAME]))
        match = world.match(FILMS["png"](SCENES))
        assert match.view.frame == FrameRef(KNOWN_FRAME)
        assert match.evidence is not None
        assert match.evidence.is_same
        banked_film = world.bank(FILMS["webp"](SCENES[:3]))
        match = world.match(jpeg(SCENES[2]))
        assert (match.entry_id, match.evidence) == (banked_film, None)
        assert match.verdict is Verdict.BLOCK


def test_a_benign_frame_explains_no_other_frame(sqlite_world: World):
    sqlite_world.bank(png(SCENES[1]), view_set=ViewSet.NONE)
    sqlite_world.make("benign", Purpose.BENIGN, Verdict.ALLOW)
    sqlite_world.bank(png(SCENES[2]), "benign", view_set=ViewSet.NONE)
    assert sqlite_world.match(FILMS["gif"](SCENES)).view.frame == FrameRef(1)
    sqlite_world.bank(png(SCENES[1]), "benign", view_set=ViewSet.NONE)
    outcome = sqlite_world.screen(FILMS["gif"](SCENES)).outcome
    assert (outcome.finding, len(outcome.suppressed)) == (Finding.CLEAR, 1)


def test_more_pictures_than_a_banked_file_may_have_are_spread_over_it(sqlite_world: World):
    scenes = [drawn(seed).resize((64, 48)) for seed in range(200, 200 + MAX_BANKED_FRAMES + 9)]
    entry_id = sqlite_world.bank(FILMS["tiff"](scenes))
    kept = sqlite_world.store.kept.entry_views_of([entry_id])[entry_id].views
    assert len(kept.frames) <= MAX_BANKED_FRAMES
    assert kept.frames[-1].number == len(scenes) - 1
    assert kept.numbers[-1] == FIRST_FRAME_VIEW + len(kept.frames) - 1


def picture(image: Image.Image) -> Picture:
    return Picture(np.asarray(image.convert("L")), "film", *image.size, exact=False)


def test_frames_with_a_time_come_in_by_the_same_door(sqlite_world: World):
    def sample(numbers: list[int]) -> Iterator[Frame]:
        for number in numbers:
            yield Frame(number, picture(SCENES[number]), time_seconds=number / 4)

    frames = Frames("film", COUNT, True, sample)
    computed = compute(b"film", None, frames, asked=Asked(query_views=True, max_frames=COUNT))
    assert (computed.format, computed.frame) == ("film", FrameRef(0, 0.0))
    sqlite_world.bank(png(SCENES[KNOWN_FRAME]), view_set=ViewSet.NONE)
    [match] = sqlite_world.known.refresh().search(computed).matches
    assert match.view.frame == FrameRef(KNOWN_FRAME, KNOWN_FRAME / 4)
    assert match_words(match) == "the whole item (frame 4 at 1.0 s) shows the whole banked picture"


def test_a_file_of_which_no_frame_can_be_seen_keeps_the_first_reason():
    broken = Unscreenable(UnscreenableReason.CORRUPT, "no")
    frames = Frames("film", 2, True, lambda numbers: (Frame(number, broken) for number in numbers))
    computed = compute(b"film", None, frames, asked=Asked(max_frames=4))
    assert (computed.unscreenable, computed.pdq) == (broken, None)


def test_a_gate_that_asks_no_frames_sees_the_first_alone(sqlite_world: World):
    sqlite_world.bank(png(SCENES[KNOWN_FRAME]), view_set=ViewSet.NONE)
    first_alone = replace(sqlite_world.gate, max_frames=0)
    assert sqlite_world.screen(FILMS["gif"](SCENES), first_alone).outcome.finding is Finding.CLEAR


def test_the_commands_bank_an_animation_and_pages_and_name_what_they_find(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    baken = Command(capsys, tmp_path / "data")
    (tmp_path / "film.gif").write_bytes(FILMS["gif"]([BLACK, *SCENES[:3]]))
    (tmp_path / "pages.tif").write_bytes(FILMS["tiff"](SCENES[4:]))
    (tmp_path / "still.jpg").write_bytes(jpeg(SCENES[5]))
    (tmp_path / "first.jpg").write_bytes(jpeg(SCENES[0]))
    baken.ok("init")
    baken.ok("bank", "create", "b", "--purpose", "watch")
    baken.ok("bank", "add", "b", tmp_path / "film.gif", tmp_path / "pages.tif", "--source", "test")
    lines = baken("screen", tmp_path / "still.jpg", tmp_path / "first.jpg", "--json").json_lines
    page, first = (line["matches"][0] for line in lines)
    assert (page["entry_id"], page["entry_view"]["frame_number"]) == (2, 1)
    assert (first["entry_id"], first["stage"]) == (1, "fingerprint")
    assert "(frame 1)" in baken("screen", tmp_path / "still.jpg").out
    (printed,) = baken.ok("fingerprint", tmp_path / "film.gif", "--json").json_lines
    assert printed["pdq"] in baken.ok("bank", "export", "b").out
