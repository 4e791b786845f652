"""Signing in at an identity provider: what it may say, and everything it must not get away with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import text

from baken import providers_http
from baken.accounts import Identity, ProviderVisit, Role, SignInMethod, User
from baken.assemble import PROVIDER_PATH
from baken.errors import ConflictError, InvalidValueError, NotAuthenticatedError, NotFoundError, ProviderError
from baken.passwords import Passwords
from baken.people import Browser, NotLinked, People, SecondFactorWanted, SignedIn
from baken.providers import Departure, Provider, Return, Trust
from baken.providers_http import MAX_ANSWER_BYTES, Client, is_acceptable, metadata_of
from baken.providers_tokens import IdClaims
from baken.sealing import Sealer
from baken.second_factor import code_at
from baken.store import Store
from identity_provider import CLIENT_ID, SECRET, FreeProvider, new_key

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GOOD = "correct horse battery"
HOME = Browser("192.0.2.7", "a browser")
REDIRECT_URI = f"https://baken.example.org{PROVIDER_PATH}"
OTHER_KEY = new_key("first")
CURVE_KEY = ECKey.generate_key("P-256", {"kid": "curve"})
with warnings.catch_warnings(action="ignore"):
    SMALL_KEY = RSAKey.generate_key(1024, {"kid": "small"})


class World:
    """A provider, what signs people in there, and a clock."""

    def __init__(self, store: Store, sealer: Sealer, provider: FreeProvider, **trust: object) -> None:
        self.at = START
        self.store = store
        self.free = provider
        self.people = People(store, sealer, Passwords(time_cost=1, memory_kib=8, parallelism=1), now=lambda: self.at)
        self.provider = self.known_as(SECRET, **trust)

    def known_as(self, secret: str | None, **trust: object) -> Provider:
        """What signs people in, with a secret or none, and some trust."""
        client = Client(self.free.issuer, CLIENT_ID, secret, REDIRECT_URI)
        return Provider(self.store, client, Trust(**trust), now=lambda: self.at)

    def make(self, name: str = "alice", **given: object) -> User:
        """A reviewer."""
        return self.people.create(name, {Role.REVIEWER}, actor="cli:test", **given)

    def link(self, user: User, subject: str = "person-1") -> None:
        """Let somebody sign in as a person whom the provider knows."""
        self.people.link_identity(user, self.free.issuer, subject, actor="cli:test")

    def back(self, departure: Departure | None = None, **changed: str | None) -> Return:
        """What a browser brings back that has signed in."""
        departure = departure or self.provider.begin()
        state, code = self.free.authorise(departure.address)
        return Return(**{"cookie_state": departure.state, "state": state, "code": code, **changed})

    def finish(self) -> IdClaims:
        """A whole sign-in at the provider; what its token says."""
        return self.provider.finish(self.back())

    def enter(self) -> SignedIn | SecondFactorWanted | NotLinked:
        """A whole sign-in."""
        return self.provider.enter(self.people, self.finish(), HOME)

    def method(self) -> SignInMethod:
        """How the session began of a whole sign-in."""
        entered = self.enter()
        assert isinstance(entered, SignedIn)
        return entered.session.method


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.initialise(f"sqlite:///{tmp_path_factory.mktemp('providers') / 'baken.sqlite3'}") as opened:
        yield opened


@pytest.fixture
def free() -> Iterator[FreeProvider]:
    with FreeProvider(lambda: START) as running:
        yield running


@pytest.fixture
def world(shared_store: Store, tmp_path: Path, free: FreeProvider) -> World:
    with shared_store._database.write() as connection:
        for table in (
            "sessions",
            "tickets",
            "identities",
            "provider_visits",
            "recovery_codes",
            "sign_in_attempts",
            "users",
        ):
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names of ours
    return World(shared_store, Sealer(tmp_path / "feature.key"), free)


def test_whoever_is_linked_is_in_and_nobody_else_gets_an_account(world: World):
    user = world.make()
    assert world.enter() == NotLinked("person-1")
    assert [each.name for each in world.store.people.all()] == ["alice"]

    world.link(user)

    assert world.method() is SignInMethod.PROVIDER
    assert world.store.people.user(user.id).can_sign_in
    assert world.people.unlink_identities(user, actor="cli:test") == 1
    assert world.enter() == NotLinked("person-1")
    assert world.store.people.named("alice").identity_count == 0


def test_what_is_asked_of_the_provider_is_what_the_standards_say(world: World):
    returned = world.back(departure := world.provider.begin())
    world.provider.finish(returned)

    begun = dict(parse_qsl(urlsplit(departure.address).query))
    assert begun["tenant"] == "1"
    assert (begun["response_type"], begun["scope"], begun["code_challenge_method"]) == ("code", "openid", "S256")
    [(headers, form)] = world.free.asked
    assert (
        headers["authorization"].removeprefix("Basic ")
        == base64.b64encode(f"{CLIENT_ID}:a+secret%3A+of%2Fthe+client".encode()).decode()
    )
    assert form.keys() == {"grant_type", "code", "redirect_uri", "code_verifier"}
    assert form["redirect_uri"] == REDIRECT_URI
    assert len(form["code_verifier"]) >= 43
    assert len({departure.state, begun["nonce"], form["code_verifier"]}) == 3


@pytest.mark.parametrize("secret", [SECRET, None])
def test_a_client_proves_itself_as_the_provider_takes_it(world: World, secret: str | None):
    world.free.document["token_endpoint_auth_methods_supported"] = ["client_secret_post", "none"]
    world.provider = world.known_as(secret)
    world.finish()

    [(headers, form)] = world.free.asked
    assert "authorization" not in headers
    assert (form["client_id"], form.get("client_secret")) == (CLIENT_ID, secret)


def unsigned(claims: dict[str, object]) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), ""])


def by_public_key(free: FreeProvider, claims: dict[str, object]) -> str:
    """The old confusion: HMAC with the public key, which everyone knows."""

    def part(document: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "kid": "first"}) + b"." + part(claims)
    signature = hmac.new(free.keys[0].as_pem(private=False), signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


HOSTILE: dict[str, Callable[[FreeProvider, dict[str, str]], object]] = {
    "another nonce": lambda free, begun: free.sign(free.claims(begun, nonce="another")),
    "no nonce": lambda free, begun: free.sign(free.claims(begun, nonce=None)),
    "another issuer": lambda free, begun: free.sign(free.claims(begun, iss=f"{free.issuer}/")),
    "another audience": lambda free, begun: free.sign(free.claims(begun, aud="another-client")),
    "an audience more": lambda free, begun: free.sign(free.claims(begun, aud=[CLIENT_ID, "another-client"])),
    "no audience": lambda free, begun: free.sign(free.claims(begun, aud=[])),
    "given to another": lambda free, begun: free.sign(free.claims(begun, azp="another-client")),
    "expired": lambda free, begun: free.sign(free.claims(begun, exp=START.timestamp() - 61)),
    "without an end": lambda free, begun: free.sign(free.claims(begun, exp=None)),
    "an end in words": lambda free, begun: free.sign(free.claims(begun, exp="never")),
    "an end that is true": lambda free, begun: free.sign(free.claims(begun, exp=True)),
    "of the future": lambda free, begun: free.sign(free.claims(begun, iat=START.timestamp() + 61)),
    "not yet good": lambda free, begun: free.sign(free.claims(begun, nbf=START.timestamp() + 61)),
    "older than the sign-in": lambda free, begun: free.sign(free.claims(begun, iat=START.timestamp() - 661)),
    "nobody": lambda free, begun: free.sign(free.claims(begun, sub="")),
    "a number": lambda free, begun: free.sign(free.claims(begun, sub=7)),
    "an endless name": lambda free, begun: free.sign(free.claims(begun, sub="x" * 256)),
    "alg none": lambda free, begun: unsigned(free.claims(begun)),
    "HMAC with the public key": lambda free, begun: by_public_key(free, free.claims(begun)),
    "an algorithm that is not ours": lambda free, begun: free.sign(free.claims(begun), alg="RS512"),
    "the key of another": lambda free, begun: free.sign(free.claims(begun), key=OTHER_KEY),
    "another part": lambda free, begun: "..".join(free.sign(free.claims(begun)).split(".")[::2]),
    "no token": lambda free, begun: "nonsense",  # noqa: ARG005
    "a number as token": lambda free, begun: 7,  # noqa: ARG005
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_token_that_breaks_a_rule_lets_nobody_in(world: World, case: str):
    world.link(world.make())
    world.free.token = lambda begun: HOSTILE[case](world.free, begun)
    with pytest.raises((NotAuthenticatedError, ProviderError)) as raised:
        world.finish()

    assert "person-1" not in raised.value.message
    assert "eyJ" not in raised.value.message
    world.free.token = lambda begun: world.free.sign(world.free.claims(begun))
    assert world.method() is SignInMethod.PROVIDER  # and a right one does


def test_a_token_that_is_a_little_late_or_names_us_in_a_list_is_taken(world: World):
    seconds = START.timestamp()
    for changed in ({"exp": seconds - 59}, {"iat": seconds + 59}, {"aud": [CLIENT_ID], "azp": CLIENT_ID}):
        world.free.token = lambda begun, changed=changed: world.free.sign(world.free.claims(begun, **changed))
        assert world.finish().subject == "person-1"


@pytest.mark.parametrize(("alg", "key"), [("PS256", None), ("ES256", CURVE_KEY)])
def test_the_other_algorithms_are_taken_with_the_keys_that_belong_to_them(world: World, alg: str, key: ECKey | None):
    world.free.keys.append(CURVE_KEY)
    world.free.token = lambda begun: world.free.sign(world.free.claims(begun), alg, key)
    assert world.finish().subject == "person-1"


@pytest.mark.filterwarnings("ignore:Key size")
def test_a_key_that_is_too_small_or_for_something_else_signs_nothing(world: World):
    for_encryption = RSAKey.import_key({**OTHER_KEY.as_dict(private=True), "use": "enc"})
    for published, signing in ((SMALL_KEY, SMALL_KEY), (for_encryption, OTHER_KEY)):
        world.free.keys = [published]
        world.free.token = lambda begun, key=signing: world.free.sign(world.free.claims(begun), key=key)
        world.provider = world.known_as(SECRET)
        with pytest.raises(NotAuthenticatedError, match="none of the provider's keys"):
            world.finish()


def test_new_keys_of_the_provider_are_asked_for_once_they_are_needed(world: World):
    world.finish()
    world.finish()
    assert world.free.key_requests == 1
    world.provider._http._clock = lambda: 1e9
    world.free.keys = [new_key("second")]

    assert world.finish().subject == "person-1"
    assert world.free.key_requests == 2
    world.free.token = lambda begun: world.free.sign(world.free.claims(begun), key=OTHER_KEY)
    for _ in range(3):  # junk does not make us ask again and again
        with pytest.raises(NotAuthenticatedError):
            world.finish()
    assert world.free.key_requests == 2


def test_a_sign_in_comes_back_once_to_the_browser_that_began_it_and_in_time(world: World):
    first, second = world.provider.begin(), world.provider.begin()
    done = world.back(first)
    world.provider.finish(done)
    late = world.back(world.provider.begin())
    refused = {
        "replayed": done,
        "another browser": world.back(second, cookie_state=first.state),
        "no cookie": world.back(second, cookie_state=None),
        "no state": world.back(second, state=None, cookie_state=None),
        "nobody began it": Return("x" * 43, "x" * 43, "code"),
        "no code": world.back(code=None),
        "an error": world.back(error="access_denied"),
        "an error in words": world.back(error="<b>Call 0900-1234</b>"),
        "another provider": world.back(issuer="https://evil.example"),
        "another code": world.back(code="guessed"),
    }
    for case, returned in refused.items():
        with pytest.raises(NotAuthenticatedError) as raised:
            world.provider.finish(returned)
        assert "0900" not in raised.value.message, case
    world.at += timedelta(minutes=11)
    with pytest.raises(NotAuthenticatedError, match="took too long"):
        world.provider.finish(late)


def test_a_code_is_worth_nothing_to_a_sign_in_that_did_not_ask_for_it(world: World):
    mine, theirs = world.provider.begin(), world.provider.begin()
    _, stolen = world.free.authorise(theirs.address)
    with pytest.raises(NotAuthenticatedError, match="did not take the code"):
        world.provider.finish(world.back(mine, code=stolen))


def test_a_provider_that_says_its_name_must_say_it(world: World):
    world.free.document["authorization_response_iss_parameter_supported"] = True
    with pytest.raises(NotAuthenticatedError, match="another provider"):
        world.finish()
    assert world.provider.finish(world.back(issuer=world.free.issuer)).subject == "person-1"


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://192.0.2.1/token"},
        {"jwks_uri": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"padding": "x" * MAX_ANSWER_BYTES},
    ],
)
def test_a_document_that_cannot_be_worked_with_leads_nowhere(world: World, changed: dict[str, object]):
    world.free.document |= changed
    with pytest.raises(ProviderError):
        world.provider.begin()


def test_a_provider_that_is_down_says_so_and_is_asked_again(world: World):
    issuer = world.free.document.pop("issuer")
    with pytest.raises(ProviderError):
        world.provider.begin()
    world.free.document["issuer"] = issuer
    world.provider.begin()

    client = Client("http://127.0.0.1:9", CLIENT_ID, SECRET, REDIRECT_URI)
    with pytest.raises(ProviderError, match="could not be asked"):
        Provider(world.store, client, Trust()).begin()


@pytest.mark.parametrize("bytes_at_once", [0, 60])
def test_a_provider_that_answers_byte_by_byte_is_given_up_in_time(
    world: World, monkeypatch: pytest.MonkeyPatch, bytes_at_once: int
):
    """It keeps us waiting with the head of its answer, or behind that; each byte comes in time."""
    monkeypatch.setattr(providers_http, "TIMEOUT_SECONDS", 0.5)
    world.free.bytes_at_once = bytes_at_once
    began = time.monotonic()
    with pytest.raises(ProviderError, match=r"took longer than 0\.5 s"):
        world.provider.begin()

    assert time.monotonic() - began < 3
    world.free.bytes_at_once = None
    world.provider.begin()


def test_an_answer_that_is_slow_keeps_nobody_else_waiting(world: World):
    free, first_asked, answered = world.free, threading.Event(), threading.Event()

    def hold_the_first() -> None:
        if not first_asked.is_set():
            first_asked.set()
            answered.wait(timeout=60)

    free.before = hold_the_first
    slow = threading.Thread(target=world.provider.begin)
    slow.start()
    try:
        assert first_asked.wait(timeout=60)
        world.finish()
        assert slow.is_alive()
    finally:
        answered.set()
        slow.join()


@pytest.mark.parametrize(
    ("issuer", "endpoint", "is_taken"),
    [
        ("https://login.example.org", "https://api.example.net/token", True),
        ("https://login.example.org", "http://127.0.0.1/token", False),
        ("https://login.example.org", "http://login.example.org/token", False),
        ("https://login.example.org", "https://127.0.0.1/token", False),
        ("https://login.example.org", "https://127.1/token", False),
        ("https://login.example.org", "https://[::ffff:127.0.0.1]/token", False),
        ("https://login.example.org", "https://0.0.0.0/token", False),
        ("https://login.example.org", "https://localhost./token", False),
        ("https://login.example.org", "https://x.localhost/token", False),
        ("https://localhost", "https://127.0.0.1/token", True),
        ("https://localhost", "http://127.0.0.1/token", False),
        ("http://127.0.0.1:8080", "http://localhost:8081/token", True),
        ("http://127.0.0.1:8080", "https://api.example.net/token", True),
        ("http://127.0.0.1:8080", "http://api.example.net/token", False),
    ],
)
def test_a_provider_leads_to_no_worse_address_than_its_own(issuer: str, endpoint: str, is_taken: bool):
    assert is_acceptable(endpoint, issuer=issuer) is is_taken


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_every_address_in_the_document_of_a_provider_elsewhere_is_looked_at(name: str):
    issuer = "https://login.example.org"
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    document = {"issuer": issuer, **{each: f"{issuer}/{each}" for each in names}}
    assert metadata_of(document, issuer).token_endpoint == f"{issuer}/token_endpoint"
    with pytest.raises(ProviderError, match=f"{name} is 'http://127.0.0.1:9200/x'"):
        metadata_of({**document, name: "http://127.0.0.1:9200/x"}, issuer)


def test_addresses_are_asked_over_tls_or_on_this_machine():
    good = ["https://login.example.org", "https://login.example.org/realms/x", "http://127.0.0.1:1", "http://[::1]/x"]
    bad = ["http://login.example.org", "ftp://x", "https://", "https://a:b@x", "https://x#y", "http://[", "//x", ""]
    assert [is_acceptable(address) for address in (*good, *bad)] == [True] * len(good) + [False] * len(bad)


def test_a_second_factor_counts_where_the_provider_says_so_and_is_asked_for_else(world: World):
    user = world.make(password=GOOD)
    world.link(user)
    said: dict[str, object] = {}
    world.free.token = lambda begun: world.free.sign(world.free.claims(begun, **said))
    assert world.method() is SignInMethod.PROVIDER
    said["amr"] = ["pwd", "mfa"]
    assert world.method() is SignInMethod.PROVIDER_FACTOR
    said.update(amr="mfa", acr="gold")
    assert world.method() is SignInMethod.PROVIDER
    world.provider = world.known_as(SECRET, second_factor_acr="gold")
    assert "acr_values=gold" in world.provider.begin().address
    assert world.method() is SignInMethod.PROVIDER_FACTOR
    said.clear()
    world.provider = world.known_as(SECRET, is_second_factor=True)
    assert world.method() is SignInMethod.PROVIDER_FACTOR

    world.provider = world.known_as(SECRET)
    offer = world.people.second_factors.offer(user)
    world.people.second_factors.confirm(user, offer.secret, code_at(offer.secret, world.at))
    world.at += timedelta(seconds=60)
    wanted = world.enter()
    assert isinstance(wanted, SecondFactorWanted)
    entered = world.people.give_second_factor(wanted.ticket, code_at(offer.secret, world.at), HOME)
    assert entered.session.method is SignInMethod.TOTP


def test_an_office_that_signs_in_there_and_with_a_code_here_is_never_kept_waiting(world: World):
    user = world.make(password=GOOD)
    world.link(user)
    offer = world.people.second_factors.offer(user)
    world.people.second_factors.confirm(user, offer.secret, code_at(offer.secret, world.at))
    claims = world.finish()
    for _ in range(40):
        world.at += timedelta(seconds=30)
        world.people.count_attempt(HOME)
        wanted = world.provider.enter(world.people, claims, HOME)
        assert isinstance(wanted, SecondFactorWanted)
        world.people.give_second_factor(wanted.ticket, code_at(offer.secret, world.at), HOME)


def test_a_disabled_account_is_not_opened_from_there(world: World):
    user = world.make()
    world.link(user)
    world.people.disable(user, actor="cli:test")
    with pytest.raises(NotAuthenticatedError):
        world.enter()


@pytest.mark.parametrize(
    ("said", "is_linked"),
    [
        ({"email": "Alice@example.org", "email_verified": True}, True),
        ({"email": "alice@example.org", "email_verified": "true"}, False),
        ({"email": "alice@example.org"}, False),
        ({"email": "bob@example.org", "email_verified": True}, False),
        ({"email": "", "email_verified": True}, False),
    ],
)
def test_an_address_links_only_where_that_is_set_and_the_provider_has_verified_it(
    world: World, said: dict[str, object], is_linked: bool
):
    world.make(email="alice@example.org")
    world.make("carol")
    world.free.token = lambda begun: world.free.sign(world.free.claims(begun, **said))
    assert isinstance(world.enter(), NotLinked)
    world.provider = world.known_as(SECRET, links_by_email=True)
    assert "scope=openid+email" in world.provider.begin().address

    assert isinstance(world.enter(), SignedIn) is is_linked
    assert world.store.people.named("alice").identity_count == is_linked


def test_an_address_of_two_accounts_or_of_a_linked_one_links_nobody(world: World):
    world.provider = world.known_as(SECRET, links_by_email=True)
    said = {"email": "alice@example.org", "email_verified": True}
    world.free.token = lambda begun: world.free.sign(world.free.claims(begun, **said))
    alice = world.make(email="alice@example.org")
    world.link(alice, "somebody else there")
    assert isinstance(world.enter(), NotLinked)
    world.people.unlink_identities(alice, actor="cli:test")
    world.make("bob", email="alice@example.org")
    assert isinstance(world.enter(), NotLinked)


def test_links_are_told_without_the_providers_name_for_the_person(store: Store, tmp_path: Path):
    people = People(store, Sealer(tmp_path / "feature.key"), Passwords(time_cost=1, memory_kib=8, parallelism=1))
    alice, bob = (people.create(name, {Role.LEAD}, actor="cli:test") for name in ("alice", "bob"))
    issuer, subject = "https://login.example.org", "alice@example.org"
    for _ in range(2):
        people.link_identity(alice, issuer, f" {subject} ", actor="cli:test")
    with pytest.raises(ConflictError):
        people.link_identity(bob, issuer, subject, actor="cli:test")
    for wrong in ("", "x" * 256, "a\nb"):
        with pytest.raises(InvalidValueError):
            people.link_identity(bob, issuer, wrong, actor="cli:test")
    with pytest.raises(NotFoundError):
        people.unlink_identities(bob, subject=subject, actor="cli:test")
    with pytest.raises(NotFoundError):
        store.identities.link(Identity(issuer, "x", "usr_none", START), actor="cli:test")
    assert [each.subject for each in store.identities.of_user(alice.id)] == [subject]
    assert store.people.user(alice.id).identity_count == 1
    people.unlink_identities(alice, subject=subject, actor="cli:test")

    events = [row.parsed() for row in store.audit.rows()]
    assert [event["kind"] for event in events][2:] == ["user.identity_linked", "user.identity_unlinked"]
    assert events[2]["facts"]["subject_sha256"] == hashlib.sha256(subject.encode()).hexdigest()
    assert subject not in str(events)
    assert store.identities.all() == []


def test_a_visit_is_taken_once_on_both_databases_and_forgotten_when_it_is_over(store: Store):
    visit = ProviderVisit("nonce", "verifier")
    for number in range(3):
        store.identities.add_visit(bytes([number]) * 32, visit, START + timedelta(minutes=number), now=START)

    assert store.identities.take_visit(bytes([2]) * 32, START) == visit
    assert store.identities.take_visit(bytes([2]) * 32, START) is None
    assert store.identities.take_visit(bytes([1]) * 32, START + timedelta(minutes=1)) is None
    store.identities.add_visit(bytes(31) + b"x", visit, START + timedelta(hours=1), now=START + timedelta(minutes=30))
    with store._database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM provider_visits")).scalar_one() == 1
