"""What is Scaleway's own, on a stand-in that we wrote (Key Manager itself was never called): refusals and forms."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
import urllib3

from fakes.key_manager import REGION, SECRET_KEY, KeyManagerStandIn
from fakes.key_stands import certificates, key_manager
from sceau.keys.errors import (
    KeyServiceError,
    KeyServiceUnavailable,
    KeyVersionGone,
    UnknownKey,
    UnwrapRefused,
)
from sceau.keys.ports import SIGNING_KEYS, KeyName
from sceau.keys.retrying import ATTEMPTS
from sceau.keys.scaleway import ScalewayKeyService
from sceau.keys.scaleway_http import KeyManager, pool
from sceau.objects.deadline import within

CONTEXT = {"format": "1", "purpose": "document"}
DATA_KEY = bytes(range(32, 64))
Ids = dict[KeyName, list[uuid.UUID]]


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    connections = pool(str(certificates() / "ca.pem"))
    yield connections
    connections.clear()


@pytest.fixture
def stand_in(http: urllib3.PoolManager) -> Iterator[KeyManagerStandIn]:
    server = key_manager()
    yield server
    http.clear()
    server.close()


@pytest.fixture
def ids(stand_in: KeyManagerStandIn) -> Ids:
    return {key: [stand_in.create(signing=key in SIGNING_KEYS)] for key in KeyName}


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def keys(http: urllib3.PoolManager, stand_in: KeyManagerStandIn, ids: Ids, pauses: list[float]) -> ScalewayKeyService:
    return service(http, stand_in, ids, pauses)


def service(
    http: urllib3.PoolManager, stand_in: KeyManagerStandIn, ids: Ids, pauses: list[float], secret: str = SECRET_KEY
) -> ScalewayKeyService:
    manager = KeyManager(http, REGION, secret, origin=stand_in.origin, sleep=pauses.append, jitter=lambda: 1.0)
    return ScalewayKeyService(manager, ids)


def all_operations(keys: ScalewayKeyService, ids: Ids, wrapped: bytes) -> list[Callable[[], Any]]:
    return [
        lambda: keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT),
        lambda: keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT),
        lambda: keys.sign(KeyName.TOKENS, bytes(32), version=str(ids[KeyName.TOKENS][0])),
        lambda: keys.public_keys(KeyName.TOKENS),
    ]


def outcome(ask: Callable[[], Any]) -> type[KeyServiceError]:
    with pytest.raises(KeyServiceError) as refused:
        ask()
    assert SECRET_KEY not in str(refused.value)
    return type(refused.value)


# Keys that can't be used.


@pytest.mark.parametrize("state", ["disabled", "scheduled_for_deletion", "pending_key_material"])
def test_a_key_that_is_off_is_a_version_that_is_gone(
    state: str, keys: ScalewayKeyService, stand_in: KeyManagerStandIn, ids: Ids
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    for key in (KeyName.CONTENT, KeyName.TOKENS):
        stand_in.keys[str(ids[key][0])].state = state
    wrap, unwrap, sign, public = all_operations(keys, ids, wrapped)
    assert [outcome(wrap), outcome(unwrap), outcome(sign)] == [KeyServiceUnavailable, KeyVersionGone, KeyVersionGone]
    assert public() == ()
    keys.wrap(KeyName.DOSSIER, bytes(range(32)), CONTEXT)


def test_a_key_that_was_deleted_is_gone(keys: ScalewayKeyService, stand_in: KeyManagerStandIn, ids: Ids) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    for key in (KeyName.CONTENT, KeyName.TOKENS):
        del stand_in.keys[str(ids[key][0])]
    wrap, unwrap, sign, public = all_operations(keys, ids, wrapped)
    assert [outcome(wrap), outcome(unwrap), outcome(sign)] == [KeyServiceUnavailable, KeyVersionGone, KeyVersionGone]
    assert public() == ()


def test_a_key_of_another_kind_is_told(keys: ScalewayKeyService, stand_in: KeyManagerStandIn, ids: Ids) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    content, tokens = (stand_in.keys[str(ids[key][0])] for key in (KeyName.CONTENT, KeyName.TOKENS))
    content.usage, tokens.usage = tokens.usage, content.usage
    assert [outcome(ask) for ask in all_operations(keys, ids, wrapped)] == [UnknownKey] * 4


def test_what_was_wrapped_before_key_manager_rotated_a_key_still_opens(
    keys: ScalewayKeyService, stand_in: KeyManagerStandIn, ids: Ids
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    stand_in.rotate(ids[KeyName.CONTENT][0])
    assert keys.unwrap(KeyName.CONTENT, wrapped, CONTEXT) == DATA_KEY
    assert keys.unwrap(KeyName.CONTENT, keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT), CONTEXT) == DATA_KEY


# Signatures: DER or raw is not documented.


@pytest.mark.parametrize("form", ["der", "raw"])
def test_the_first_signature_decides_its_form_and_it_is_kept_to(form: str, http: urllib3.PoolManager) -> None:
    stand_in = key_manager(form)
    ids = {KeyName.TOKENS: [stand_in.create(signing=True)]}
    keys = service(http, stand_in, ids, [])
    version = str(ids[KeyName.TOKENS][0])
    assert keys.signature_form is None
    keys.sign(KeyName.TOKENS, bytes(32), version=version)
    assert keys.signature_form == form
    stand_in.signatures = "raw" if form == "der" else "der"
    with pytest.raises(KeyServiceUnavailable, match="another form than before"):
        keys.sign(KeyName.TOKENS, bytes(32), version=version)
    http.clear()
    stand_in.close()


def test_a_first_signature_that_does_not_verify_is_not_given_out(
    keys: ScalewayKeyService, stand_in: KeyManagerStandIn, ids: Ids
) -> None:
    version = ids[KeyName.TOKENS][0]
    keys.public_keys(KeyName.TOKENS)  # the public key is known; now another key signs
    stand_in.rotate(version)
    with pytest.raises(KeyServiceUnavailable, match="does not verify"):
        keys.sign(KeyName.TOKENS, bytes(32), version=str(version))


# Failures.


@pytest.mark.parametrize("status", [0, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(
    status: int, keys: ScalewayKeyService, stand_in: KeyManagerStandIn, ids: Ids, pauses: list[float]
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    for ask in all_operations(keys, ids, wrapped):
        before = len(stand_in.requests)
        stand_in.fails = lambda number, first=before: status if number <= first + 2 else None  # type: ignore[misc]
        ask()
    assert pauses == [0.05, 0.1] * 4


@pytest.mark.parametrize("status", [0, 429, 500])
def test_what_does_not_pass_is_unavailable_after_a_bounded_number_of_attempts(
    status: int, keys: ScalewayKeyService, stand_in: KeyManagerStandIn, ids: Ids
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    stand_in.fails = lambda _: status
    for ask in all_operations(keys, ids, wrapped):
        before = len(stand_in.requests)
        assert outcome(ask) is KeyServiceUnavailable
        assert len(stand_in.requests) == before + ATTEMPTS


@pytest.mark.parametrize("status", [400, 405, 409, 412, 418])
def test_a_refusal_that_the_key_s_state_does_not_explain_is_unavailable(
    status: int, keys: ScalewayKeyService, stand_in: KeyManagerStandIn, ids: Ids
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    wrap, unwrap, sign, _ = all_operations(keys, ids, wrapped)
    for ask in (wrap, unwrap, sign):
        before = len(stand_in.requests)
        stand_in.fails = lambda number, first=before: status if number == first + 1 else None  # type: ignore[misc]
        assert outcome(ask) is KeyServiceUnavailable
        assert stand_in.requests[-1][0] == "GET", "the key's state was asked, once"
        assert len(stand_in.requests) == before + 2


def test_a_wrong_api_key_is_unavailable_at_once_and_in_no_message(
    http: urllib3.PoolManager, stand_in: KeyManagerStandIn, ids: Ids, keys: ScalewayKeyService
) -> None:
    wrapped = keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    wrong = service(http, stand_in, ids, [], secret="11111111-2222-3333-4444-555555555555")
    for ask in all_operations(wrong, ids, wrapped):
        with pytest.raises(KeyServiceUnavailable, match=r"refused our API key \(401\)") as told:
            ask()
        assert "1111" not in str(told.value)


def test_an_authority_that_we_do_not_trust_is_unavailable(stand_in: KeyManagerStandIn, ids: Ids) -> None:
    strangers = pool()
    keys = service(strangers, stand_in, ids, [])
    with pytest.raises(KeyServiceUnavailable, match=r"not reached \((SSLError|MaxRetryError)\)"):
        keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    assert stand_in.requests == []
    strangers.clear()


def test_a_caller_without_time_sends_nothing(keys: ScalewayKeyService, stand_in: KeyManagerStandIn) -> None:
    with within(-1), pytest.raises(KeyServiceUnavailable):
        keys.wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    assert stand_in.requests == []


# Answers that are not what they should be.


class Scripted:
    """A pool that gives one answer, whatever is asked, and keeps what was."""

    def __init__(self, body: object, status: int = 200) -> None:
        self.content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def request(self, method: str, url: str, *, body: bytes | None, **_: Any) -> Scripted:
        self.asked.append((method, url, json.loads(body or b"{}")))
        return self

    def read(self, limit: int) -> bytes:
        return self.content[:limit]

    def release_conn(self) -> None:
        pass


KEY_ID = uuid.UUID("0a8f1c52-1d2e-4f3a-8b4c-5d6e7f809a1b")


def scripted(answer: Scripted) -> ScalewayKeyService:
    ids = {KeyName.CONTENT: [KEY_ID], KeyName.TOKENS: [KEY_ID]}
    return ScalewayKeyService(KeyManager(answer, REGION, SECRET_KEY), ids)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"[" * 70_000,
        [],
        {},
        {"ciphertext": "b3BhcXVl"},
        {"key_id": str(uuid.UUID(int=7, version=4)), "ciphertext": "b3BhcXVl"},
        {"key_id": str(KEY_ID)},
        {"key_id": str(KEY_ID), "ciphertext": None},
        {"key_id": str(KEY_ID), "ciphertext": ""},
        {"key_id": str(KEY_ID), "ciphertext": "not base64!"},
        {"key_id": str(KEY_ID), "ciphertext": "A" * 8000},
    ],
    ids=lambda body: str(body)[:40],
)
def test_an_answer_of_another_form_wraps_nothing(body: object) -> None:
    with pytest.raises(KeyServiceUnavailable):
        scripted(Scripted(body)).wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_what_was_wrapped_and_is_no_data_key_is_refused(size: int) -> None:
    answer = Scripted({"key_id": str(KEY_ID), "plaintext": base64.b64encode(bytes(size)).decode()})
    with pytest.raises(UnwrapRefused):
        scripted(answer).unwrap(KeyName.CONTENT, b"\x05" + KEY_ID.bytes + b"opaque", CONTEXT)


def test_pinned_wrapped_key_and_request() -> None:
    answer = Scripted({"key_id": str(KEY_ID), "ciphertext": base64.b64encode(b"opaque").decode()})
    wrapped = scripted(answer).wrap(KeyName.CONTENT, DATA_KEY, CONTEXT)
    assert wrapped.hex() == "050a8f1c521d2e4f3a8b4c5d6e7f809a1b6f7061717565"
    # Made here a second time by hand, from docs/formats/wrapped-data-key.md.
    head = bytes.fromhex("05 0a8f1c521d2e4f3a8b4c5d6e7f809a1b")
    bound = head + b"\x07content" + b"\x01\x00\x02" + b"\x00\x06format\x00\x011" + b"\x00\x07purpose\x00\x08document"
    associated = base64.b64encode(sha256(bound).digest()).decode()
    assert associated == PINNED_ASSOCIATED
    url = f"https://api.scaleway.com/key-manager/v1alpha1/regions/fr-par/keys/{KEY_ID}/encrypt"
    sent = {"plaintext": base64.b64encode(DATA_KEY).decode(), "associated_data": associated}
    assert answer.asked == [("POST", url, sent)]


PINNED_ASSOCIATED = "GtwK5ejy5s0O0OtK4MX0PUuXAGUxOUfEtJFMhof9Emw="
