"""Where objects are built: settings in, a working Baken out. Nothing else constructs a store, a gate or a follower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.x509 import Certificate

from baken.auditing import HEAD_FILE_NAME, AuditLog
from baken.candidates import CandidateChecker
from baken.case_rules import ReviewPolicy
from baken.decisions import Policy
from baken.errors import InvalidValueError, SettingError
from baken.exposure import Budgets
from baken.images import DecodeLimits
from baken.jurisdictions import Profile, parse, shipped
from baken.keeping import Keeping
from baken.known import KnownFollower
from baken.known_guard import KnownGuard
from baken.looking import Looking, LookRules
from baken.looking_bytes import Bytes
from baken.looking_holding import Holding, HoldRules
from baken.looking_shown import Shown
from baken.media import Media, MediaRules, hosts_in
from baken.passwords import Passwords
from baken.people import People, SessionLimits
from baken.pipeline import Gate
from baken.priorities import Weights
from baken.providers import Provider, Trust
from baken.providers_http import Client, is_acceptable
from baken.queues import Queues
from baken.queues_ranking import CaseRanker
from baken.queues_search import CaseSearch
from baken.review import Review
from baken.sealing import Sealer
from baken.seen import SeenKeeper
from baken.seen_index import SeenIndex
from baken.settings import Settings, categories_in, purposes_in
from baken.store import Store
from baken.timestamps import roots_in
from baken.vault import Vault
from baken.vectors import Thresholds, VectorStage
from baken.videos import VideoLimits
from baken.workers import available_cores
from baken.workers_kinds import FileWorkers
from baken.workers_pool import Isolation

INDEX_FOLDER = Path("index", "known")
"""Where in the data folder the index of the known entries lies; it may be deleted while nothing runs."""

SEEN_FOLDER = Path("index", "seen")
"""Where the index of the seen files lies; likewise."""


VECTORS_FOLDER = Path("index", "vectors")
"""Where the index of the descriptor network's vectors lies; likewise."""


PROVIDER_PATH = "/console/provider/callback"
"""Where the identity provider sends browsers back to, below `console_url`."""


