"""Tokens of a real issuer on this machine, at the control API."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from headgate_runtime.access import Caller, ControlAuth, ControlCaller, audited, require
from headgate_runtime.config import HttpSettings, OidcSettings
from headgate_runtime.identity import Identity, Role
from headgate_runtime.oidc import IssuerKeys, OidcVerifier
from headgate_runtime.testing.issuer import AUDIENCE, LocalIssuer
from pydantic import ValidationError
from structlog.testing import capture_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTROL_TOKEN = "0123456789abcdef-token"
KEYS_PATH = "/keys"


class Bench:
    """An application with an endpoint for operators and one for reviewers; its clock is the test's."""

    def __init__(self, issuer: LocalIssuer, **settings: Any) -> None:
        self.issuer = issuer
        self.now = 1000.0
        self.settings = OidcSettings(issuer=issuer.url, audience=AUDIENCE, **settings)
        self.verifier = OidcVerifier(self.settings, IssuerKeys(self.settings, lambda: self.now))
        app = FastAPI()
        app.state.control_auth = ControlAuth(CONTROL_TOKEN, self.verifier)

        @app.post("/operate")
        def operate(caller: ControlCaller) -> str | None:
            with audited(caller, "operate"):
                return caller.subject

        @app.post("/review")
        def review(caller: Annotated[Caller, Depends(require(Role.REVIEWER))]) -> str | None:
            return caller.subject

        self.client = TestClient(app)

    def post(self, path: str, token: str) -> tuple[int, str]:
        response = self.client.post(path, headers={"Authorization": f"Bearer {token}"})
        body = response.json()
        return response.status_code, body if response.status_code == 200 else body["detail"]

    def times_asked(self) -> int:
        return self.issuer.asked.count(KEYS_PATH)


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    with LocalIssuer() as local:
        local.add_key("first")
        yield local


@pytest.fixture
def bench(issuer: LocalIssuer) -> Bench:
    return Bench(issuer)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_an_operator_is_let_in_by_a_token_of_the_issuer_and_named_in_the_audit(bench: Bench, algorithm: str) -> None:
    bench.issuer.add_key("another", algorithm)
    token = bench.issuer.token("another", roles=["operator"])
    with capture_logs() as logs:
        assert bench.post("/operate", token) == (200, "alex")
    (line,) = logs
    assert (line["action"], line["outcome"], line["subject"]) == ("operate", "done", "alex")
    assert token not in str(line)


def test_the_control_token_goes_on_beside_the_issuer_and_needs_no_role(bench: Bench) -> None:
    assert bench.post("/operate", CONTROL_TOKEN) == (200, None)
    assert bench.issuer.asked == []


@pytest.mark.parametrize(
    ("roles", "review", "operate"),
    [
        (["operator"], 200, 200),
        (["viewer", "reviewer"], 200, 403),
        (["viewer"], 403, 403),
        (["stranger"], 403, 403),
        ([], 403, 403),
    ],
)
def test_a_role_may_what_those_below_it_may_and_no_more(
    bench: Bench, roles: list[str], review: int, operate: int
) -> None:
    token = bench.issuer.token("first", roles=roles)
    assert (bench.post("/review", token)[0], bench.post("/operate", token)[0]) == (review, operate)


def test_a_missing_role_is_told_and_audited_with_who_it_was(bench: Bench) -> None:
    with capture_logs() as logs:
        status, detail = bench.post("/operate", bench.issuer.token("first", roles=["viewer"]))
    assert (status, detail) == (403, "This takes the role operator; the token's is viewer.")
    assert (logs[0]["outcome"], logs[0]["subject"], logs[0]["status"]) == ("refused", "alex", 403)


def seconds(offset: int) -> int:
    return int(time.time()) + offset


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"iss": "https://somebody.else"}, "issuer"),
        ({"aud": "another-service"}, "Audience"),
        ({"aud": None}, '"aud"'),
        ({"exp": seconds(-3600)}, "expired"),
        ({"exp": None}, '"exp"'),
        ({"nbf": seconds(3600)}, "not yet valid"),
        ({"iat": seconds(3600)}, "not yet valid"),
        ({"sub": None}, '"sub"'),
    ],
)
def test_a_token_for_others_or_another_time_is_refused_with_the_reason(
    bench: Bench, claims: dict[str, Any], says: str
) -> None:
    status, detail = bench.post("/operate", bench.issuer.token("first", roles=["operator"], **claims))
    assert status == 401
    assert says in detail


def test_clocks_may_differ_by_half_a_minute(bench: Bench) -> None:
    token = bench.issuer.token("first", roles=["operator"], exp=seconds(-15), iat=seconds(-300))
    early = bench.issuer.token("first", roles=["operator"], nbf=seconds(15), iat=seconds(15))
    assert [bench.post("/operate", each)[0] for each in (token, early)] == [200, 200]


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def payload(issuer: LocalIssuer) -> str:
    return issuer.token("first", roles=["operator"]).split(".")[1]


def unsigned(issuer: LocalIssuer) -> str:
    return f"{part({'alg': 'none', 'kid': 'first'})}.{payload(issuer)}."


