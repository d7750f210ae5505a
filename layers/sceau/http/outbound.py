"""How the sealer reaches those outside who vouch for the log: HTTPS only, no redirect, bounded in time and in bytes."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Final

import urllib3
from urllib3.exceptions import HTTPError

from sceau.audit.log.asking import Ask, Reply
from sceau.audit.log.errors import NoReply

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 4.0
TOTAL_SECONDS: Final = 6.0
MOST_BYTES: Final = 64 * 1024

_PIECE: Final = 16 * 1024


def https_ask(authorities: str | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> Ask:
    """What asks over HTTPS. `authorities`: PEM certificates that vouch for servers; None: the system's.

    Certificates and host names are verified, TLS 1.2 at least. Safe under threads. Raises ValueError for what is no
    PEM, when it is made.
    """
    try:
        context = ssl.create_default_context(cadata=authorities)
    except ssl.SSLError:
        raise ValueError("authorities are PEM certificates") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    pool = urllib3.PoolManager(ssl_context=context, maxsize=8, retries=False)

    def ask(url: str, body: bytes, media_type: str) -> Reply:
        if not url.startswith("https://"):
            raise NoReply("only https is asked")
        deadline = monotonic() + TOTAL_SECONDS
        try:
            response = pool.request(
                "POST",
                url,
                body=body,
                headers={"Content-Type": media_type, "Accept-Encoding": "identity"},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            )
            try:
                kind = str(response.headers.get("Content-Type", "")).partition(";")[0].strip().lower()
                return Reply(response.status, kind, _read(response, lambda: monotonic() > deadline))
            finally:
                response.release_conn()
        except HTTPError:
            # The texts of these errors hold addresses.
            raise NoReply("no answer") from None

    return ask


def _read(response: urllib3.BaseHTTPResponse, is_over: Callable[[], bool]) -> bytes:
    body = b""
    while piece := response.read(_PIECE):
        body += piece
        if len(body) > MOST_BYTES or is_over():
            response.close()
            raise NoReply("too long an answer, or too slow a one")
    return body
