"""How a function writes events: its journal, and its name in them. Nothing here is needed to serve requests."""

from __future__ import annotations

import secrets
from datetime import timedelta

from sceau.audit.facts import Identifier, Server
from sceau.audit.journal import Journal
from sceau.envelope.batch import BatchSealer
from sceau.http.runtime import Runtime
from sceau.keys.ports import KeyName

_URI = "urn:ietf:rfc:3986"


def server_identity(runtime: Runtime) -> Server:
    """Who observes the function's events."""
    return Server(
        Identifier(_URI, f"{runtime.origin}/#{runtime.function}"), f"sceau {runtime.function}", runtime.origin
    )


def journal_of(runtime: Runtime) -> Journal:
    """The function's writer of events: it appends, and can neither list nor read."""
    return Journal(
        runtime.store,
        BatchSealer(runtime.keys, KeyName.JOURNAL, clock=runtime.clock),
        clock=runtime.clock,
        random_bytes=secrets.token_bytes,
        retention=timedelta(days=runtime.spec.retention_days),
    )