def signed_with_the_public_key_as_a_secret(issuer: LocalIssuer) -> str:
    public = issuer.keys["first"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{part({'alg': 'HS256', 'kid': 'first'})}.{payload(issuer)}"
    digest = hmac.digest(public, text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def signed_by_somebody_else(issuer: LocalIssuer) -> str:
    other = LocalIssuer()
    other.url = issuer.url
    other.add_key("first")
    return other.token("first", roles=["operator"])


def altered(issuer: LocalIssuer) -> str:
    header, _, signature = issuer.token("first", roles=["viewer"]).split(".")
    return f"{header}.{payload(issuer)}.{signature}"


def without_a_key_id(issuer: LocalIssuer) -> str:
    claims = jwt.decode(issuer.token("first"), options={"verify_signature": False})
    return jwt.encode(claims, issuer.keys["first"], "ES256")  # type: ignore[arg-type]  # it is an EC key


@pytest.mark.parametrize(
    "forge",
    [
        unsigned,
        signed_with_the_public_key_as_a_secret,
        signed_by_somebody_else,
        altered,
        without_a_key_id,
        lambda _: "nonsense",
        lambda _: "a.b.c",
    ],
)
def test_a_forged_token_is_refused(bench: Bench, forge: Any) -> None:
    token = forge(bench.issuer)
    with capture_logs() as logs:
        response = bench.client.post("/operate", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert (logs[0]["outcome"], logs[0]["subject"]) == ("refused", None)


def test_a_new_key_is_asked_for_and_one_that_is_withdrawn_lasts_no_longer_than_ten_minutes(bench: Bench) -> None:
    old = bench.issuer.token("first", roles=["operator"])
    assert bench.post("/operate", old)[0] == 200
    bench.issuer.add_key("second")
    del bench.issuer.keys["first"]
    bench.now += 31
    assert bench.post("/operate", bench.issuer.token("second", roles=["operator"]))[0] == 200
    assert bench.post("/operate", old) == (401, "the token is signed with a key that its issuer does not publish.")
    bench.issuer.add_key("third")
    del bench.issuer.keys["second"]
    bench.now += 601
    assert bench.post("/operate", signed(bench, "second"))[0] == 401


def signed(bench: Bench, key_id: str) -> str:
    """A token with a key id that is not published any more."""
    other = LocalIssuer()
    other.url = bench.issuer.url
    other.add_key(key_id)
    return other.token(key_id, roles=["operator"])


def test_made_up_key_ids_do_not_make_us_ask_the_issuer_more_often_than_every_half_minute(bench: Bench) -> None:
    for number in range(20):
        assert bench.post("/operate", signed(bench, f"made-up-{number}"))[0] == 401
    assert bench.times_asked() == 1
    bench.now += 31
    bench.post("/operate", signed(bench, "made-up"))
    assert bench.times_asked() == 2


def test_known_keys_go_on_while_the_issuer_is_away(bench: Bench) -> None:
    token = bench.issuer.token("first", roles=["operator"])
    assert bench.post("/operate", token)[0] == 200
    bench.issuer.answers = False
    bench.now += 3600
    assert bench.post("/operate", token)[0] == 200
    assert bench.times_asked() == 1  # discovery, which comes first, has failed


def test_an_issuer_that_never_answered_is_no_fault_of_the_token(bench: Bench) -> None:
    bench.issuer.answers = False
    token = bench.issuer.token("first", roles=["operator"])
    status, detail = bench.post("/operate", token)
    assert status == 503
    assert "does not answer" in detail
    bench.issuer.answers = True
    bench.now += 31
    assert bench.post("/operate", token)[0] == 200


def test_the_address_of_the_keys_may_be_given(issuer: LocalIssuer) -> None:
    bench = Bench(issuer, jwks_url=issuer.url + KEYS_PATH)
    assert bench.post("/operate", issuer.token("first", roles=["operator"]))[0] == 200
    assert issuer.asked == [KEYS_PATH]


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("roles", {"roles": "viewer operator"}),
        ("realm_access.roles", {"realm_access": {"roles": ["operator"]}}),
        ("https://headgate/roles", {"https://headgate/roles": ["operator"]}),
        ("cognito:groups", {"cognito:groups": ["operator", 7]}),
    ],
)
def test_roles_are_found_where_issuers_put_them(issuer: LocalIssuer, path: str, claims: dict[str, Any]) -> None:
    bench = Bench(issuer, roles_claim=path)
    assert bench.verifier.identify(issuer.token("first", **claims)) == Identity("alex", Role.OPERATOR)


@pytest.mark.parametrize("claims", [{}, {"realm_access": "operator"}, {"realm_access": {"roles": 3}}])
def test_roles_that_are_nowhere_are_none(issuer: LocalIssuer, claims: dict[str, Any]) -> None:
    bench = Bench(issuer, roles_claim="realm_access.roles")
    assert bench.verifier.identify(issuer.token("first", **claims)).role is None


@pytest.mark.parametrize(
    "settings",
    [
        {"issuer": "http://keys.example/"},
        {"issuer": "https://issuer"},
        {"jwks_url": "https://issuer/keys"},
    ],
)
def test_settings_that_would_trust_anybody_or_nobody_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"OIDC__|pattern"):
        OidcSettings.model_validate(settings)


def test_the_settings_make_the_guard(issuer: LocalIssuer) -> None:
    oidc = OidcSettings(issuer=issuer.url, audience=AUDIENCE)
    app = FastAPI()
    app.state.control_auth = ControlAuth.from_settings(HttpSettings(oidc=oidc))

    @app.post("/operate")
    def operate(caller: ControlCaller) -> str | None:
        return caller.subject

    token = issuer.token("first", roles=["operator"])
    response = TestClient(app).post("/operate", headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()) == (200, "alex")
