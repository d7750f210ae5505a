"""One request over HTTPS to somebody whom we don't run: no redirect, bounded in time and in bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import urllib3
from urllib3.exceptions import HTTPError

CONNECT_SECONDS: Final = 2.0
MOST_BYTES: Final = 64 * 1024

_PIECE: Final = 16 * 1024


class NoAnswer(Exception):
    """None came. The texts of what went wrong hold addresses, and parts of the request: none goes on."""


class TooMuch(NoAnswer):
    """An answer came that was over the bound in bytes, or in time."""


@dataclass(frozen=True, slots=True)
class Received:
    """An answer: its status, media type without parameters, in lower case, and its bytes."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer may take, in seconds: each read, and all of it. `monotonic` measures."""

    read: float
    total: float
    monotonic: Callable[[], float]


def ask(
    pool: urllib3.PoolManager,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    patience: Patience,
    body: str | bytes | None = None,
) -> Received:
    """Send one request and read its answer. Certificates are verified as `pool` does. Raises NoAnswer, TooMuch."""
    deadline = patience.monotonic() + patience.total
    try:
        response = pool.request(
            method,
            url,
            body=body,
            headers={"Accept-Encoding": "identity", **headers},
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=patience.read),
        )
        try:
            kind = str(response.headers.get("Content-Type", "")).partition(";")[0].strip().lower()
            return Received(response.status, kind, _read(response, lambda: patience.monotonic() > deadline))
        finally:
            response.release_conn()
    except HTTPError:
        raise NoAnswer from None


def _read(response: urllib3.BaseHTTPResponse, is_over: Callable[[], bool]) -> bytes:
    body = b""
    while piece := response.read(_PIECE):
        body += piece
        if len(body) > MOST_BYTES or is_over():
            response.close()
            raise TooMuch
    return body
