"""The settings: one table that feeds environment, file, command line and docs/reference/settings.md.

Precedence: arguments of `load`, then `BAKEN_*` in the environment, then `BAKEN_*_FILE` (a file holding a secret), then
`baken.toml` in the data folder, then the default.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from baken.accounts import Role
from baken.cases import Category
from baken.errors import SettingError
from baken.model import MAX_FRAMES, MAX_MATCHES, MIN_QUALITY_PERCENT, Purpose, UnscreenableReason, Verdict

ENV_PREFIX = "BAKEN_"
CONFIG_FILE_NAME = "baken.toml"
DATABASE_FILE_NAME = "baken.sqlite3"
FEATURE_KEY_FILE_NAME = "feature.key"
VAULT_FOLDER_NAME = "vault"
DEFAULT_DATA_DIR = Path("baken-data")

SECRET_NAMES = ("database_url", "oidc_client_secret")
"""Settings that may carry a password: readable from `BAKEN_<NAME>_FILE`, never printed."""

_CATEGORY_KEY = re.compile(r"[a-z0-9_-]{1,40}")
_BOOLEANS = {"true": True, "false": False}


def _strict_bool(value: object) -> object:
    """Accept exactly true and false: `BAKEN_X=off` must not quietly mean on or off."""
    if isinstance(value, str):
        if value.lower() not in _BOOLEANS:
            message = f"must be exactly true or false, got {value!r}"
            raise ValueError(message)
        return _BOOLEANS[value.lower()]
    return value


StrictBool = Annotated[bool, BeforeValidator(_strict_bool)]


def roles_in(text: str) -> frozenset[Role]:
    """The roles in a list with commas.

    Raises:
        ValueError: one of them is none.
    """
    return frozenset(Role(word.strip()) for word in text.split(",") if word.strip())


def purposes_in(text: str) -> frozenset[Purpose]:
    """The bank purposes in a list with commas.

    Raises:
        ValueError: one of them is none.
    """
    return frozenset(Purpose(word.strip()) for word in text.split(",") if word.strip())


def categories_in(text: str) -> tuple[Category, ...]:
    """The categories in a list `key=Name,key=Name`.

    Raises:
        ValueError: one of them has another form, or a key is there twice.
    """
    found: dict[str, Category] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        key, equals, name = (piece.strip() for piece in part.partition("="))
        if not (equals and name) or not _CATEGORY_KEY.fullmatch(key) or key in found:
            message = f"{part!r} is not key=Name, with a key of a-z, 0-9, _ and - that is there once"
            raise ValueError(message)
        found[key] = Category(key, name)
    return tuple(found.values())


def _listed_purposes(text: str) -> str:
    purposes_in(text)
    return text


def _listed_roles(text: str) -> str:
    roles_in(text)
    return text


def _listed_categories(text: str) -> str:
    categories_in(text)
    return text


class Settings(BaseSettings):
    """What an operator may set."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    data_dir: Path = Field(DEFAULT_DATA_DIR, description="The folder that holds everything: database, configuration.")
    database_url: SecretStr | None = Field(
        None,
        description="`postgresql+psycopg://user:password@host/name` for several machines; "
        "SQLite in the data folder when unset.",
    )
    database_busy_timeout_seconds: float = Field(
        30.0,
        ge=0.1,
        le=600,
        description="How long a writer waits for another process before it says the database is busy.",
    )
    feature_key_file: Path | None = Field(
        None,
        description="The file with the keys that seal keypoints at rest; `feature.key` in the data folder when unset. "
        "It is made when it is first needed. Machines that share a PostgreSQL database need the same keys.",
    )
    host: str = Field("127.0.0.1", description="The address `baken serve` listens on.")
    port: int = Field(8480, ge=0, le=65535, description="The port `baken serve` listens on; 0 takes a free one.")
    workers: int = Field(
        1, ge=1, le=256, description="Server processes; they share the index on disk. One for each core screens most."
    )
    decode_processes: int = Field(
        0,
        ge=0,
        le=1024,
        description="Worker processes that decode pictures, for each server process; 0 shares the cores out to them. "
        "Half as many, at least one, decode videos.",
    )
    decode_timeout_seconds: float = Field(
        30.0,
        ge=0.1,
        le=3600,
        description="How long a server lets one picture take, by the clock and in processor time, before it becomes "
        "`decoder_failed`. Commands have an option for it.",
    )
    decode_memory_bytes: int = Field(
        3 * 1024 * 1024 * 1024,
        ge=256 * 1024 * 1024,
        description="The memory (address space) that decoding one picture may take; a picture that needs more is "
        "`decoder_failed`. Decoding takes up to 16 bytes for each of `max_pixels`.",
    )
    require_confinement: StrictBool = Field(
        False,
        description="Whether Baken refuses to decode anything where the system does not let it confine the worker "
        "processes wholly (seccomp and Landlock). `baken check` says whether it does.",
    )
    index_verify_interval_seconds: float = Field(
        86400.0,
        ge=0,
        le=31_622_400,
        description="How often a server reads the index on disk through to find damage, slowly and in one process of "
        "the machine; 0: never.",
    )
    max_upload_size_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024,
        description="The largest file that is screened; a larger request is refused with 413.",
    )
    max_pixels: int = Field(
        100_000_000,
        ge=25,
        description="The largest picture, in pixels, that is decoded; a larger one is `too_many_pixels`. "
        "Formats other than JPEG, which cannot be decoded at reduced size, end at 89,478,485 in any case.",
    )
    max_frames: int = Field(
        MAX_FRAMES,
        ge=0,
        le=1_000,
        description="Frames of an animation, or pages of a document, that are looked at beside the first, spread over "
        "the whole file; those that show what another one shows are not asked. 0 looks at the first alone.",
    )
    max_video_size_bytes: int = Field(
        1024 * 1024 * 1024,
        ge=1024,
        description="The largest video that is screened; a larger request is refused with 413. Videos need the extra "
        "`video` (`pip install 'baken[video]'`); without it they are `unknown_format`.",
    )
    max_video_seconds: float = Field(
        7200.0,
        gt=0,
        le=86_400,
        description="How much of a video is looked at, from its start; a longer one is `partly_seen`.",
    )
    max_video_processor_seconds: float = Field(
        90.0,
        gt=0,
        le=3600,
        description="Processor time for decoding one video; what is left by then was not looked at, and the video is "
        "`partly_seen`. Ten minutes at 1280 x 720 take about 16. By the clock it may take 50 seconds.",
    )
    seen_retention_days: int = Field(
        90,
        ge=0,
        le=36_500,
        description="How long the fingerprints and references of screened items are remembered, so that an entry "
        "added later finds what was seen before. 0 remembers nothing and forgets what is there. It is personal data: "
        "keep it as long as a late hit helps someone, not longer. Known copies come up months later, hence 90.",
    )
    max_lookups: int = Field(10_000, ge=1, le=100_000, description="Fingerprints in one call of `POST /v1/lookups`.")
    max_matches: int = Field(
        MAX_MATCHES,
        ge=1,
        le=10_000,
        description="Matches that an answer lists and a screening keeps, the weightiest first; "
        "the verdict and the count are those of all matches.",
    )
    max_bulk_entries: int = Field(10_000, ge=1, le=10_000, description="Entries in one bulk add.")
    min_quality_percent: int = Field(
        MIN_QUALITY_PERCENT,
        ge=0,
        le=100,
        description="PDQ quality below which a picture is `low_quality`, not compared.",
    )
    stage_views: StrictBool = Field(
        True,
        description="Whether the views of an item (without its borders, its caption, its quarters) are searched beside "
        "the whole. Banked views are searched in any case.",
    )
    stage_descriptor: StrictBool = Field(
        True,
        description="Whether the vectors of a descriptor network are searched too. It needs the extra `deep` "
        "(`pip install 'baken[deep]'`); without it, this changes nothing.",
    )
    descriptor_similarity: float = Field(
        0.8,
        ge=0,
        le=1,
        description="From which similarity of two vectors on an entry matches without a check; such a match can at "
        "most hold.",
    )
    descriptor_candidate_similarity: float = Field(
        0.4,
        ge=0,
        le=1,
        description="From which similarity on an entry that has keypoints is checked; it matches when the check says "
        "that it is the same picture.",
    )
    stage_check: StrictBool = Field(
        True,
        description="Whether candidates are checked on local features where a bank keeps keypoints. Without it, what "
        "views found counts as it is.",
    )
    verdict_low_quality: Verdict = Field(
        Verdict.ALLOW, description="Verdict for `low_quality`: too flat to be a recognisable copy of anything."
    )
    verdict_empty: Verdict = Field(Verdict.HOLD, description="Verdict for an `empty` file.")
    verdict_unknown_format: Verdict = Field(Verdict.HOLD, description="Verdict for a file of an `unknown_format`.")
    verdict_truncated: Verdict = Field(Verdict.HOLD, description="Verdict for a `truncated` picture.")
    verdict_corrupt: Verdict = Field(Verdict.HOLD, description="Verdict for a `corrupt` picture.")
    verdict_too_many_pixels: Verdict = Field(Verdict.HOLD, description="Verdict for a picture with `too_many_pixels`.")
    verdict_too_large: Verdict = Field(Verdict.HOLD, description="Verdict for a file that is `too_large` to be read.")
    verdict_too_small: Verdict = Field(Verdict.HOLD, description="Verdict for a picture with a side under 5 pixels.")
    verdict_unreadable: Verdict = Field(Verdict.HOLD, description="Verdict for a file that could not be read.")
    verdict_decoder_failed: Verdict = Field(
        Verdict.HOLD, description="Verdict for a picture whose decoder crashed or ran out of its limits."
    )
    verdict_partly_seen: Verdict = Field(
        Verdict.HOLD,
        description="Verdict for a file that matched nothing and was only `partly_seen`: some of its frames or pages "
        "cannot be decoded, or there are too many.",
    )
    case_lease_seconds: float = Field(
        300.0,
        ge=30,
        le=86_400,
        description="How long a person keeps a claimed case without giving a sign of life; then others may claim it. "
        "An open page gives one by itself.",
    )
    decision_undo_seconds: float = Field(
        300.0,
        ge=0,
        le=604_800,
        description="How long a decision can be undone. Its actions wait as long, before the platform is given them.",
    )
    two_person_purposes: Annotated[str, AfterValidator(_listed_purposes)] = Field(
        "",
        description="Bank purposes, with commas between them (`known_abuse`), of which a decision that blocks or "
        "reports (`confirmed`, `refer`) waits for a second, different person. Nothing: one person decides.",
    )
    decision_categories: Annotated[str, AfterValidator(_listed_categories)] = Field(
        "unlawful=Unlawful,rights=Violates rights of others,rules=Against our rules,other=Other",
        description="The categories of confirmed cases, `key=Name` with commas between them. Keys are kept with "
        "decisions: never give an old one another meaning. Nothing: no category is asked for.",
    )
    priority_weights: str = Field(
        "",
        description="What counts how much for which case comes first, `known_abuse=120,per_day=10`; what is not named "
        "keeps its default. [The queue](../how-to/queue-and-priority.md) lists the weights; `baken case weights "
        "--dry-run` says what others would change.",
    )
    console_url: str | None = Field(
        None,
        description="The address under which browsers reach the console, `https://baken.example.org`. With https, "
        "cookies are kept from plain connections. When unset, what each request says of itself counts.",
    )
    client_address_header: str | None = Field(
        None,
        description="The header in which your own proxy says whom it forwards for, `x-forwarded-for`; its last "
        "address counts. Set it only behind a proxy that always sets it: waits after failed sign-ins rest on it.",
    )
    session_idle_seconds: float = Field(
        3600.0,
        ge=60,
        le=86_400,
        description="How long a person stays signed in without doing anything.",
    )
    session_longest_seconds: float = Field(
        43_200.0,
        ge=300,
        le=2_592_000,
        description="How long a person stays signed in at all.",
    )
    require_second_factor_roles: Annotated[str, AfterValidator(_listed_roles)] = Field(
        ",".join(Role),
        description="Whoever has one of these roles needs a second factor, and is led to set one up before anything "
        "else. Empty: nobody.",
    )
    oidc_issuer: str | None = Field(
        None,
        description="The identity provider (OpenID Connect) with whose accounts people may sign in too, by its own "
        "name for itself, `https://login.example.org`. It needs `oidc_client_id` and `console_url`.",
    )
    oidc_client_id: str | None = Field(None, description="This service's name at the identity provider.")
    oidc_client_secret: SecretStr | None = Field(
        None,
        description="What proves that name; give it as a file, `BAKEN_OIDC_CLIENT_SECRET_FILE`. Unset for a client "
        "without a secret.",
    )
    oidc_name: str | None = Field(
        None, description="What people call the identity provider; the page of signing in says it. Its host when unset."
    )
    oidc_is_second_factor: StrictBool = Field(
        False,
        description="Whether every sign-in at the identity provider counts as one with a second factor, because it "
        "asks for one. Without it, one counts when the provider says `amr: mfa`, or the `oidc_second_factor_acr`.",
    )
    oidc_second_factor_acr: str | None = Field(
        None,
        description="The `acr` with which the identity provider says that a second factor was used; it is asked for.",
    )
    oidc_auto_link: StrictBool = Field(
        False,
        description="Whether an account here is linked with one at the identity provider that has its e-mail address, "
        "if the provider has verified that. Else an administrator links them.",
    )
    audit_timestamp_url: str | None = Field(
        None,
        description="The address of a time stamp authority (RFC 3161) that `baken audit stamp` asks; it gets a digest "
        "and nothing else.",
    )
    audit_timestamp_roots_file: Path | None = Field(
        None,
        description="The root certificates, PEM, that time stamps of the audit log must lead to. Without them, "
        "`baken audit verify` checks what was stamped and not by whom.",
    )
    jurisdiction: Literal["generic", "eu", "be", "uk", "us"] = Field(
        "generic",
        description="The profile that says how much of a picture each role may see, and what may be held: "
        "[jurisdictions](jurisdictions.md). Its rules are defaults, not legal advice.",
    )
    jurisdiction_file: Path | None = Field(
        None,
        description="A profile of your own, in the form of the shipped ones; it takes the place of `jurisdiction`.",
    )
    reveal_seconds: float = Field(
        120.0,
        ge=5,
        le=3600,
        description="For how long a picture that a person asked to see can be fetched; the page that shows it may "
        "stand longer.",
    )
    exposure_per_hour: int = Field(
        60,
        ge=0,
        le=100_000,
        description="Points of exposure that a person may spend in any hour: a look at level 1, 2 or 3 counts 1, 2 or "
        "3. Then pictures pause, unless a lead lifts the budget. 0: no limit. A choice, not science.",
    )
    exposure_per_day: int = Field(
        240,
        ge=0,
        le=100_000,
        description="Likewise in any 24 hours. 0: no limit. No study or standard gives a validated number.",
    )
    vault_dir: Path | None = Field(
        None,
        description="The folder of held bytes, encrypted; `vault` in the data folder when unset. Machines that share "
        "a database share it too.",
    )
    vault_hold_days: int = Field(
        0,
        ge=0,
        le=3650,
        description="For how many days the bytes of items that matched are held, if the jurisdiction's profile allows "
        "it, and never longer than it says. 0: nothing new is held.",
    )
    vault_purposes: Annotated[str, AfterValidator(_listed_purposes)] = Field(
        "known_abuse,own_photo,watch",
        description="Bank purposes, with commas between them, whose matches may be held at all. An item that matched "
        "for several is held only if all of them may be.",
    )
    media_hosts: str = Field(
        "",
        description="Hosts, with commas between them (`HOST` or `HOST:PORT`), that may be asked for the bytes of an "
        "item at the `url` it came with, when somebody looks. Nothing: none is ever asked.",
    )
    media_inner_hosts: str = Field(
        "",
        description="Those of `media_hosts` that stand in your own network: they may have private addresses, and be "
        "asked without TLS.",
    )
    media_token_file: Path | None = Field(
        None, description="A file with a bearer token that is sent to every one of `media_hosts`."
    )
    media_timeout_seconds: float = Field(
        10.0, ge=0.1, le=120, description="How long one file may take to come from there, all in all."
    )
    log_format: Literal["text", "json"] = Field("text", description="How `baken serve` writes its log lines to stderr.")
    access_log: StrictBool = Field(
        False, description="Whether `baken serve` logs every request (method, path, status)."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the caller alone: `load` reads environment and file, so that errors can name the origin."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @property
    def resolved_database_url(self) -> str:
        """The database's URL: the setting, or SQLite in the data folder. May hold a password; never print it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir.resolve() / DATABASE_FILE_NAME}"

    @property
    def resolved_feature_key_file(self) -> Path:
        """The file with the keys that seal keypoints: the setting, or in the data folder."""
        return self.feature_key_file or self.data_dir / FEATURE_KEY_FILE_NAME

    @property
    def resolved_vault_dir(self) -> Path:
        """The folder of held bytes: the setting, or in the data folder."""
        return self.vault_dir or self.data_dir / VAULT_FOLDER_NAME

    @property
    def two_factor_roles(self) -> frozenset[Role]:
        """The roles that need a second factor."""
        return roles_in(self.require_second_factor_roles)

    def told(self) -> dict[str, object]:
        """The settings that were given, for the audit log: without secrets, and without paths, which may name people.

        Of those left out, only the names are told.
        """
        given = {name: getattr(self, name) for name in sorted(self.model_fields_set)}
        return {
            name: "(given)" if name in SECRET_NAMES or isinstance(value, Path) else value
            for name, value in given.items()
            if value is not None
        }

    def unscreenable_verdicts(self) -> dict[UnscreenableReason, Verdict]:
        """The verdict for every reason a picture could not be compared."""
        return {reason: getattr(self, f"verdict_{reason.value}") for reason in UnscreenableReason}


def load(environment: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """Read the settings.

    Args:
        environment: the variables to read; the process's own by default.
        overrides: values from the command line; None means not given.

    Raises:
        SettingError: a value is wrong, a name is unknown, or a file cannot be read; it names setting and origin.
    """
    env = os.environ if environment is None else environment
    given = {name: value for name, value in overrides.items() if value is not None}
    from_env = _from_environment(env)
    data_dir = Path(str(given.get("data_dir") or from_env.get("data_dir") or DEFAULT_DATA_DIR))
    from_file = _from_file(data_dir / CONFIG_FILE_NAME)
    values: dict[str, Any] = {**from_file, **from_env, **given, "data_dir": data_dir}
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _explain(error, given, from_env, data_dir) from None


def given_in_file(settings: Settings) -> frozenset[str]:
    """The settings whose values stand in the configuration file; the other given ones come from anywhere else.

    A server's processes hand their settings on through the environment, which therefore says little. Reads the file.
    """
    try:
        in_file = _from_file(settings.data_dir / CONFIG_FILE_NAME)
    except SettingError:
        return frozenset()
    return frozenset(
        name
        for name in settings.model_fields_set & in_file.keys()
        if str(in_file[name]).lower() == str(_plain(getattr(settings, name))).lower()
    )


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _from_environment(env: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for variable, text in env.items():
        name = variable.removeprefix(ENV_PREFIX).lower()
        if variable.startswith(ENV_PREFIX) and name in Settings.model_fields:
            values[name] = text
    for name in SECRET_NAMES:
        variable = f"{ENV_PREFIX}{name.upper()}_FILE"
        if variable in env and name not in values:
            values[name] = _read_secret(variable, Path(env[variable]))
    return values


def _read_secret(variable: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{variable} names the file {str(path)!r}, which cannot be read: {error}"
        raise SettingError(message, hint="Give the path of a text file that this user may read.") from error


def _from_file(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"the configuration file {str(path)!r} cannot be read: {error}"
        raise SettingError(message, hint="Correct the file; docs/reference/settings.md lists every setting.") from error


def _explain(
    error: ValidationError, given: Mapping[str, object], from_env: Mapping[str, object], data_dir: Path
) -> SettingError:
    """One line for the first wrong setting: name, origin, what was given (unless secret), what was expected."""
    first = error.errors()[0]
    name = str(first["loc"][0])
    if name in given:
        origin = f"the option --{name.replace('_', '-')}"
    elif name in from_env:
        origin = f"the variable {ENV_PREFIX}{name.upper()}"
    else:
        origin = f"{str(data_dir / CONFIG_FILE_NAME)!r}"
    got = "(not shown)" if name in SECRET_NAMES else repr(first["input"])
    message = f"the setting {name} from {origin} is {got}: {first['msg']}"
    return SettingError(message, hint="docs/reference/settings.md lists every setting, its values and its default.")
