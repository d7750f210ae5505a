"""From what rests to facts: every kind of decision, in force and ended; every member of an entry."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sceau.access.facts import document_facts, facts_as_sent, grant_of, life_of, record_facts
from sceau.access.life import Life
from sceau.access.model import DocumentFacts, Grant, GrantKind, Identifier, Mode, RecordFacts, RecordStatus
from sceau_schemas.dossier import (
    DossierHead,
    EntryFacts,
    EntryRow,
    EntryVersion,
    StoredCoding,
    StoredConsent,
    StoredDocument,
    StoredIdentifier,
    StoredPatient,
)

RECORD = "a" * 26
PERSONS, STRUCTURES = "urn:oid:1.2.250.1.71.4.2.1", "urn:oid:1.2.250.1.71.4.2.2"
HOSPITAL, DOCTOR = StoredIdentifier(system=STRUCTURES, value="1750000001"), StoredIdentifier(system=PERSONS, value="8")
OTHER = StoredIdentifier(system=PERSONS, value="9")
START, END = 1_000_000_000_000, 1_100_000_000_000
BEGAN, ENDED = datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC), datetime(2004, 11, 9, 11, 33, 20, tzinfo=UTC)


def consent(kind: Any, grantee: StoredIdentifier | None = None, status: Any = "active", **more: Any) -> StoredConsent:
    return StoredConsent(
        id="b" * 26,
        version=1,
        updated=START,
        event="e",
        kind=kind,
        status=status,
        grantee=grantee,
        by="patient",
        **more,
    )


def head(*consents: StoredConsent, **more: Any) -> DossierHead:
    patient = StoredPatient(
        ins=StoredIdentifier(system="urn:x", value="1"),
        birth_name="X",
        first_names=("Y",),
        birth_date="1979-03-28",
        sex="female",
        birth_place="00101",
    )
    members: dict[str, Any] = {"version": 1, "status": "open", "opened": 0, "updated": 0, **more}
    return DossierHead(record_id=RECORD, patient=patient, consents=consents, **members)


def identifier(stored: StoredIdentifier) -> Identifier:
    return Identifier(stored.system, stored.value)


def test_without_a_head_nobody_opened_a_record() -> None:
    assert record_facts(RECORD, None) == RecordFacts(RECORD, RecordStatus.ABSENT)


def test_every_kind_of_decision_in_force_is_a_fact() -> None:
    facts = record_facts(
        RECORD,
        head(
            consent("opening"),
            consent("grant", HOSPITAL, start=START),
            consent("grant", DOCTOR, start=START, end=END),
            consent("express", DOCTOR, start=START),
            consent("delegation", DOCTOR, start=START),
            consent("medecin_traitant", DOCTOR),
            consent("medecin_traitant", OTHER, "inactive"),
            consent("block", OTHER),
            consent("opposition", mode="bris_de_glace"),
        ),
    )
    assert facts == RecordFacts(
        RECORD,
        RecordStatus.OPEN,
        (
            Grant(identifier(HOSPITAL), BEGAN, None, GrantKind.STRUCTURE),
            Grant(identifier(DOCTOR), BEGAN, ENDED, GrantKind.PROFESSIONAL),
            Grant(identifier(DOCTOR), BEGAN, None, GrantKind.EXPRESS),
            Grant(identifier(DOCTOR), BEGAN, None, GrantKind.DELEGATION),
        ),
        "1979-03-28",
        frozenset({identifier(OTHER)}),
        frozenset({Mode.BRIS_DE_GLACE}),
        identifier(DOCTOR),
        frozenset({identifier(DOCTOR), identifier(OTHER)}),
    )


@pytest.mark.parametrize("status", ["inactive", "proposed", "rejected"])
def test_what_is_not_in_force_gives_nothing_and_takes_nothing(status: str) -> None:
    facts = record_facts(
        RECORD,
        head(
            consent("grant", HOSPITAL, status, start=START),
            consent("express", DOCTOR, status, start=START),
            consent("delegation", DOCTOR, status, start=START),
            consent("medecin_traitant", DOCTOR, status),
            consent("block", OTHER, status),
            consent("opposition", None, status, mode="centre_15"),
        ),
    )
    assert facts.grants == ()
    assert (facts.blocked, facts.opposed, facts.medecin_traitant) == (frozenset(), frozenset(), None)
    assert facts.named == {identifier(DOCTOR)}, "who was named may answer"


def test_two_medecins_traitants_at_once_contradict_each_other() -> None:
    facts = record_facts(RECORD, head(consent("medecin_traitant", DOCTOR), consent("medecin_traitant", OTHER)))
    assert facts.medecin_traitant is None


@pytest.mark.parametrize(
    "stored",
    [
        consent("opening"),
        consent("block", OTHER, start=START),
        consent("opposition", mode="centre_15", start=START),
        consent("medecin_traitant", DOCTOR, start=START),
        consent("grant", None, start=START),
        consent("grant", HOSPITAL),
    ],
)
def test_what_is_no_authorisation_is_none(stored: StoredConsent) -> None:
    assert grant_of(stored) is None


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"status": "open"}, RecordStatus.OPEN),
        ({"status": "suspended", "suspended": START}, RecordStatus.SUSPENDED),
        ({"status": "closed", "closed": START}, RecordStatus.CLOSED),
        ({"status": "closed", "closed": START, "died": END}, RecordStatus.DECEASED),
    ],
)
def test_the_status_is_the_record_s_and_death_comes_before(members: dict[str, Any], status: RecordStatus) -> None:
    assert record_facts(RECORD, head(**members)).status is status


@pytest.mark.parametrize(
    ("members", "life"),
    [
        ({}, Life()),
        ({"suspended": START}, Life()),
        ({"closed": START}, Life()),
        ({"status": "suspended", "suspended": START}, Life(suspended=BEGAN)),
        ({"status": "closed", "closed": START}, Life(closed=BEGAN)),
        ({"status": "open", "died": START}, Life(died=BEGAN)),
        (
            {"status": "suspended", "suspended": START, "died": END},
            Life(suspended=BEGAN, died=ENDED),
        ),
        ({"status": "closed", "closed": END, "died": START}, Life(closed=ENDED)),
        ({"status": "ended", "died": START}, Life()),
        (
            {"status": "closed", "closed": START, "deletion_requested": END},
            Life(closed=BEGAN, deletion_requested=ENDED),
        ),
    ],
)
def test_what_lies_ahead_depends_on_what_the_record_is_now(members: dict[str, Any], life: Life) -> None:
    assert life_of(head(**members)) == life


def test_every_member_of_an_entry_is_a_fact() -> None:
    stored = EntryFacts(
        status="superseded",
        labels=("N", "MASQUE_PS"),
        type_code="11502-2",
        author_structures=(HOSPITAL,),
        author_professionals=(DOCTOR, OTHER),
        depositor="lab",
        depositor_structures=(StoredIdentifier(system=STRUCTURES, value="2"),),
        deposited=START,
        holders_own=True,
    )
    assert document_facts(stored) == DocumentFacts(
        "superseded",
        frozenset({"N", "MASQUE_PS"}),
        "11502-2",
        frozenset({identifier(HOSPITAL)}),
        frozenset({identifier(DOCTOR), identifier(OTHER)}),
        "lab",
        frozenset({Identifier(STRUCTURES, "2")}),
        BEGAN,
        True,
    )
    row = EntryRow(
        id="b" * 26,
        now=EntryVersion(version=1, updated=START, event="e", status="current", labels=(StoredCoding(code="N"),)),
        submission_set="c" * 26,
        document=StoredDocument(
            object_name="x", content_type="text/plain", size=0, sha256="0" * 64, sealed_sha256="0" * 64
        ),
        type_code="x",
        identifiers=(),
        depositor="lab",
    )
    assert document_facts(row) == document_facts(row.facts())
    bare = document_facts(EntryFacts(status="current", labels=("N",), type_code="x", depositor="lab"))
    assert (bare.deposited, bare.holders_own) == (None, False)


def test_a_document_waits_from_its_deposit_or_from_that_of_what_it_replaces() -> None:
    def row(label: str, **more: Any) -> EntryRow:
        now = EntryVersion(version=1, updated=START, event="e", status="current", labels=(StoredCoding(code=label),))
        return EntryRow(
            id="b" * 26,
            now=now,
            submission_set="c" * 26,
            document=StoredDocument(
                object_name="x", content_type="text/plain", size=0, sha256="0" * 64, sealed_sha256="0" * 64
            ),
            type_code="x",
            identifiers=(),
            depositor="lab",
            **more,
        )

    assert document_facts(row("INVISIBLE_PATIENT")).deposited == BEGAN
    earlier = document_facts(row("INVISIBLE_PATIENT", hidden_since=START - 1000)).deposited
    assert earlier == BEGAN - timedelta(seconds=1)
    assert document_facts(row("N", hidden_since=START - 1000)).deposited is None, "nothing else depends on it"


def test_what_was_sent_stays_what_its_author_knows_but_for_the_status() -> None:
    def version(number: int, *labels: str, status: Any = "current") -> EntryVersion:
        codings = tuple(StoredCoding(code=label) for label in labels)
        return EntryVersion(version=number, updated=START + number - 1, event="e", status=status, labels=codings)

    row = EntryRow(
        id="b" * 26,
        now=version(1, "INVISIBLE_PATIENT", "R"),
        submission_set="c" * 26,
        document=StoredDocument(
            object_name="x", content_type="text/plain", size=0, sha256="0" * 64, sealed_sha256="0" * 64
        ),
        type_code="x",
        identifiers=(),
        author_structures=(HOSPITAL,),
        depositor="lab",
        hidden_since=START - 1000,
    )
    sent = facts_as_sent(row)
    assert (sent.labels, sent.deposited) == (frozenset({"INVISIBLE_PATIENT", "R"}), BEGAN)
    assert sent.author_structures == frozenset({identifier(HOSPITAL)})
    earlier = (row.now, version(2, "MASQUE_PS", "INVISIBLE_PATIENT"))
    masked = row.model_copy(update={"now": version(3, "MASQUE_PS"), "earlier": earlier})
    assert facts_as_sent(masked) == sent
    gone = masked.model_copy(update={"now": version(4, "N", status="superseded")})
    assert facts_as_sent(gone) == replace(sent, status="superseded")
