"""What attacks over HTTPS are forged from, and how their answers are judged. Nothing here knows a stage."""

from __future__ import annotations

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any, TypeVar

import urllib3
from joserfc import jws

Json = dict[str, Any]
Answer = urllib3.BaseHTTPResponse
T = TypeVar("T")
FHIR = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def now() -> int:
    """Seconds since the epoch."""
    return int(datetime.now(UTC).timestamp())


def part(value: object) -> str:
    """One part of a compact JWS: base64url of JSON, or of bytes as they are."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def claims_of(token: str) -> Json:
    """What a compact JWS says, unverified."""
    return _decoded(token.split(".", 2)[1])


def header_of(token: str) -> Json:
    """The header of a compact JWS."""
    return _decoded(token.partition(".")[0])


def _decoded(text: str) -> Json:
    value: Json = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return value


def unsigned(header: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """The signing input of a compact JWS, and no signature."""
    return f"{part(header)}.{part(body)}."


def hmac_signed(secret: bytes, body: Mapping[str, Any], header: Mapping[str, Any]) -> str:
    """A compact JWS, HS256, under any bytes: such as a public key that the verifier knows."""
    text = f"{part({**header, 'alg': 'HS256'})}.{part(body)}"
    return f"{text}.{part(hmac.digest(secret, text.encode(), 'sha256'))}"


def signed(key: Any, header: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """A compact JWS by any joserfc key, with whatever algorithm the header names."""
    return jws.serialize_compact(dict(header), json.dumps(body), key, algorithms=[header["alg"]])


def without_none(values: Mapping[str, Any]) -> Json:
    """The mapping without what is None: how an attack leaves something out."""
    return {name: value for name, value in values.items() if value is not None}


def body_of(answer: Answer) -> Json:
    """The JSON object of an answer."""
    value: Json = json.loads(answer.data)
    return value


def same(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """What two callers would compare of an answer: all of it but its ids, its nonce, the time, and their own mode."""
    request_id = answer.headers.get("X-Request-Id", "-")
    differing = {"x-request-id", "sceau-trace", "dpop-nonce", "date", "sceau-mode"}
    kept = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in differing}
    return answer.status, kept, answer.data.replace(request_id.encode(), b"-")


def refused_token(answer: Answer, status: int, error: str) -> Json:
    """Assert that the token endpoint refused in this way, and gave nothing."""
    body = body_of(answer)
    assert (answer.status, body.get("error")) == (status, error), answer.data
    assert set(body) <= {"error", "error_description"}
    return body


def refused_call(answer: Answer, status: int, *, error: str | None = None) -> Json:
    """Assert that a FHIR endpoint refused in this way: an OperationOutcome and no data."""
    assert answer.status == status, (answer.status, answer.data[:300])
    body = body_of(answer)
    assert body["resourceType"] == "OperationOutcome"
    if error is not None:
        assert f'error="{error}"' in answer.headers["WWW-Authenticate"]
    return body


def in_parallel(number: int, act: Callable[[int], T]) -> list[T]:
    """What `number` threads got that all began at the same moment."""
    barrier = Barrier(number)

    def one(position: int) -> T:
        barrier.wait()
        return act(position)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def await_true(true: Callable[[], bool], seconds: float) -> None:
    """Poll until `true`; fail after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except urllib3.exceptions.HTTPError:
            pass
        assert time.monotonic() < end, "nothing came within the time"
        time.sleep(0.05)


def until(act: Callable[[], T], wanted: Callable[[T], bool], seconds: float) -> T:
    """Repeat `act` until its result is wanted; fail after `seconds`."""
    found: list[T] = []

    def check() -> bool:
        found.append(act())
        return wanted(found[-1])

    await_true(check, seconds)
    return found[-1]


def unique_id() -> str:
    """A new document or set identifier, as an OID."""
    return f"urn:oid:2.25.{uuid.uuid4().int}"
