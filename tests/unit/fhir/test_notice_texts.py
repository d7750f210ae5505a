"""What patients and the médecin traitant are told, and what a notice never tells."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from sceau.audit.accesses import Access, Declared, Person
from sceau.fhir.notices import (
    Kind,
    Notice,
    Reader,
    communication,
    emergencies,
    first_accesses,
    review_text,
    updates,
)
from sceau_schemas.dossier import EntryRow, EntryVersion, StoredCoding, StoredDocument

NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)
RECORD = "a" * 26
HORTENSE = Person("urn:oid:1.2.250.1.71.4.2.1", "899700000102", "Hortense MODÈLE")
CELESTIN = Person("urn:oid:1.2.250.1.71.4.2.1", "899700000106", "Célestin MODÈLE")
HOSPITAL = Person("urn:oid:1.2.250.1.71.4.2.2", "1000000202", "Hôpital Modèle")


def event_id(at: datetime, number: int = 0) -> str:
    return str(uuid.UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62 | number))


def access(
    minutes: int = 0,
    who: Person = HORTENSE,
    *,
    structure: Person | None = HOSPITAL,
    feeds: bool = False,
    **more: object,
) -> Access:
    at = NOW + timedelta(minutes=minutes)
    given = {"mode": None, "declaration": None, "secret": False} | more
    return Access(event_id(at), at, who, structure, feeds, **given)  # type: ignore[arg-type]


# First accesses


def test_a_professionals_first_reading_is_told_once() -> None:
    found = first_accesses([access(0), access(5), access(6, CELESTIN)], set(), Reader.PATIENT, surely=True)
    assert [(one.kind, one.key, one.sent, one.about) for one in found] == [
        (Kind.FIRST_ACCESS, event_id(NOW), NOW, event_id(NOW)),
        (Kind.FIRST_ACCESS, event_id(NOW + timedelta(minutes=6)), NOW + timedelta(minutes=6), found[1].key),
    ]
    assert found[0].text == (
        "Hortense MODÈLE (Hôpital Modèle) a consulté votre dossier pour la première fois le 30 juin 2026 à 14 h 00."
    )


def test_who_is_known_or_only_fed_is_not_told_of() -> None:
    assert first_accesses([access(0)], {HORTENSE.key}, Reader.PATIENT, surely=True) == []
    assert first_accesses([access(0, feeds=True)], set(), Reader.PATIENT, surely=True) == []
    (told,) = first_accesses([access(0, feeds=True), access(3)], set(), Reader.PATIENT, surely=True)
    assert told.sent == NOW + timedelta(minutes=3)


def test_where_the_whole_past_was_not_looked_at_the_text_says_so() -> None:
    (told,) = first_accesses([access(0)], set(), Reader.REPRESENTATIVE, surely=False)
    assert told.text == (
        "Hortense MODÈLE (Hôpital Modèle) a consulté le dossier de l’enfant que vous représentez pour la première fois "
        "depuis au moins un an le 30 juin 2026 à 14 h 00."
    )


def test_who_has_no_name_is_told_of_by_number() -> None:
    nameless = Person(HORTENSE.system, HORTENSE.value)
    (told,) = first_accesses([access(0, nameless, structure=None)], set(), Reader.PATIENT, surely=True)
    assert told.text.startswith("Un professionnel de santé (n° 899700000102) a consulté votre dossier")
    (told,) = first_accesses(
        [access(0, nameless, structure=Person("s", "1000000202"))], set(), Reader.PATIENT, surely=True
    )
    assert told.text.startswith("Un professionnel de santé (n° 899700000102) (1000000202) a consulté")


# Emergencies

DECLARATION = event_id(NOW - timedelta(minutes=3), 7)
SAID = Declared(DECLARATION, NOW - timedelta(minutes=3), "bris_de_glace", "Inconscient", CELESTIN, HOSPITAL)


def emergency(minutes: int, mode: str = "bris_de_glace", declaration: str = DECLARATION) -> Access:
    return access(minutes, CELESTIN, mode=mode, declaration=declaration)


def test_an_emergency_is_told_once_as_of_its_declaration() -> None:
    told = emergencies([access(0), emergency(0), emergency(4)], {DECLARATION: SAID}, Reader.PATIENT)
    assert told == [
        Notice(
            Kind.EMERGENCY,
            DECLARATION,
            NOW - timedelta(minutes=3),
            "Célestin MODÈLE (Hôpital Modèle) a accédé en urgence à votre dossier le 30 juin 2026 à 13 h 57, "
            "par « bris de glace ». Motif déclaré : « Inconscient ». "
            "Vous pouvez vous opposer, pour l’avenir, à ce mode d’accès.",
            DECLARATION,
        )
    ]


def test_two_declarations_are_two_emergencies() -> None:
    other = event_id(NOW)
    told = emergencies([emergency(0), emergency(1, declaration=other)], {}, Reader.PATIENT)
    assert [one.key for one in told] == [DECLARATION, other]
    assert all("Motif" not in one.text for one in told)


def test_the_centre_15_and_the_medecin_traitants_words() -> None:
    (told,) = emergencies([emergency(0, "centre_15")], {}, Reader.MEDECIN_TRAITANT)
    assert told.text == (
        "Célestin MODÈLE (Hôpital Modèle), au titre de la régulation médicale (centre 15), a accédé en urgence au "
        "dossier d’une personne dont vous êtes le médecin traitant le 30 juin 2026 à 13 h 57."
    )


# What awaits its announcement


def version(number: int, at: datetime, *labels: str, status: str = "current") -> EntryVersion:
    return EntryVersion(
        version=number,
        updated=int(at.timestamp() * 1000),
        event="x",
        status=status,  # type: ignore[arg-type]
        labels=tuple(StoredCoding(code=label) for label in labels or ("N",)),
    )


def row(*versions: EntryVersion) -> EntryRow:
    document = StoredDocument(
        object_name="x", content_type="application/pdf", size=1, sha256="0" * 64, sealed_sha256="0" * 64
    )
    return EntryRow(
        id="b" * 26,
        now=versions[-1],
        earlier=versions[:-1],
        document=document,
        submission_set="c" * 26,
        type_code="11502-2",
        identifiers=(),
        depositor="laboratory",
    )


DEPOSITED = datetime(2026, 6, 10, 23, 30, tzinfo=UTC)
HIDDEN = "INVISIBLE_PATIENT"


@pytest.mark.parametrize(("days", "told"), [(13.99, 0), (14, 1), (40, 1), (400, 1)])
def test_after_two_weeks_a_neutral_notice_stays(days: float, told: int) -> None:
    found = updates([row(version(1, DEPOSITED, HIDDEN))], Reader.PATIENT, DEPOSITED + timedelta(days=days))
    assert len(found) == told
    for one in found:
        assert (one.kind, one.sent, one.about) == (Kind.UPDATED, date(2026, 6, 25), None)
        assert one.text == (
            "Des informations ont été ajoutées à votre dossier. "
            "Nous vous invitons à prendre contact avec un professionnel de santé de votre choix."
        )


def test_the_notice_tells_neither_how_many_nor_when_nor_what() -> None:
    one = updates([row(version(1, DEPOSITED, HIDDEN))], Reader.PATIENT, NOW)
    moments = (DEPOSITED, DEPOSITED + timedelta(minutes=7), DEPOSITED + timedelta(hours=20))
    assert updates([row(version(1, at, HIDDEN)) for at in moments], Reader.PATIENT, NOW) == one


@pytest.mark.parametrize(
    ("versions", "told"),
    [
        ([version(1, DEPOSITED)], 0),
        ([version(1, DEPOSITED, "MASQUE_PS")], 0),
        # Announced in time; announced too late: the notice had been given by then, and stays.
        ([version(1, DEPOSITED, HIDDEN), version(2, DEPOSITED + timedelta(days=5))], 0),
        ([version(1, DEPOSITED, HIDDEN), version(2, DEPOSITED + timedelta(days=14, seconds=1))], 1),
        # Taken back, or replaced by a document with a clock of its own.
        ([version(1, DEPOSITED, HIDDEN), version(2, DEPOSITED + timedelta(1), HIDDEN, status="entered-in-error")], 0),
        ([version(1, DEPOSITED, HIDDEN), version(2, DEPOSITED + timedelta(1), HIDDEN, status="superseded")], 0),
        ([version(1, DEPOSITED, HIDDEN), version(2, NOW, HIDDEN, status="entered-in-error")], 1),
    ],
)
def test_what_was_hidden_when_the_two_weeks_ended_counts(versions: list[EntryVersion], told: int) -> None:
    assert len(updates([row(*versions)], Reader.PATIENT, NOW)) == told


def test_a_representative_learns_nothing_of_what_is_kept_from_representatives() -> None:
    secret = row(version(1, DEPOSITED, HIDDEN, "INVISIBLE_REPRESENTANTS_LEGAUX"))
    assert updates([secret], Reader.REPRESENTATIVE, NOW) == []
    assert len(updates([secret], Reader.PATIENT, NOW)) == 1
    lifted = row(version(1, DEPOSITED, HIDDEN, "INVISIBLE_REPRESENTANTS_LEGAUX"), version(2, NOW, HIDDEN))
    assert updates([lifted], Reader.REPRESENTATIVE, NOW) == []
    (told,) = updates([row(version(1, DEPOSITED, HIDDEN))], Reader.REPRESENTATIVE, NOW)
    assert "au dossier de l’enfant que vous représentez" in told.text


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from([HIDDEN, "N", "MASQUE_PS"])), max_size=12))
def test_visible_documents_never_add_a_notice(documents: list[tuple[int, str]]) -> None:
    rows = [row(version(1, NOW - timedelta(days=days), label)) for days, label in documents]
    hidden = [row(version(1, NOW - timedelta(days=days), label)) for days, label in documents if label == HIDDEN]
    assert set(updates(rows, Reader.PATIENT, NOW)) == set(updates(hidden, Reader.PATIENT, NOW))


# The resource, and the queue's words


def test_the_resource_of_a_notice() -> None:
    notice = Notice(Kind.EMERGENCY, DECLARATION, NOW, "Texte", DECLARATION)
    assert communication(notice, RECORD, recipient={"reference": f"Patient/{RECORD}"}) == {
        "resourceType": "Communication",
        "id": f"{RECORD}.{DECLARATION}",
        "language": "fr",
        "status": "completed",
        "category": [
            {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/communication-category", "code": "notification"}
                ]
            },
            {"coding": [{"system": "urn:sceau:fhir:notice", "code": "emergency-access"}]},
        ],
        "subject": {"reference": f"Patient/{RECORD}"},
        "about": [{"reference": f"AuditEvent/{DECLARATION}"}],
        "sent": "2026-06-30T12:00:00.000Z",
        "recipient": [{"reference": f"Patient/{RECORD}"}],
        "payload": [{"contentString": "Texte"}],
    }
    neutral = communication(Notice(Kind.UPDATED, "2026-06-25", date(2026, 6, 25), "Texte"), RECORD, recipient={})
    assert (neutral["id"], neutral["sent"]) == (f"{RECORD}.2026-06-25", "2026-06-25")
    assert "about" not in neutral


def test_notices_are_ordered_by_day_then_by_moment() -> None:
    neutral = Notice(Kind.UPDATED, "2026-06-30", date(2026, 6, 30), "x")
    late = Notice(Kind.EMERGENCY, "b", datetime(2026, 6, 30, 22, 30, tzinfo=UTC), "x")  # 1 July in Paris
    early = Notice(Kind.EMERGENCY, "a", datetime(2026, 6, 30, 3, 0, tzinfo=UTC), "x")
    assert sorted([late, early, neutral], key=lambda one: one.order) == [neutral, early, late]


def test_the_words_of_the_queue() -> None:
    assert review_text(SAID, 4) == (
        "Accès en urgence (bris de glace) par Célestin MODÈLE, déclaré le 30 juin 2026 à 13 h 57. "
        "Motif déclaré : « Inconscient ». Actes effectués : 4."
    )
    without = Declared(DECLARATION, NOW, "centre_15", None, CELESTIN, None)
    assert review_text(without, 0) == (
        "Accès en urgence (centre 15) par Célestin MODÈLE, déclaré le 30 juin 2026 à 14 h 00. Actes effectués : 0."
    )
