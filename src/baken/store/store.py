"""`Store`: everything Baken keeps, on SQLite or PostgreSQL, behind one class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from sqlalchemy import text

from baken.copies import ViewSet
from baken.errors import StoreError
from baken.flood import DEFAULT_FLOOD_LIMITS, FloodFacts, FloodLimits
from baken.model import (
    ApiKey,
    Bank,
    BankState,
    Entry,
    EntryState,
    Finding,
    FingerprintKind,
    Idempotency,
    NewEntry,
    Notice,
    NoticeKind,
    Provenance,
    Purpose,
    Screening,
    Verdict,
)
from baken.store import asking, changes, flood_breaker, migrate
from baken.store import banks as bank_rows
from baken.store import entries as entry_rows
from baken.store import keys as key_rows
from baken.store import notices as notice_rows
from baken.store import screenings as screening_rows
from baken.store.address import parse_address
from baken.store.asking import Question
from baken.store.audit import AuditRows
from baken.store.banks import BankEvent
from baken.store.case_accounts import CaseAccountRows
from baken.store.case_actions import CaseActionRows
from baken.store.case_events import CaseEventRows
from baken.store.case_queue import CaseQueueRows
from baken.store.case_ranks import CaseRankRows
from baken.store.case_search import CaseSearchRows
from baken.store.cases import CaseRows
from baken.store.changes import Change, HeadReader
from baken.store.engine import Database
from baken.store.entries import AddedEntries, CodeChunk, Finder
from baken.store.failures import not_initialised
from baken.store.identities import IdentityRows
from baken.store.kept import forget_unkept_keypoints
from baken.store.kept_rows import KeptRows
from baken.store.people import PeopleRows
from baken.store.queues import QueueRows
from baken.store.recorder import Recorder
from baken.store.reveals import RevealRows
from baken.store.saved_views import SavedViewRows
from baken.store.scans import ScanRows
from baken.store.seen import SeenRows
from baken.store.sign_ins import SignInRows
from baken.store.vault_rows import VaultRows

DEFAULT_BUSY_TIMEOUT_SECONDS = 30.0


class Store:
    """Banks, entries, keys and screenings in one database; thread-safe.

    A store belongs to the process that opened it: open one in each worker, after it was forked or spawned. In a forked
    child every method raises `StoreError`. Every method may raise `StoreBusyError` when another writer holds the
    database for longer than the busy timeout, and `StoreError` when the database fails. What a method has returned is
    committed and synced to disk.

    Attributes:
        seen: what is remembered of screened items.
        cases: what is to be reviewed.
        case_events: what happened to it.
        case_actions: what is to be done because of what was decided.
        case_queue: what matched and joins a case next.
        queues: cases in the order in which they are worked on.
        case_ranks: what that order follows from.
        case_search: cases by what names them.
        case_accounts: what is known of the platform's accounts.
        saved_views: queues that people keep under a name.
        kept: what is kept of banked pictures beside their fingerprints.
        scans: how far the scans of back catalogues are.
        audit: what was done, by whom.
        people: accounts of people who sign in.
        sign_ins: their sessions, and attempts to get one.
        reveals: who looked at what, and what lets them.
        vault: what bytes are held, and their sealed keys.
        identities: who they are at the identity provider, and sign-ins that are there.
    """

    def __init__(self, database: Database, *, remembers: bool = False) -> None:
        self._database = database
        self._remembers = remembers
        self._head = HeadReader(database)
        self._recorder = Recorder(database, remembers=remembers)
        self._closed = False
        self.seen = SeenRows(database)
        self.cases = CaseRows(database)
        self.case_events = CaseEventRows(database)
        self.case_actions = CaseActionRows(database)
        self.case_queue = CaseQueueRows(database)
        self.queues = QueueRows(database)
        self.case_ranks = CaseRankRows(database)
        self.case_search = CaseSearchRows(database)
        self.case_accounts = CaseAccountRows(database)
        self.saved_views = SavedViewRows(database)
        self.kept = KeptRows(database)
        self.scans = ScanRows(database, remembers=remembers)
        self.audit = AuditRows(database)
        self.people = PeopleRows(database)
        self.sign_ins = SignInRows(database)
        self.reveals = RevealRows(database)
        self.vault = VaultRows(database)
        self.identities = IdentityRows(database)

    @classmethod
    def open(
        cls, url: str, *, busy_timeout_seconds: float = DEFAULT_BUSY_TIMEOUT_SECONDS, remembers: bool = False
    ) -> Self:
        """Open a database that `initialise` made.

        Args:
            url: `sqlite:////absolute/path` or `postgresql+psycopg://user:password@host:port/database`.
            busy_timeout_seconds: how long to wait for another writer.
            remembers: whether a screening also leaves what the seen index needs.

        Raises:
            NotInitialisedError: there is no database yet, or its tables are older or newer than this version's.
            SettingError: the URL names neither SQLite nor PostgreSQL.
        """
        address = parse_address(url)
        if address.path is not None and not address.path.exists():
            raise not_initialised(address, "there is no such file")
        database = Database(address, busy_timeout_seconds=busy_timeout_seconds)
        try:
            with database.read() as connection:
                migrate.check_revision(database, connection)
        except BaseException:
            database.close()
            raise
        return cls(database, remembers=remembers)

    @classmethod
    def initialise(
        cls, url: str, *, busy_timeout_seconds: float = DEFAULT_BUSY_TIMEOUT_SECONDS, remembers: bool = False
    ) -> Self:
        """Make the tables, or bring older ones up to date, and open the database.

        Safe to repeat, and safe when several processes do it at once. An SQLite file is made readable for its owner
        only.

        Raises:
            NotInitialisedError: the tables are newer than this version's.
            SettingError: the URL names neither SQLite nor PostgreSQL.
        """
        database = Database(parse_address(url), busy_timeout_seconds=busy_timeout_seconds, may_create=True)
        try:
            migrate.initialise(database)
            forget_unkept_keypoints(database)  # left by a process that was killed while it deleted them
        finally:
            database.close()
        return cls.open(url, busy_timeout_seconds=busy_timeout_seconds, remembers=remembers)

    def close(self) -> None:
        """Finish what is being recorded and close every connection. Repeating it does nothing."""
        self._closed = True
        self._recorder.close()
        self._head.close()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def ping(self) -> None:
        """Ask the database for an answer.

        Raises:
            StoreError: it gives none, or the store is closed.
        """
        if self._closed:
            raise StoreError(f"the store on {self._database.address.label} is closed", hint="open it again")
        with self._database.read() as connection:
            connection.execute(text("SELECT seq FROM change_head")).one()

    # Banks

    def create_bank(
        self,
        name: str,
        purpose: Purpose,
        *,
        radius_bits: int,
        verdict: Verdict,
        flood: FloodLimits = DEFAULT_FLOOD_LIMITS,
        view_set: ViewSet = ViewSet.FULL,
        keeps_keypoints: bool = False,
        actor: str,
        reason: str | None = None,
    ) -> Bank:
        """Make an empty, active bank.

        Raises:
            ConflictError: a bank of this name exists and is not withdrawn.
            InvalidValueError: the radius or a flood limit is out of range, the name is empty, or an `own_photo` bank
                asks to block.
        """
        return bank_rows.create_bank(
            self._database,
            name,
            purpose,
            radius_bits=radius_bits,
            verdict=verdict,
            flood=flood,
            view_set=view_set,
            keeps_keypoints=keeps_keypoints,
            actor=actor,
            reason=reason,
        )

    def change_bank(
        self,
        name: str,
        *,
        radius_bits: int | None = None,
        verdict: Verdict | None = None,
        flood_accounts_per_hour: int | None = None,
        flood_factor: int | None = None,
        view_set: ViewSet | None = None,
        keeps_keypoints: bool | None = None,
        follows_decisions: bool | None = None,
        actor: str,
        reason: str | None = None,
    ) -> Bank:
        """Change what a bank matches, answers and keeps; None leaves as it is. It counts on the next request.

        `view_set` is for pictures that are added from now on. With `keeps_keypoints` false, nobody reads the bank's
        keypoints from this change on, and all of them are deleted before the call returns; repeating it deletes what
        a killed process left.

        Raises:
            ConflictError: the bank is withdrawn.
            InvalidValueError: a value is out of range, or an `own_photo` bank asks to block.
            NotFoundError: there never was one.
        """
        return bank_rows.change_bank(
            self._database,
            name,
            radius_bits=radius_bits,
            verdict=verdict,
            flood_accounts_per_hour=flood_accounts_per_hour,
            flood_factor=flood_factor,
            view_set=view_set,
            keeps_keypoints=keeps_keypoints,
            follows_decisions=follows_decisions,
            actor=actor,
            reason=reason,
        )

    def bank(self, name: str) -> Bank:
        """The bank of this name that is not withdrawn, else the one withdrawn last.

        Raises:
            NotFoundError: there never was one.
        """
        with self._database.read() as connection:
            return bank_rows.bank_named(connection, name)

    def bank_by_id(self, bank_id: int) -> Bank:
        """The bank with this id, withdrawn or not.

        Raises:
            NotFoundError: there is none.
        """
        with self._database.read() as connection:
            return bank_rows.bank_by_id(connection, bank_id)

    def banks(self, *, after_id: int = 0, limit: int | None = None, include_withdrawn: bool = False) -> list[Bank]:
        """Banks in the order of their ids, those after `after_id`, at most `limit`."""
        return bank_rows.list_banks(self._database, after_id=after_id, limit=limit, include_withdrawn=include_withdrawn)

    def set_bank_state(self, name: str, state: BankState, *, actor: str, reason: str | None) -> Bank:
        """Pause, resume or withdraw a bank; `reason` becomes the bank's. Withdrawn is final and frees the name.

        A bank that is withdrawn loses its keypoints, as an entry does: nothing can need them again.

        Raises:
            ConflictError: the bank is withdrawn.
            NotFoundError: there never was one.
        """
        return bank_rows.set_bank_state(self._database, name, state, actor=actor, reason=reason)

    def bank_counts(self, bank_id: int) -> dict[EntryState, int]:
        """How many entries the bank has in each state; every state is a key."""
        return bank_rows.bank_counts(self._database, bank_id)

    def bank_events(self, bank_name: str, *, limit: int = 100) -> list[BankEvent]:
        """The history of a bank, newest first.

        Raises:
            NotFoundError: there never was such a bank.
        """
        return bank_rows.bank_events(self._database, bank_name, limit=limit)

    # Entries

    def add_entries(
        self, bank_name: str, entries: Sequence[NewEntry], provenance: Provenance, *, actor: str
    ) -> list[int]:
        """Add up to 10,000 entries in one transaction; the new ids, in the same order and without gaps.

        Raises:
            ConflictError: the bank is withdrawn.
            InvalidValueError: an entry has no fingerprint, two of a kind, or one of the wrong length; nothing is added.
            NotFoundError: there never was such a bank.
            TooLargeError: more than 10,000 entries.
        """
        return entry_rows.add_entries(self._database, bank_name, entries, provenance, actor=actor)

    def add_missing_entries(
        self,
        bank_name: str,
        entries: Sequence[NewEntry],
        provenance: Provenance,
        *,
        find_active: Finder,
        actor: str,
    ) -> AddedEntries:
        """As `add_entries`, without what the bank holds already: an entry that has all of its fingerprints.

        What is held and lacks views, vectors or keypoints that are given now, gets them.

        Active, paused and quarantined entries count as held: adding a list again neither doubles it nor undoes a
        decision. Withdrawn ones do not.

        Args:
            bank_name: the bank.
            entries: up to 10,000.
            provenance: of the entries that are new.
            find_active: asked, under the change log's lock, which active entry of the bank has all fingerprints of
                each entry; it must know every change up to `head_seq()`.
            actor: who adds them.
        """
        return entry_rows.add_missing_entries(
            self._database, bank_name, entries, provenance, find_active=find_active, actor=actor
        )

    def entry(self, bank_name: str, entry_id: int) -> Entry:
        """One entry of a bank.

        Raises:
            NotFoundError: the bank or the entry does not exist.
        """
        return entry_rows.one_entry(self._database, bank_name, entry_id)

    def entries(
        self, bank_name: str, *, after_id: int = 0, limit: int = 100, state: EntryState | None = None
    ) -> list[Entry]:
        """Entries of a bank in the order of their ids, those after `after_id`, at most `limit`.

        Raises:
            NotFoundError: there never was such a bank.
        """
        return entry_rows.list_entries(self._database, bank_name, after_id=after_id, limit=limit, state=state)

    def set_entry_states(
        self, bank_name: str, entry_ids: Sequence[int], state: EntryState, *, actor: str, reason: str | None
    ) -> int:
        """Change up to 10,000 entries in one transaction; how many were not in that state before.

        Notices about entries that were quarantined are resolved by it. Entries that match again get a fresh allowance
        of the flood breaker.

        Raises:
            ConflictError: the bank, or an entry that should change, is withdrawn; nothing is changed.
            NotFoundError: the bank or one of the entries does not exist; nothing is changed.
            TooLargeError: more than 10,000 entries.
        """
        return entry_rows.set_entry_states(self._database, bank_name, entry_ids, state, actor=actor, reason=reason)

    def quarantine_entry(self, entry_id: int, *, facts: FloodFacts) -> bool:
        """Let an entry match nothing until a person resumes or withdraws it, and open one notice that says why.

        Returns:
            Whether it was active and is quarantined now; False when someone else had stopped it before.

        Raises:
            NotFoundError: there is no such entry.
        """
        return flood_breaker.quarantine_entry(self._database, entry_id, facts)

    # Notices

    def answered_entries(self, entry_ids: Sequence[int]) -> set[int]:
        """Those of the entries about which a person has answered a notice: if they count now, a person let them."""
        return notice_rows.answered_entries(self._database, entry_ids)

    def notices(
        self, *, after_id: int = 0, limit: int = 100, open_only: bool = False, kind: NoticeKind | None = None
    ) -> list[Notice]:
        """Notices in the order of their ids, those after `after_id`, at most `limit`; of a kind, or of all."""
        return notice_rows.list_notices(self._database, after_id=after_id, limit=limit, open_only=open_only, kind=kind)

    def notice(self, notice_id: int) -> Notice:
        """One notice.

        Raises:
            NotFoundError: there is none.
        """
        return notice_rows.one_notice(self._database, notice_id)

    def open_notice_counts(self) -> dict[NoticeKind, int]:
        """How many notices of each kind nobody resolved yet; every kind is a key."""
        return notice_rows.open_notice_counts(self._database)

    # Change log

    def head_seq(self) -> int:
        """The number of the newest change committed, by any process, before this call."""
        return self._head.seq()

    def history_id(self) -> str:
        """What tells this database's changes from every other database's, at most 64 characters; empty before any."""
        return changes.history_id(self._database)

    def last_entry_id(self) -> int:
        """The id of the newest entry, withdrawn or not; 0 when none was ever added."""
        return changes.last_entry_id(self._database)

    def changes_since(self, seq: int, *, limit: int = 1000) -> list[Change]:
        """The changes after number `seq`, in order and without gaps, at most `limit`."""
        return changes.changes_since(self._database, seq, limit)

    def question_of(self, change: Change, *, after_entry_id: int, limit: int) -> Question | None:
        """The entries of one change that may make old items match, those after `after_entry_id`, at most `limit`.

        None when the change cannot make anything match: a bank was paused, a key was made.
        """
        return asking.question_of(self._database, change, after_entry_id=after_entry_id, limit=limit)

    def change_token(self, seq: int) -> int | None:
        """What tells the change of this number from that of another history (`Change.token`); None if there is none."""
        return changes.change_token(self._database, seq)

    def active_codes(
        self,
        kind: FingerprintKind,
        *,
        first_entry_id: int = 1,
        last_entry_id: int | None = None,
        chunk: int = 100_000,
    ) -> Iterator[CodeChunk]:
        """Fingerprints of one kind, of active entries in banks that are active or paused, by rising entry id.

        Each chunk is read on its own, when it is asked for. Take `head_seq()` first and apply the changes after it:
        then what was loaded while others wrote is right in the end.
        """
        return entry_rows.active_codes(
            self._database, kind, first_entry_id=first_entry_id, last_entry_id=last_entry_id, chunk=chunk
        )

    # Keys

    def create_key(self, key: ApiKey, secret_sha256: bytes, *, actor: str) -> None:
        """Keep a key and the SHA-256 of its secret (32 bytes).

        Raises:
            ConflictError: a key with this id or this secret exists.
        """
        key_rows.create_key(self._database, key, secret_sha256, actor=actor)

    def keys(self) -> list[ApiKey]:
        """Every key, oldest first, revoked and expired ones too."""
        return key_rows.list_keys(self._database)

    def revoke_key(self, key_id: str, *, actor: str) -> ApiKey:
        """Revoke a key for good; the first revocation counts.

        Raises:
            NotFoundError: there is no such key.
        """
        return key_rows.revoke_key(self._database, key_id, actor=actor)

    def key_by_secret(self, secret_sha256: bytes) -> ApiKey | None:
        """The key with this secret, revoked or expired as it may be, or None."""
        return key_rows.key_by_secret(self._database, secret_sha256)

    # Screenings

    def record(self, screening: Screening, idempotency: Idempotency | None = None) -> Screening:
        """Write a screening and return when it is durable. Concurrent callers share one sync to disk.

        Its matches are counted for the flood breaker: what it quarantines matches nothing from the next request on.
        With `idempotency`, the first screening of that key and token is kept and returned to everyone who asks again.

        Raises:
            ConflictError: the token was used for another request, or the screening's id is taken.
            InvalidValueError: a time without zone, or text that no database can store.
        """
        return self.record_later(screening, idempotency).result()

    def record_later(
        self, screening: Screening, idempotency: Idempotency | None = None, *, has_company: bool = False
    ) -> Future[Screening]:
        """Begin to write a screening; the future gets what `record` returns or raises. It cannot be cancelled.

        For callers that wait on an event loop, where a thread for each that waits would cost more than the writing.
        `has_company` says that others are about to be recorded: the commit then waits some milliseconds for them.
        """
        return self._recorder.record_later(screening, idempotency, has_company=has_company)

    def record_many(self, screenings: Sequence[Screening]) -> None:
        """Write screenings in one transaction: all or none.

        The flood breaker does not count them: a scan brings years of uploads into an hour, and a person reads it.

        Raises:
            ConflictError: the id of one of them is taken.
        """
        screening_rows.record_many(self._database, screenings, remembers=self._remembers)

    def screening(self, screening_id: str) -> Screening:
        """One screening; `fingerprints.pdq_orientations` is not kept and comes back as None.

        Raises:
            NotFoundError: there is none.
        """
        return screening_rows.screening_by_id(self._database, screening_id)

    def replay(self, idempotency: Idempotency) -> Screening | None:
        """The screening that took this key and token, or None: asked before the work is done.

        Raises:
            ConflictError: the token was used for another request.
        """
        return screening_rows.first_answer(self._database, idempotency)

    def screening_counts(self) -> dict[Finding, int]:
        """How many screenings ended in each finding; every finding is a key."""
        return screening_rows.screening_counts(self._database)