@dataclass(frozen=True, slots=True)
class Baken:
    """One process's Baken: settings, store, gate, what looks after the indexes, what is kept of pictures, and workers.

    Close it, or use it as a context manager.
    """

    settings: Settings
    store: Store
    gate: Gate
    keeper: SeenKeeper
    seen_index: SeenIndex
    index_guard: KnownGuard
    keeping: Keeping
    workers: FileWorkers
    weights: Weights
    profile: Profile
    vault: Vault
    holding: Holding

    def people(self) -> People:
        """What people do with their accounts."""
        limits = SessionLimits(
            timedelta(seconds=self.settings.session_idle_seconds),
            timedelta(seconds=self.settings.session_longest_seconds),
        )
        roles = self.settings.two_factor_roles
        return People(self.store, self.keeping.sealer, Passwords(), limits=limits, two_factor_roles=roles)

    def provider(self) -> Provider | None:
        """The identity provider with whose accounts people may sign in, if the operator named one.

        Raises:
            SettingError: what belongs to it is missing, or its address is not one that may be asked.
        """
        return None if self.settings.oidc_issuer is None else _provider(self.settings, self.store)

    def looking(self) -> Looking:
        """What people do with pictures."""
        settings = self.settings
        budgets = Budgets(settings.exposure_per_hour, settings.exposure_per_day)
        rules = LookRules(self.profile, budgets, timedelta(seconds=settings.reveal_seconds))
        shown = Shown(self.workers, self.gate.limits, self.gate.videos)
        return Looking(self.store, rules, Bytes(self.vault, Media(media_rules(settings))), shown)

    def review(self) -> Review:
        """What people do with cases."""
        return Review(self.store, review_policy(self.settings), known=self.gate.known)

    def queues(self) -> Queues:
        """What people can find of cases."""
        search = CaseSearch(self.store, self.gate.known, self.seen_index)
        return Queues(self.store, self.weights, search)

    def ranker(self) -> CaseRanker:
        """What keeps the cases in their order."""
        return CaseRanker(self.store, self.weights)

    def audit_log(self) -> AuditLog:
        """The log of what was done.

        Raises:
            SettingError: the file of trusted certificates cannot be read.
        """
        roots = _roots(self.settings.audit_timestamp_roots_file)
        return AuditLog(self.store, self.settings.data_dir / HEAD_FILE_NAME, roots)

    def close(self) -> None:
        """Close the indexes and the store; idempotent."""
        self.workers.close()
        self.index_guard.close()
        self.keeper.close()
        if self.gate.vectors is not None:
            self.gate.vectors.close()
        self.gate.known.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def profile_of(settings: Settings) -> Profile:
    """The jurisdiction's profile: the operator's own file, or a shipped one.

    Raises:
        SettingError: the file cannot be read, or is no profile.
    """
    path = settings.jurisdiction_file
    if path is None:
        return shipped(settings.jurisdiction)
    try:
        return parse(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        message = f"the setting jurisdiction_file names {str(path)!r}, which cannot be read: {error}"
        raise SettingError(message, hint="Give a text file that this user may read.") from error


def media_rules(settings: Settings) -> MediaRules:
    """Whom to ask for the bytes of an item.

    Raises:
        SettingError: a host is none, or an inner host is not among the hosts.
    """
    named: dict[str, frozenset[str]] = {}
    for setting, text in (("media_hosts", settings.media_hosts), ("media_inner_hosts", settings.media_inner_hosts)):
        try:
            named[setting] = hosts_in(text)
        except ValueError as error:
            message = f"the setting {setting} is {text!r}: {error}"
            raise SettingError(message, hint="Name hosts as addresses do, without scheme and path.") from None
    if unknown := sorted(named["media_inner_hosts"] - named["media_hosts"]):
        message = f"the setting media_inner_hosts names {unknown[0]!r}, which media_hosts does not"
        raise SettingError(message, hint="Name it in both, or in media_hosts alone.")
    return MediaRules(
        hosts=named["media_hosts"],
        inner_hosts=named["media_inner_hosts"],
        token_file=settings.media_token_file,
        max_size_bytes=settings.max_upload_size_bytes,
        timeout_seconds=settings.media_timeout_seconds,
    )


def review_policy(settings: Settings) -> ReviewPolicy:
    """What the operator decides about review."""
    return ReviewPolicy(
        lease=timedelta(seconds=settings.case_lease_seconds),
        undo=timedelta(seconds=settings.decision_undo_seconds),
        two_person_purposes=purposes_in(settings.two_person_purposes),
        categories=categories_in(settings.decision_categories),
    )


def isolation_of(settings: Settings) -> Isolation:
    """How worker processes are kept apart."""
    return Isolation(settings.decode_memory_bytes, settings.require_confinement)


def workers_of(settings: Settings, reads: Sequence[str] = ()) -> FileWorkers:
    """The worker processes of one server process; they start when the first file comes, or when they are told to."""
    processes = settings.decode_processes or max(1, available_cores() // settings.workers)
    return FileWorkers(
        processes,
        videos=video_limits(settings),
        video_processes=max(1, processes // 2),  # each decodes in threads of its own
        timeout_seconds=settings.decode_timeout_seconds,
        isolation=isolation_of(settings),
        readable=reads,
    )


def _provider(settings: Settings, store: Store) -> Provider:
    issuer, client_id, console_url = settings.oidc_issuer or "", settings.oidc_client_id, settings.console_url
    if not is_acceptable(issuer):
        message = f"the setting oidc_issuer is {issuer!r}, expected an address with https"
        raise SettingError(message, hint="Give the provider's own name for itself; plain http is for this machine.")
    if not client_id or not console_url:
        missing = "oidc_client_id" if not client_id else "console_url"
        message = f"the setting oidc_issuer is given, and {missing} is not"
        raise SettingError(message, hint="The provider must know who asks, and where to send browsers back to.")
    secret = None if settings.oidc_client_secret is None else settings.oidc_client_secret.get_secret_value()
    trust = Trust(settings.oidc_is_second_factor, settings.oidc_second_factor_acr, settings.oidc_auto_link)
    client = Client(issuer, client_id, secret, console_url.rstrip("/") + PROVIDER_PATH)
    return Provider(store, client, trust, name=settings.oidc_name)


def _roots(path: Path | None) -> list[Certificate]:
    if path is None:
        return []
    try:
        return roots_in(path.read_bytes())
    except OSError as error:
        message = f"the setting audit_timestamp_roots_file names {str(path)!r}, which cannot be read: {error.strerror}"
        raise SettingError(message, hint="Give the authority's root certificates in PEM.") from error


def initialise(settings: Settings) -> Baken:
    """Make the data folder and its database if need be, bring the schema up to date, and open it."""
    weights, profile = weights_of(settings), profile_of(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = Store.initialise(settings.resolved_database_url, remembers=_remembers(settings))
    return _with_store(settings, store, weights, profile)


def open_existing(settings: Settings) -> Baken:
    """Open an initialised data folder.

    Raises:
        NotInitialisedError: there is no database yet, or its schema is of another release.
    """
    weights, profile = weights_of(settings), profile_of(settings)
    store = Store.open(
        settings.resolved_database_url,
        busy_timeout_seconds=settings.database_busy_timeout_seconds,
        remembers=_remembers(settings),
    )
    return _with_store(settings, store, weights, profile)


def video_limits(settings: Settings) -> VideoLimits:
    """What a video may ask of this machine."""
    return VideoLimits(
        max_size_bytes=settings.max_video_size_bytes,
        max_seconds=settings.max_video_seconds,
        max_processor_seconds=settings.max_video_processor_seconds,
    )


def _remembers(settings: Settings) -> bool:
    return settings.seen_retention_days > 0


def weights_of(settings: Settings) -> Weights:
    """What counts how much for which case comes first.

    Raises:
        SettingError: a weight is unknown or out of bounds.
    """
    try:
        return Weights.parse(settings.priority_weights)
    except InvalidValueError as error:
        message = f"the setting priority_weights is {settings.priority_weights!r}: {error.message}"
        raise SettingError(message, hint=error.hint) from error


def _with_store(settings: Settings, store: Store, weights: Weights, profile: Profile) -> Baken:
    sealer = Sealer(settings.resolved_feature_key_file)
    vault = Vault(store, sealer, settings.resolved_vault_dir)
    holds = HoldRules(
        profile, settings.vault_hold_days, purposes_in(settings.vault_purposes), settings.max_upload_size_bytes
    )
    keeping = Keeping(sealer)
    thresholds = Thresholds(settings.descriptor_similarity, settings.descriptor_candidate_similarity)
    workers = workers_of(settings, keeping.describer.reads)
    gate = Gate(
        known=KnownFollower(store, settings.data_dir / INDEX_FOLDER),
        candidates=CandidateChecker(store.kept, sealer),
        vectors=VectorStage(store, keeping.describer, settings.data_dir / VECTORS_FOLDER, thresholds)
        if settings.stage_descriptor
        else None,
        decoding=workers,
        policy=Policy(settings.unscreenable_verdicts()),
        limits=DecodeLimits(max_size_bytes=settings.max_upload_size_bytes, max_pixels=settings.max_pixels),
        min_quality_percent=settings.min_quality_percent,
        max_matches=settings.max_matches,
        uses_views=settings.stage_views,
        uses_check=settings.stage_check,
        max_frames=settings.max_frames,
        videos=video_limits(settings),
    )
    seen = SeenIndex(store, settings.data_dir / SEEN_FOLDER)
    keeper = SeenKeeper(
        store,
        gate.known,
        gate.policy,
        seen,
        retention=timedelta(days=settings.seen_retention_days) if _remembers(settings) else None,
        review=review_policy(settings),
        named=gate.named,
    )
    guard = KnownGuard(
        gate.known,
        verify_interval_seconds=settings.index_verify_interval_seconds,
        seen=seen if _remembers(settings) else None,
        also_check_history=gate.check_history,
    )
    holding = Holding(store, vault, sealer, holds)
    return Baken(settings, store, gate, keeper, seen, guard, keeping, workers, weights, profile, vault, holding)
