"""The native kernel: PDQ fingerprints and the Hamming index. The GIL is released around every numeric call."""

from collections.abc import Sequence
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

def pdq(luma: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """The PDQ of a greyscale picture in all eight orientations, and its quality.

    Args:
        luma: uint8[H, W] with H and W at least 5. Rows may be apart in memory, the pixels of a row may not.

    Returns:
        `orientations`, uint8[8, 32]: row i is the PDQ of the picture after undoing transform i of `model.Transform`, so
            row 0 is the PDQ of the picture itself; `orientations[0].tobytes().hex()` is what lists exchange.
        `quality_percent`, 0 to 100: how much detail the picture carries.

    Raises:
        TypeError: `luma` is no uint8 array.
        ValueError: it has other than two dimensions, a side below 5 pixels, or gaps between the pixels of a row.

    Source: https://github.com/facebook/ThreatExchange/blob/main/hashing/hashing.pdf
    """

def pdq_regions(
    luma: NDArray[np.uint8], regions: NDArray[np.float64], repeat_edge: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The PDQ of parts of a greyscale picture in all eight orientations, and their quality.

    The filter is PDQ's at any size of the picture, without its lopsidedness at even windows: a part gives nearly the
    code of a file with these pixels alone, a few bits off.

    Args:
        luma: uint8[H, W]. Rows may be apart in memory, the pixels of a row may not.
        regions: float64[N, 5]: left, top, right and bottom in fractions of width and height, and the degrees by which
            the rectangle is turned clockwise about its centre.
        repeat_edge: whether the picture's edge goes on beyond it; else all is black there.

    Returns:
        `codes`, uint8[N, 8, 32], in the order of `pdq`, and `quality_percent`, uint8[N].

    Raises:
        TypeError: an argument is no array of its dtype.
        ValueError: a shape is wrong, the picture has no pixels, or a region has no area or a number that is not finite.
    """

def nearest_two(
    codes: NDArray[np.uint8], others: NDArray[np.uint8]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Of each code the nearest of the others, its distance, and that of the second nearest.

    Args:
        codes: uint8[N, 32].
        others: uint8[M, 32], 2 to 4,194,303 of them.

    Returns:
        `(other_row, distance_bits, second_distance_bits)`, int32[N] each; of equally near others the first.

    Raises:
        TypeError: an argument is no uint8 array.
        ValueError: a shape is wrong, an array has gaps in memory, or there are too few or too many others.
    """

def pairs_in_reach(
    places: NDArray[np.float32],
    codes: NDArray[np.uint8],
    other_places: NDArray[np.float32],
    other_codes: NDArray[np.uint8],
    reach_px: float,
    radius_bits: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Keypoints of two pictures that lie within reach of each other and look alike, each at most once.

    Of each other keypoint the one that looks nearest counts, and of these each keypoint's nearest; of equals the first.

    Args:
        places: float32[N, 2], x and y; one that is not finite is nowhere, and in no pair.
        codes: uint8[N, 32], what each looks like.
        other_places: float32[M, 2].
        other_codes: uint8[M, 32].
        reach_px: how far two places may be apart, in the unit of the places.
        radius_bits: how many bits two codes may differ in, 0 to 256.

    Returns:
        `(row, other_row, distance_bits)`: int64[R], int64[R], int32[R], one element a pair, ordered by distance_bits,
        then row.

    Raises:
        TypeError: an argument is no array of its dtype.
        ValueError: a shape is wrong, the lengths differ, an array has gaps in memory, another place is not finite,
            or a number is out of range.
    """

class _ArrowExporter(Protocol):
    def __arrow_c_array__(self) -> tuple[object, object]: ...

def arrow_uint8(exporter: _ArrowExporter) -> NDArray[np.uint8]:
    """A read-only view, uint8[N], of what an object exports; the view keeps the exporter's memory alive.

    Raises:
        ValueError: the exporter holds other than unsigned bytes without nulls, or does not hold them in one piece.

    Source: https://arrow.apache.org/docs/format/CDataInterface.html
    """

def confine(readable: Sequence[str], reads_everything: bool) -> tuple[str, str]:
    """Take from this process, for good, what a decoder never needs; call it while it has one thread.

    Afterwards there are no sockets, processes, programs or signals to others; files open for reading alone, and only
    those in `readable` (files and folders) unless it `reads_everything`. What is refused fails with EPERM or EACCES.
    The process leaves no core dump and is killed when the thread that started it ends.

    Returns:
        What the system refused, in words, of confining system calls (seccomp) and files (Landlock); empty where it
        holds. The list of system calls is for x86-64 and aarch64.
    """

def instruction_path() -> str:
    """The instruction path that kernels take now: `scalar`, `avx2` or `avx512`."""

def instruction_paths() -> list[str]:
    """The instruction paths this machine can run, slowest first; `scalar` is always among them."""

def set_instruction_path(name: str) -> None:
    """Make every later kernel call of the process take one path; all give the same results.

    Raises:
        ValueError: `name` is unknown, or this machine lacks the instructions.
    """

@final
class NearestMatches:
    """What `search_nearest` finds: the first three columns, int64[R], int64[R], int32[R], hold one element a match.

    They are ordered by query_row, distance_bits, id. A query is truncated where `match_count` is above the limit.
    """

    @property
    def query_row(self) -> NDArray[np.int64]: ...
    @property
    def id(self) -> NDArray[np.int64]: ...
    @property
    def distance_bits(self) -> NDArray[np.int32]: ...
    @property
    def match_count(self) -> NDArray[np.int64]:
        """int64[Q]: how many codes lie within the radius of each query, returned or not."""

@final
class IdGroups:
    """Which ids count, and within which radius: an id belongs to the group `id >> shift_bits`."""

    def __init__(self, groups: NDArray[np.int64], radius_bits: NDArray[np.int32], shift_bits: int) -> None:
        """Take int64[G] ascending groups and int32[G] radii; ids of other groups do not count.

        Raises:
            TypeError: an argument is no array of its dtype.
            ValueError: the groups do not ascend, the lengths differ, or the shift is not 0 to 63 bits.
        """

@final
class GroupMatches:
    """What `search_groups` finds: the first three columns hold one element a match, the others one an item and group.

    Matches are ordered by item, distance_bits, id; counts by item, group. An item and group without a match is absent.
    """

    @property
    def query_row(self) -> NDArray[np.int64]:
        """int64[R]: the item's code that is nearest to the match, the first of several."""

    @property
    def id(self) -> NDArray[np.int64]: ...
    @property
    def distance_bits(self) -> NDArray[np.int32]: ...
    @property
    def count_item(self) -> NDArray[np.int64]: ...
    @property
    def count_group(self) -> NDArray[np.int64]: ...
    @property
    def count(self) -> NDArray[np.int64]:
        """int64[C]: how many codes of the group matched the item, returned or not; owners, with member bits."""

    @property
    def counted_item(self) -> NDArray[np.int64]:
        """int64[M], ascending: the item that each of `counted_owner` matched."""

    @property
    def counted_owner(self) -> NDArray[np.int64]:
        """int64[M]: everything that matched, returned or not, each once: ids without their member bits, ascending."""

@final
class SearchPlan:
    """How one part of an index is searched for one query, and what that is expected to cost for random codes."""

    @property
    def rows(self) -> int:
        """Codes in it, removed ones included."""

    @property
    def removed_rows(self) -> int: ...
    @property
    def is_scanned(self) -> bool:
        """Whether every code is compared; else tables are looked up."""

    @property
    def table_radii(self) -> list[int]:
        """How many bits each table looks around the query's key, -1 for a table that is not used; empty for a scan."""

    @property
    def probes(self) -> float:
        """Buckets that are looked at."""

    @property
    def postings(self) -> float:
        """Postings in them."""

    @property
    def candidates(self) -> float:
        """Codes that are fetched and compared."""

    @property
    def cost_us(self) -> float:
        """Microseconds, by the costs that were measured for the active instruction path."""

@final
class HammingIndex:
    """256-bit codes with ids, searched exactly: every code within the radius is found.

    Thread-safe: any number of readers beside one writer at a time.
    """

    def __init__(self, member_bits: int = 0) -> None:
        """Make an empty index.

        Codes whose ids differ in their low `member_bits` bits only have one owner, the id without these bits. An owner
        counts once in `search_groups`, at its nearest code, and is removed and excluded as a whole.

        Raises:
            ValueError: `member_bits` is not 0 to 62.
        """

    def add(self, codes: NDArray[np.uint8], ids: NDArray[np.int64]) -> None:
        """Add uint8[N, 32] codes under int64[N] ids; an id may repeat (several codes of one entry), in any order.

        Raises:
            TypeError: an argument is no array of its dtype.
            ValueError: a shape is wrong, the lengths differ, or an array has gaps in memory.
        """

    def remove(self, ids: NDArray[np.int64]) -> int:
        """Remove every code of the int64[M] ids, or owners, and return how many went; unknown ones are no error.

        Raises:
            TypeError: `ids` is no int64 array.
            ValueError: its shape is wrong, or it has gaps in memory.
        """

    def search(
        self, codes: NDArray[np.uint8], radius_bits: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """Find every code at most `radius_bits` (0 to 256) from each of the uint8[Q, 32] queries.

        Returns:
            `(query_row, id, distance_bits)`: int64[R], int64[R], int32[R], one element a pair, ordered by query_row,
            distance_bits, id.

        Raises:
            TypeError: `codes` is no uint8 array.
            ValueError: its shape is wrong, it has gaps in memory, or the radius is out of range.
        """

    def search_nearest(self, codes: NDArray[np.uint8], radius_bits: int, limit: int) -> NearestMatches:
        """As `search`, but return at most `limit` matches of each query, the nearest, and count all of them.

        Equally near ones are taken by ascending id. Takes memory for twice the limit, however many codes match.

        Raises:
            TypeError: `codes` is no uint8 array.
            ValueError: its shape is wrong, it has gaps in memory, or the radius or the limit is out of range.
        """

    def search_groups(
        self,
        codes: NDArray[np.uint8],
        codes_an_item: int,
        groups: IdGroups,
        limit: int,
        excluded_ids: NDArray[np.int64],
        lists_counted: bool = False,
    ) -> GroupMatches:
        """Find the `limit` nearest matches of each item in each group of ids, and count all of them.

        Args:
            codes: uint8[Q, 32]; each `codes_an_item` rows ask for one item. A code of the index counts once for an
                item, at its distance to the nearest of the item's codes.
            codes_an_item: a divisor of Q.
            groups: which ids count, each group within its own radius.
            limit: how many matches are returned of an item and group, the nearest first, then by id.
            excluded_ids: int64[E], ids that do not count; of an index with member bits, owners.
            lists_counted: whether `counted_item` and `counted_owner` are filled, 16 bytes for each that matched.

        Raises:
            TypeError: an argument is no array of its dtype.
            ValueError: a shape is wrong, an array has gaps in memory, or a number is out of range.
        """

    def explain(self, radius_bits: int) -> list[SearchPlan]:
        """How each segment, and last the newest codes, would be searched for one query.

        Raises:
            ValueError: the radius is not 0 to 256.
        """

    def __len__(self) -> int:
        """How many codes a search looks through."""

    @property
    def memory_bytes(self) -> int:
        """How much memory the codes, ids and tables take, in bytes."""

@final
class IndexFolder:
    """A Hamming index in a folder of mapped files, shared by all processes of a machine.

    Thread-safe and process-safe: any number of readers beside any number of writers; writers take turns. A search sees
    every change that returned before it started, in whichever process. What a method has returned survives the death of
    the process, and a power cut too when it was told to `sync`. Layout: docs/reference/index-format.md.

    Every method raises a subclass of `baken.errors.IndexFileError` when the files cannot be read or written, and
    ValueError after `close`.
    """

    def __init__(
        self,
        path: str,
        database_id: str,
        reset: bool = False,
        lock_timeout_seconds: float = 30.0,
        member_bits: int = 0,
    ) -> None:
        """Open the index in a folder.

        Args:
            path: the folder.
            database_id: at most 64 bytes; an index of another database is refused.
            reset: make the index, or empty it when it is damaged or of another database. A newer one stays as it is.
            lock_timeout_seconds: how long a writer waits for another.
            member_bits: as of `HammingIndex`. The files do not hold it: name it in `database_id`.

        Raises:
            ValueError: `database_id` is too long, or `member_bits` is not 0 to 62.
        """

    def add(self, codes: NDArray[np.uint8], ids: NDArray[np.int64], sync: bool = True) -> None:
        """Add uint8[N, 32] codes under int64[N] ids; an id may repeat.

        Raises:
            TypeError: an argument is no array of its dtype.
            ValueError: a shape is wrong, the lengths differ, or an array has gaps in memory.
        """

    def remove(self, ids: NDArray[np.int64], sync: bool = True) -> int:
        """Remove every code of the int64[M] ids, or owners, and return how many went; unknown ones are no error.

        Raises:
            TypeError: `ids` is no int64 array.
            ValueError: its shape is wrong, or it has gaps in memory.
        """

    def replace(
        self,
        removed_ids: NDArray[np.int64],
        codes: NDArray[np.uint8],
        ids: NDArray[np.int64],
        applied_seq: int,
        sync: bool = True,
    ) -> int:
        """Remove, add and commit in one step that happens whole or not at all.

        A search beside it sees the new codes before the old ones are gone, never neither.

        Returns:
            How many codes went.

        Raises:
            TypeError: an argument is no array of its dtype.
            ValueError: a shape is wrong, the lengths differ, or an array has gaps in memory.
        """

    def commit(self, applied_seq: int, sync: bool = True, applied_token: int = 0) -> None:
        """Say that the index equals the database up to this change; a number below the last one changes nothing.

        `applied_token`, 0 to 2**64 - 1, tells the change from that of this number in another history.
        """

    def search(
        self, codes: NDArray[np.uint8], radius_bits: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """As `HammingIndex.search`."""

    def search_nearest(self, codes: NDArray[np.uint8], radius_bits: int, limit: int) -> NearestMatches:
        """As `HammingIndex.search_nearest`."""

    def search_groups(
        self,
        codes: NDArray[np.uint8],
        codes_an_item: int,
        groups: IdGroups,
        limit: int,
        excluded_ids: NDArray[np.int64],
        lists_counted: bool = False,
    ) -> GroupMatches:
        """As `HammingIndex.search_groups`."""

    def explain(self, radius_bits: int) -> list[SearchPlan]:
        """As `HammingIndex.explain`."""

    def clear(self) -> None:
        """Remove everything; `applied_seq` is -1 afterwards."""

    def condemn(self) -> None:
        """Tell all processes that the index must not be trusted: `applied_seq` is -1 until it is cleared or built.

        Takes no space on the disk.
        """

    def merge(self, bytes_per_second: int = 0, *, settle: bool = False) -> int:
        """Merge segments until none is due and return how many were written; others search and write meanwhile.

        Returns 0 at once when another thread or process is merging. Takes 8 bytes of memory a merged row, at most 256
        MiB, and writes at most `bytes_per_second` (0: no limit). `settle` leaves fewer segments, which are faster to
        search: for an index to which nothing is added for a while.

        Raises:
            IndexCorruptError: a checksum of what would be merged is wrong; nothing is.
        """

    def merge_due(self, *, settle: bool = False) -> bool:
        """Whether `merge` would write something."""

    def verify(self) -> None:
        """Read everything and check every checksum."""

    def close(self) -> None:
        """Let go of the files; repeating it does nothing."""

    def __len__(self) -> int:
        """How many codes a search looks through."""

    @property
    def applied_seq(self) -> int:
        """The last change of the database that is in the index; -1 when none is."""

    @property
    def applied_token(self) -> int:
        """What was committed with `applied_seq`; 0 when nothing was."""

    @property
    def read_only(self) -> bool:
        """Whether this process may only read the folder; whatever would write raises `IndexReadOnlyError` then."""

    @property
    def segment_count(self) -> int:
        """How many segments a search goes through."""

    @property
    def memory_bytes(self) -> int:
        """Memory of this process alone, in bytes."""

    @property
    def mapped_bytes(self) -> int:
        """Mapped files that all processes share, in bytes."""

@final
class IndexBuild:
    """Makes a whole new index of rows that come in any number of calls, beside the index that counts.

    Nothing else merges or builds the index meanwhile. Memory does not grow with the rows: 256 MiB at most, the rest
    goes to files.
    """

    def __init__(self, folder: IndexFolder) -> None:
        """Begin.

        Raises:
            IndexLockedError: another process merges or builds for longer than the folder's timeout.
        """

    def add(self, codes: NDArray[np.uint8], ids: NDArray[np.int64]) -> None:
        """Add uint8[N, 32] codes under int64[N] ids; an id may repeat.

        Raises:
            TypeError: an argument is no array of its dtype.
            ValueError: a shape is wrong, the lengths differ, or an array has gaps in memory.
        """

    def finish(self, applied_seq: int, applied_token: int = 0) -> None:
        """Put the built index, in one step, in the place of everything that the folder holds."""

    def close(self) -> None:
        """Give up what is not finished; repeating it does nothing."""

@final
class IndexCheck:
    """Checks every checksum of an index as it was when this was made, a piece at a time.

    It reads the files and leaves the system's cache as it was.
    """

    def __init__(self, folder: IndexFolder) -> None: ...
    def step(self, size_bytes: int) -> int:
        """Check up to `size_bytes` more and return how many; 0 when all is done.

        Raises:
            IndexFileError: a checksum is wrong, or the files cannot be read.
        """
