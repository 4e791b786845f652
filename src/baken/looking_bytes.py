"""Where the bytes of an item come from when somebody looks: the vault, else the platform's own media address."""

from __future__ import annotations

import logging
from enum import StrEnum

from baken.errors import NotFoundError, SealError, UnshowableError, VaultError
from baken.media import Media, NoMedia
from baken.model import Screening
from baken.vault import Vault

_SHA256_BYTES = 32
_log = logging.getLogger(__name__)
_HINT = "Decide from the facts, or look at it on the platform."


class Source(StrEnum):
    """Where bytes are."""

    VAULT = "vault"
    PLATFORM = "platform"


class Bytes:
    """Finds and reads the bytes of items."""

    def __init__(self, vault: Vault, media: Media) -> None:
        self._vault = vault
        self._media = media

    def of(self, screening: Screening) -> Source | None:
        """Where an item's bytes are, as far as is known without asking anybody."""
        sha256 = screening.fingerprints.sha256
        if len(sha256) != _SHA256_BYTES:
            return None  # no bytes were ever read
        if self._vault.held(sha256) is not None:
            return Source.VAULT
        return Source.PLATFORM if self._media.may_fetch(screening.meta.url) else None

    def read(self, screening: Screening) -> bytes:
        """An item's bytes.

        Raises:
            UnshowableError: there are none, not those that were screened, or they cannot be had or opened now.
        """
        sha256, url = screening.fingerprints.sha256, screening.meta.url
        held = self._vault.held(sha256)
        why = "no bytes of it are held, and it has no media address that may be asked"
        if held is not None:
            try:
                return self._vault.read(held)
            except (VaultError, SealError, NotFoundError) as error:
                why = error.message
                _log.warning("held bytes of screening %s cannot be shown: %s", screening.id, why)
        if url is not None and self._media.may_fetch(url):
            found = self._media.fetch(url, sha256)
            if not isinstance(found, NoMedia):
                return found
            why = found.detail
            _log.warning("the platform gave no bytes of screening %s: %s", screening.id, why)
        raise UnshowableError(f"the picture cannot be shown: {why}", hint=_HINT)
