"""Puts a function together: identity, journal, wrapper, around its use cases. What is costly to get is got once."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from sceau.access.matrix import Rules
from sceau.audit.errors import JournalUnavailable
from sceau.audit.journal import Journal
from sceau.audit.refusals import RefusalCounter
from sceau.envelope.messages import Envelope
from sceau.fhir.search.paging import PageSeal
from sceau.http.attempts import NamedRecord
from sceau.http.chalice_app import Handler
from sceau.http.journals import journal_of, server_identity
from sceau.http.log import LogEvent, log
from sceau.http.message import Answer, Request
from sceau.http.runtime import Runtime
from sceau.http.wrapper import Wrapper
from sceau.identity.nonce import NonceRole, Nonces
from sceau.identity.pseudonym import load_pseudonym_key
from sceau.identity.replay import ReplayMarks
from sceau.identity.resource import ResourceServer
from sceau.identity.revocation import RevocationList
from sceau.identity.rules import MatrixStore, RulesInForce
from sceau.identity.settings import IdentitySettings
from sceau.identity.tokens import TokenKeys, TokenVerifier
from sceau.objects.deadline import within


def identity_settings(runtime: Runtime) -> IdentitySettings:
    """What the stage says about its tokens."""
    spec = runtime.spec
    return IdentitySettings(
        issuer=runtime.origin,
        origins=spec.origins,
        audience=f"{runtime.origin}/fhir",
        token_seconds=spec.token_seconds,
        nonce_required=spec.nonce_required,
        replay_marks_for_reads=spec.replay_marks_for_reads,
    )


@dataclass(frozen=True, slots=True)
class Built:
    """What use cases are given."""

    runtime: Runtime
    pseudonym_key: bytes = field(repr=False)
    page_seal: PageSeal = field(repr=False)


def build_wrapper(runtime: Runtime, service: Callable[[Built], object]) -> Handler:
    """The handler of a function whose callers bring an access token.

    Raises Unavailable when the stage has no pseudonym key yet: its `authentication` function makes it.
    """
    settings = identity_settings(runtime)
    journal = journal_of(runtime)
    server = server_identity(runtime)
    key = load_pseudonym_key(runtime.store, Envelope(runtime.keys))
    authenticator = ResourceServer(
        settings,
        tokens=TokenVerifier(settings, TokenKeys(runtime.keys)),
        nonces=Nonces(key, NonceRole.RESOURCE),
        revocations=RevocationList(runtime.store),
        marks=ReplayMarks(runtime.store),
    )
    refusals = refusal_counter(runtime, journal)
    rules = RulesInForce(MatrixStore(runtime.store, Envelope(runtime.keys)), runtime.spec.rules)
    _log_matrix(runtime, rules(runtime.clock()))
    wrapper = Wrapper(
        service(Built(runtime, key, PageSeal(key))),
        authenticator=authenticator,
        append=journal.append,
        named=NamedRecord(key, runtime.origin),
        rules=rules,
        count_refusal=refusals.count,
        server=server,
        clock=runtime.clock,
        largest_body_bytes=runtime.spec.largest_body_bytes,
    )

    def handle(request: Request, use_case: Callable[..., Answer]) -> Answer:
        refusals.settle()
        return wrapper(request, use_case)

    return handle


def _log_matrix(runtime: Runtime, rules: Rules) -> None:
    """How much of the habilitation matrix is known: what is not is denied, and should be loaded."""
    matrix = rules.matrix(runtime.clock())
    counted = matrix.count() if matrix else {}
    log(
        LogEvent.MATRIX,
        function=runtime.function,
        edition=matrix.version if matrix else None,
        **{cell.value: number for cell, number in counted.items()},
    )


_LAST_SECONDS: Final = 10.0
"""How long the end of a process may wait for its store: less than any host waits before it kills."""


def refusal_counter(runtime: Runtime, journal: Journal) -> RefusalCounter:
    """The process's count of refusals before authentication; what is left of it is written when the process ends."""
    counter = RefusalCounter(journal, server_identity(runtime), clock=runtime.clock)

    def write_the_rest() -> None:
        with suppress(JournalUnavailable), within(_LAST_SECONDS):
            # The process is ending: a count that can't be written is lost, as SECURITY.md says of SIGKILL.
            counter.close()

    atexit.register(write_the_rest)
    return counter
