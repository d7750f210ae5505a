"""Requests of Scaleway's Key Manager and their answers: HTTP, JSON, base64; which answers are tried again.

The secret key goes into one header of requests to one origin, over TLS; redirects are not followed.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import urllib3

from sceau.keys.errors import KeyServiceNotUsable, KeyServiceUnavailable
from sceau.keys.retrying import Transient, retried

ORIGIN: Final = "https://api.scaleway.com"
SECRET_KEY_VARIABLE: Final = "SCEAU_SCALEWAY_SECRET_KEY"  # noqa: S105 - a variable's name
"""Not SCW_…: these names are reserved in Scaleway's containers."""

CONNECTIONS: Final = 32
CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 3.0
NOT_FOUND: Final = 404

_LARGEST_ANSWER: Final = 64 * 1024
_OK, _UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _INTERNAL = 200, 401, 403, 429, 500


def pool(ca_file: str | None = None) -> urllib3.PoolManager:
    """Connections that stay open: with TLS anew, each call would cost two round trips more."""
    return urllib3.PoolManager(
        maxsize=CONNECTIONS, block=True, retries=False, cert_reqs="CERT_REQUIRED", ca_certs=ca_file
    )


def read_secret_key(file: Path | None, environ: Mapping[str, str]) -> str:
    """The secret key of the IAM API key: from a file, or else from the environment.

    Raises KeyServiceNotUsable, a sentence that does not quote it.
    """
    where = f"the file {file}" if file else SECRET_KEY_VARIABLE
    try:
        text = file.read_text("ascii").strip() if file else environ.get(SECRET_KEY_VARIABLE, "")
    except OSError as error:
        raise KeyServiceNotUsable(f"{where} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        text = "?"
    if not text:
        raise KeyServiceNotUsable(f"{where} does not hold the secret key of Scaleway's API")
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise KeyServiceNotUsable(f"what {where} holds is no secret key of Scaleway's API, which is a UUID") from None


class Refusal(Exception):
    """Key Manager answered with a status of 400 or more that is not worth another try. `argument`: what it named."""

    def __init__(self, status: int, argument: str | None) -> None:
        super().__init__(f"Key Manager answered {status}")
        self.status = status
        self.argument = argument


class KeyManager:
    """Key Manager in `region`. `secret_key` is that of an IAM API key. Safe under threads.

    `sleep` (seconds) and `jitter` (0 to 1) are for pauses between attempts.
    """

    def __init__(
        self,
        http: urllib3.PoolManager,
        region: str,
        secret_key: str,
        *,
        origin: str = ORIGIN,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._http = http
        self._base = f"{origin}/key-manager/v1alpha1/regions/{region}/keys/"
        self._headers = {"X-Auth-Token": secret_key, "Accept": "application/json", "User-Agent": "sceau"}
        self._sleep = sleep
        self._jitter = jitter

    def ask(
        self, method: str, key_id: uuid.UUID, verb: str | None = None, body: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The members of the answer. Raises Refusal, KeyServiceUnavailable."""
        return self._sent(method, key_id, verb, body)[0]

    def time(self, key_id: uuid.UUID) -> datetime:
        """When it answered that it has a key, by its own clock. Raises Refusal, KeyServiceUnavailable."""
        told = self._sent("GET", key_id, None, None)[1].get("Date", "")
        try:
            return parsedate_to_datetime(told)
        except ValueError:
            raise KeyServiceUnavailable("Key Manager's answers have no date") from None

    def _sent(
        self, method: str, key_id: uuid.UUID, verb: str | None, body: Mapping[str, str] | None
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        url = f"{self._base}{key_id}" + (f"/{verb}" if verb else "")
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers if data is None else {**self._headers, "Content-Type": "application/json"}

        def once(seconds: float) -> tuple[dict[str, Any], Mapping[str, str]]:
            timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, seconds), read=min(READ_SECONDS, seconds))
            try:
                response = self._http.request(
                    method, url, body=data, headers=headers, timeout=timeout, redirect=False, preload_content=False
                )
                try:
                    content = response.read(_LARGEST_ANSWER + 1)
                finally:
                    response.release_conn()
            except urllib3.exceptions.HTTPError as error:
                raise Transient(f"Key Manager was not reached ({type(error).__name__})") from None
            members = _checked(response.status, content, str(key_id) if verb and method == "POST" else None)
            return members, response.headers

        return retried(once, sleep=self._sleep, random=self._jitter)


def _checked(status: int, content: bytes, key_id: str | None) -> dict[str, Any]:
    """The answer's members. Raises Transient, KeyServiceUnavailable, Refusal. Texts of answers go nowhere."""
    if status == _TOO_MANY or status >= _INTERNAL:
        raise Transient(f"Key Manager answered {status}")
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        raise KeyServiceUnavailable(f"Key Manager refused our API key ({status})")
    try:
        answer = json.loads(content) if len(content) <= _LARGEST_ANSWER else None
    except ValueError:
        answer = None
    if status != _OK:
        raise Refusal(status, _argument_of(answer))
    if not isinstance(answer, dict):
        raise KeyServiceUnavailable("Key Manager gave an answer of another form")
    if key_id is not None and answer.get("key_id") != key_id:
        raise KeyServiceUnavailable("Key Manager answered for another key")
    return answer


def _argument_of(answer: object) -> str | None:
    """The argument that an `invalid_arguments` refusal names."""
    if not isinstance(answer, dict) or answer.get("type") != "invalid_arguments":
        return None
    details = answer.get("details")
    first = details[0] if isinstance(details, list) and details else None
    name = first.get("argument_name") if isinstance(first, dict) else None
    return name if isinstance(name, str) else None


def text_of(data: bytes) -> str:
    """Bytes as they travel: base64."""
    return base64.b64encode(data).decode("ascii")


def bytes_of(answer: Mapping[str, Any], member: str) -> bytes:
    """The bytes of a member; none when it is missing. Raises KeyServiceUnavailable."""
    value = answer.get(member)
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        raise KeyServiceUnavailable("Key Manager gave an answer that is not base64") from None
