"""Under which ids the indexes of the known entries hold codes: an id carries bank and entry, so a match needs no table.

An *owner* is bank and entry in one number, 23 and 40 bits. The ids of plain codes are owners. The ids of the views'
codes carry the view's number too, and leave less for bank and entry: 20 and 35 bits, and 8 for the number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from baken.errors import StoreError
from baken.model import PDQ_BYTES, FingerprintKind

Ids = NDArray[np.int64]

ENTRY_BITS = 40
ENTRY_MASK = (1 << ENTRY_BITS) - 1

VIEW_NUMBER_BITS = 8
VIEW_NUMBER_MASK = (1 << VIEW_NUMBER_BITS) - 1
VIEW_BANK_SHIFT = 43
MAX_VIEW_ENTRY_ID = (1 << (VIEW_BANK_SHIFT - VIEW_NUMBER_BITS)) - 1
MAX_VIEW_BANK_ID = (1 << (63 - VIEW_BANK_SHIFT)) - 1

NO_IDS: Ids = np.empty(0, np.int64)


def index_ids(entry_ids: Ids, bank_ids: Ids) -> Ids:
    """The ids under which an index holds the plain codes of entries, which are their owners: int64[N]."""
    return (bank_ids << ENTRY_BITS) | entry_ids


def view_ids(entry_ids: Ids, bank_ids: Ids, numbers: NDArray[np.uint8]) -> Ids:
    """The ids under which the index of views holds codes: int64[N]; `numbers` is uint8[N].

    Raises:
        StoreError: a bank or an entry has an id that is too large for this index.
    """
    if len(entry_ids) and (entry_ids.max() > MAX_VIEW_ENTRY_ID or bank_ids.max() > MAX_VIEW_BANK_ID):
        raise StoreError(
            f"entry {entry_ids.max()} of bank {bank_ids.max()} has views, and the index of views ends at entry "
            f"{MAX_VIEW_ENTRY_ID} and bank {MAX_VIEW_BANK_ID}",
            hint="keep no views in banks that are made so late: set their view set to none",
        )
    return _view_owners(entry_ids, bank_ids) << VIEW_NUMBER_BITS | numbers


def view_owners(owners: Ids) -> Ids:
    """Owners as the index of views names them; those that are too large for it have no views and are left out."""
    entry_ids, bank_ids = owners & ENTRY_MASK, owners >> ENTRY_BITS
    fits = (entry_ids <= MAX_VIEW_ENTRY_ID) & (bank_ids <= MAX_VIEW_BANK_ID)
    return _view_owners(entry_ids[fits], bank_ids[fits])


def owners_of_views(owners: Ids) -> Ids:
    """The same the other way round."""
    entry_bits = VIEW_BANK_SHIFT - VIEW_NUMBER_BITS
    return (owners >> entry_bits << ENTRY_BITS) | (owners & MAX_VIEW_ENTRY_ID)


def _view_owners(entry_ids: Ids, bank_ids: Ids) -> Ids:
    return (bank_ids << (VIEW_BANK_SHIFT - VIEW_NUMBER_BITS)) | entry_ids


def index_codes(kind: FingerprintKind, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The codes, uint8[N, 32], under which an index holds values of one kind, uint8[N, kind.size_bytes]."""
    if kind is FingerprintKind.PDQ:
        return np.ascontiguousarray(values)
    return stacked(digest_code(kind, row.tobytes()) for row in values)


def digest_code(kind: FingerprintKind, value: bytes) -> bytes:
    """32 bytes for the value of an exact digest, which no digest of another kind has."""
    return hashlib.blake2b(value, digest_size=32, person=kind.value.encode()).digest()


def stacked(codes: Iterable[bytes]) -> NDArray[np.uint8]:
    """Codes of 32 bytes as uint8[N, 32]."""
    return np.frombuffer(b"".join(codes), dtype=np.uint8).reshape(-1, PDQ_BYTES)
