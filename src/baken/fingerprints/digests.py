"""Exact digests of a file's bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Digests:
    """`sha256` (32 bytes, FIPS 180-4), `sha1` (20 bytes, likewise) and `md5` (16 bytes, RFC 1321) of the same bytes."""

    sha256: bytes
    sha1: bytes
    md5: bytes


def digests_of(chunks: Iterable[bytes]) -> Digests:
    """The digests of the chunks in order, read once.

    MD5 and SHA-1 protect nothing here: they are what older lists exchange.
    """
    sha256 = hashlib.sha256()
    sha1 = hashlib.sha1(usedforsecurity=False)
    md5 = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        sha256.update(chunk)
        sha1.update(chunk)
        md5.update(chunk)
    return Digests(sha256.digest(), sha1.digest(), md5.digest())
