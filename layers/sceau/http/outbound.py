"""How the sealer reaches those outside who vouch for the log: HTTPS only, no redirect, bounded in time and in bytes."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Final

import urllib3

from sceau.audit.log.asking import Ask, Reply
from sceau.audit.log.errors import NoReply
from sceau.identity import bounded

READ_SECONDS: Final = 4.0
TOTAL_SECONDS: Final = 6.0


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
    patience = bounded.Patience(READ_SECONDS, TOTAL_SECONDS, monotonic)

    def ask(url: str, body: bytes, media_type: str) -> Reply:
        if not url.startswith("https://"):
            raise NoReply("only https is asked")
        try:
            got = bounded.ask(pool, "POST", url, body=body, headers={"Content-Type": media_type}, patience=patience)
        except bounded.TooMuch:
            raise NoReply("too long an answer, or too slow a one") from None
        except bounded.NoAnswer:
            raise NoReply("no answer") from None
        return Reply(got.status, got.media_type, got.body)

    return ask
