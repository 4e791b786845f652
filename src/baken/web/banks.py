"""`/v1/banks` and their entries: created, listed, added to, paused, resumed and withdrawn, always with an actor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Path, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from baken import banking
from baken.errors import InvalidValueError, TooLargeError
from baken.flood import FloodLimits
from baken.model import (
    ID_LIMIT,
    BankState,
    EntryState,
    Fingerprint,
    FingerprintKind,
    NewEntry,
    Provenance,
)
from baken.values import check_bank, parse_fingerprint
from baken.web import bodies, wire
from baken.web.auth import actor_of
from baken.web.errors import InvalidFieldError
from baken.web.openapi import document
from baken.web.paging import Cursor, Limit, after_id_of
from baken.web.service import Service

_SMALL_SIZE_BYTES = 64 * 1024
_ENTRY_SIZE_BYTES = 2048

_CHANGES: dict[str, tuple[BankState, EntryState, type[wire.Change | wire.OptionalChange]]] = {
    "pause": (BankState.PAUSED, EntryState.PAUSED, wire.Change),
    "resume": (BankState.ACTIVE, EntryState.ACTIVE, wire.OptionalChange),
    "withdraw": (BankState.WITHDRAWN, EntryState.WITHDRAWN, wire.Change),
}
_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {
    shape: msgspec.json.Decoder(shape)
    for shape in (
        wire.NewBank,
        wire.BankChange,
        wire.NewEntries,
        wire.EntryWithdrawal,
        wire.Change,
        wire.OptionalChange,
    )
}

T = TypeVar("T")
BankName = Annotated[str, Path(max_length=100, pattern="^[^\\x00]*$", description="The bank's name.")]
EntryId = Annotated[int, Path(ge=1, le=ID_LIMIT - 1, description="The entry's id.")]


class Banks:
    """The routes under `/v1/banks`. All need the scope `banks`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._store = service.baken.store
        settings = service.baken.settings
        self._min_quality_percent = settings.min_quality_percent
        self._max_entries = settings.max_bulk_entries
        self._bulk_size_bytes = self._max_entries * _ENTRY_SIZE_BYTES + _SMALL_SIZE_BYTES

    def routes(self) -> list[BaseRoute]:
        """The routes, documented."""
        router = APIRouter(prefix="/v1/banks", tags=["banks"])
        add = router.add_api_route
        one, entries = "/{name}", "/{name}/entries"
        add("", self.create, methods=["POST"], **document(wire.Bank, 201, takes=wire.NewBank, also=[409]))
        add("", self.list_all, methods=["GET"], **document(wire.BankPage))
        add(one, self.read, methods=["GET"], **document(wire.Bank, also=[404]))
        add(one, self.change, methods=["PATCH"], **document(wire.Bank, takes=wire.BankChange, also=[404, 409]))
        add(entries, self.add, methods=["POST"], **document(wire.EntryIds, 201, takes=wire.NewEntries, also=[404, 409]))
        add(entries, self.list_entries, methods=["GET"], **document(wire.EntryPage, also=[404]))
        takes = document(wire.Withdrawn, takes=wire.EntryWithdrawal, also=[404, 409])
        add(f"{entries}/withdraw", self.withdraw_entries, methods=["POST"], **takes)
        add(f"{entries}/{{entry_id}}", self.read_entry, methods=["GET"], **document(wire.Entry, also=[404]))
        self._add_changes(router)
        return router.routes

    def _add_changes(self, router: APIRouter) -> None:
        for word, (bank_state, entry_state, shape) in _CHANGES.items():
            router.add_api_route(
                f"/{{name}}/{word}",
                self._bank_change(bank_state, shape),
                methods=["POST"],
                name=f"{word}_bank",
                summary=f"{word.capitalize()} a bank",
                **document(wire.Bank, takes=shape, also=[404, 409]),
            )
            router.add_api_route(
                f"/{{name}}/entries/{{entry_id}}/{word}",
                self._entry_change(entry_state, shape),
                methods=["POST"],
                name=f"{word}_entry",
                summary=f"{word.capitalize()} an entry",
                **document(wire.Entry, takes=shape, also=[404, 409]),
            )

    async def create(self, request: Request) -> Response:
        """Create an empty, active bank."""
        asked = await self._json(request, wire.NewBank)
        verdict = check_bank(asked.name, asked.purpose, asked.radius_bits, asked.verdict)
        bank = await self._run(
            lambda: self._store.create_bank(
                asked.name,
                asked.purpose,
                radius_bits=asked.radius_bits,
                verdict=verdict,
                flood=FloodLimits(asked.flood_accounts_per_hour, asked.flood_factor),
                view_set=asked.view_set,
                keeps_keypoints=asked.keeps_keypoints,
                actor=actor_of(request),
                reason=asked.reason,
            )
        )
        return _json(wire.bank(bank), 201, {"location": f"/v1/banks/{bank.name}"})

    async def list_all(self, limit: Limit = 100, cursor: Cursor = None, *, include_withdrawn: bool = False) -> Response:
        """List banks, oldest first."""
        after_id = after_id_of(cursor)
        banks = await self._run(
            lambda: self._store.banks(after_id=after_id, limit=limit + 1, include_withdrawn=include_withdrawn)
        )
        shown = banks[:limit]
        next_cursor = str(shown[-1].id) if len(banks) > limit else None
        return _json(wire.BankPage([wire.bank(each) for each in shown], next_cursor))

    async def read(self, name: BankName) -> Response:
        """Read one bank, with its number of entries by state."""

        def work() -> wire.Bank:
            bank = self._store.bank(name)
            kept = self._store.kept.counts(bank.id)
            counts = wire.KeptCounts(kept.views, kept.vectors, kept.keypoints)
            return wire.bank(bank, self._store.bank_counts(bank.id), counts)

        return _json(await self._run(work))

    async def change(self, request: Request, name: BankName) -> Response:
        """Change what a bank matches, answers and keeps. It counts on the very next request.

        `view_set` is for pictures added from now on. `keeps_keypoints: false` deletes all keypoints of the bank before
        the answer, for good.
        """
        asked = await self._json(request, wire.BankChange)
        bank = await self._change(
            lambda: banking.change_bank(
                self._store,
                name,
                radius_bits=asked.radius_bits,
                verdict=asked.verdict,
                flood_accounts_per_hour=asked.flood_accounts_per_hour,
                flood_factor=asked.flood_factor,
                view_set=asked.view_set,
                keeps_keypoints=asked.keeps_keypoints,
                follows_decisions=asked.follows_decisions,
                actor=actor_of(request),
                reason=asked.reason,
            )
        )
        return _json(wire.bank(bank))

    async def add(self, request: Request, name: BankName) -> Response:
        """Add entries with one provenance: all, or none when one is wrong. They count on the very next request.

        An entry of the bank that has all fingerprints of one to add is answered in its place, unless it is withdrawn:
        adding the same twice adds it once, and neither doubles an entry nor undoes its pause or quarantine.

        What was seen before is asked about them beside the answer; matches open or join a case (`GET /v1/cases`).
        """
        asked = await self._json(request, wire.NewEntries, self._bulk_size_bytes)
        if len(asked.entries) > self._max_entries:
            message = f"{len(asked.entries)} entries were given, expected at most {self._max_entries}"
            raise TooLargeError(message, hint="Split them over several requests.")
        actor = actor_of(request)
        provenance = Provenance(asked.provenance.source, actor, asked.provenance.note)

        def work() -> wire.EntryIds:
            entries = [self._new_entry(row, each) for row, each in enumerate(asked.entries)]
            known = self._service.baken.gate.known
            added = banking.add_missing(self._store, known, name, entries, provenance, actor=actor)
            return wire.EntryIds(added.ids, added.added_count, added.completed_count)

        return _json(await self._change(work), 201)

    async def list_entries(
        self, name: BankName, limit: Limit = 100, cursor: Cursor = None, state: EntryState | None = None
    ) -> Response:
        """List a bank's entries, oldest first."""
        after_id = after_id_of(cursor)
        entries = await self._run(lambda: self._store.entries(name, after_id=after_id, limit=limit + 1, state=state))
        shown = entries[:limit]
        next_cursor = str(shown[-1].id) if len(entries) > limit else None
        return _json(wire.EntryPage([wire.entry(each) for each in shown], next_cursor))

    async def read_entry(self, name: BankName, entry_id: EntryId) -> Response:
        """Read one entry."""
        return _json(wire.entry(await self._run(lambda: self._store.entry(name, entry_id))))

    async def withdraw_entries(self, request: Request, name: BankName) -> Response:
        """Withdraw many entries: all, or none when one is unknown. They stop counting on the very next request."""
        asked = await self._json(request, wire.EntryWithdrawal, self._bulk_size_bytes)
        if len(asked.entry_ids) > self._max_entries:
            message = f"{len(asked.entry_ids)} entry_ids were given, expected at most {self._max_entries}"
            raise TooLargeError(message, hint="Split them over several requests.")
        actor, ids = actor_of(request), list(dict.fromkeys(asked.entry_ids))
        withdrawn = await self._change(
            lambda: self._store.set_entry_states(name, ids, EntryState.WITHDRAWN, actor=actor, reason=asked.reason)
        )
        return _json(wire.Withdrawn(withdrawn))

    def _bank_change(self, state: BankState, shape: type[wire.Change | wire.OptionalChange]) -> Callable[..., Any]:
        async def change(request: Request, name: BankName) -> Response:
            asked = await self._json(request, shape)
            bank = await self._change(
                lambda: self._store.set_bank_state(name, state, actor=actor_of(request), reason=asked.reason)
            )
            return _json(wire.bank(bank))

        return change

    def _entry_change(self, state: EntryState, shape: type[wire.Change | wire.OptionalChange]) -> Callable[..., Any]:
        async def change(request: Request, name: BankName, entry_id: EntryId) -> Response:
            asked = await self._json(request, shape)
            actor = actor_of(request)

            def work() -> wire.Entry:
                self._store.set_entry_states(name, [entry_id], state, actor=actor, reason=asked.reason)
                return wire.entry(self._store.entry(name, entry_id))

            return _json(await self._change(work))

        return change

    def _new_entry(self, row: int, given: wire.NewEntry) -> NewEntry:
        codes = tuple(
            self._fingerprint(f"entries[{row}].fingerprints[{column}]", each)
            for column, each in enumerate(given.fingerprints)
        )
        if len({code.kind for code in codes}) < len(codes):
            field = f"entries[{row}].fingerprints"
            message = f"{field}: two fingerprints are of one kind, expected at most one of a kind"
            raise InvalidFieldError(message, hint="Nothing was added; an entry is one content.", field=field)
        return NewEntry(codes, given.label)

    def _fingerprint(self, field: str, given: wire.NewFingerprint) -> Fingerprint:
        try:
            code = parse_fingerprint(given.kind, given.value, given.quality_percent)
        except InvalidValueError as error:
            raise InvalidFieldError(
                f"{field}.value: {error.message}", hint=error.hint, field=f"{field}.value"
            ) from None
        quality_percent = code.quality_percent
        is_perceptual = code.kind is FingerprintKind.PDQ
        if is_perceptual and quality_percent is not None and quality_percent < self._min_quality_percent:
            message = f"{field}: quality_percent is {quality_percent}, expected at least {self._min_quality_percent}"
            hint = "Nothing was added; a flat picture's pdq matches unrelated ones: add its sha256 instead."
            raise InvalidFieldError(message, hint=hint, field=f"{field}.quality_percent")
        return code

    async def _json(self, request: Request, shape: type[T], limit_bytes: int = _SMALL_SIZE_BYTES) -> T:
        asked: T = await bodies.read_json(request.scope["headers"], request.receive, limit_bytes, _DECODERS[shape])
        return asked

    async def _run(self, work: Callable[[], T]) -> T:
        return await self._service.store_pool.run(work)

    async def _change(self, work: Callable[[], T]) -> T:
        """Run what changes which entries count; the past is asked about it at once, beside the answer."""
        changed = await self._run(work)
        self._service.housekeeper.wake()
        return changed


def _json(shape: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(wire.encode(shape), status, headers, "application/json")
