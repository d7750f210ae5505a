"""What TD0.2 tells: may I read, feed, change here, and why not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sceau.access import status
from sceau.access.model import Act, ActorKind, DocumentFacts, Mode, Reason, RecordStatus
from sceau.access.status import ASKED, may_do
from unit.access.space import MINOR, NOW, RULES, actor, record

PATIENT = ActorKind.PATIENT
ALLOWED = {ActorKind.PROFESSIONAL: Reason.ALLOWED_GRANT, PATIENT: Reason.ALLOWED_HOLDER}


def told(who: Any, where: Any) -> list[Reason]:
    return [verdict.reason for verdict in may_do(who, where, RULES, NOW).values()]


def test_who_was_consented_to_does_all_three() -> None:
    assert told(actor(), record("structure")) == [Reason.ALLOWED_GRANT, Reason.ALLOWED_FEEDING, Reason.ALLOWED_AUTHOR]


def test_without_consent_one_feeds_and_does_not_read() -> None:
    assert told(actor(), record()) == [Reason.DENIED_NO_GRANT, Reason.ALLOWED_FEEDING, Reason.ALLOWED_AUTHOR]


def test_the_holder_reads_and_has_documents_of_their_own() -> None:
    assert told(actor(PATIENT), record()) == [Reason.ALLOWED_HOLDER, Reason.ALLOWED_FEEDING, Reason.ALLOWED_HOLDER]


def test_the_blocked_do_nothing() -> None:
    who = actor()
    assert who.professional is not None
    where = replace(record("structure"), blocked=frozenset({who.professional}))
    assert told(who, where) == [Reason.DENIED_BLOCKED] * 3


@pytest.mark.parametrize("kind", [ActorKind.PROFESSIONAL, PATIENT])
def test_in_a_closed_record_nothing_is_done(kind: ActorKind) -> None:
    assert told(actor(kind), replace(record("structure"), status=RecordStatus.CLOSED)) == [Reason.DENIED_CLOSED] * 3


def test_the_centre_15_reads_only() -> None:
    who = replace(actor(), mode=Mode.CENTRE_15, regulates=True)
    assert told(who, record()) == [Reason.ALLOWED_CENTRE_15, Reason.DENIED_MODE, Reason.DENIED_MODE]


def test_a_secret_connection_feeds_what_is_kept_from_representatives() -> None:
    who = replace(actor(), secret=True)
    assert told(who, record("structure", birth_date=MINOR))[1] is Reason.ALLOWED_FEEDING
    assert told(who, record("structure", birth_date="1950-01-01"))[1] is Reason.DENIED_NOT_MINOR


def test_each_is_an_act_that_reads_feeds_or_changes() -> None:
    assert list(ASKED.values()) == [Act.SEARCH, Act.PUBLISH, Act.DELETE]


REPORT = DocumentFacts(
    "current",
    frozenset(),
    "11488-4",
    author_structures=frozenset(actor().structures),
    author_professionals=frozenset(filter(None, [actor().professional])),
    depositor=actor().client_id,
    depositor_structures=frozenset(actor().structures),
)
DIRECTIVES = DocumentFacts("current", frozenset(), "EXPPAT_3", depositor=actor().client_id, holders_own=True)


@pytest.mark.parametrize(
    ("who", "own"),
    [
        (actor(), REPORT),
        (replace(actor(), professional=None), replace(REPORT, author_professionals=frozenset())),
        (replace(actor(), secret=True), replace(REPORT, labels=frozenset({"INVISIBLE_REPRESENTANTS_LEGAUX"}))),
        (actor(PATIENT), DIRECTIVES),
        (actor(ActorKind.REPRESENTATIVE), DIRECTIVES),
    ],
)
def test_feeding_and_changing_are_judged_on_a_plain_document_of_ones_own(
    who: Any, own: DocumentFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Act, DocumentFacts | None]] = []

    def judged(act: Act, _who: Any, _where: Any, document: DocumentFacts | None, *_: Any) -> None:
        asked.append((act, document))

    monkeypatch.setattr(status, "decide", judged)
    may_do(who, record(), RULES, NOW)
    assert asked == [(Act.SEARCH, None), (Act.PUBLISH, own), (Act.DELETE, own)]
