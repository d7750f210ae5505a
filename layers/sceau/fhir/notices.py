"""Notices: what a patient, and the médecin traitant, are told of a record. Derived when they are read; nothing rests.

Each is a FHIR `Communication`. They say no more than the traces of the same reader would, and of a document nothing at
all. Patients' texts are in French. Sources: CSP R. 1111-46 (first access of each professional), R. 1111-48 (emergency
access: the holder and the médecin traitant), R. 1111-53 (two weeks without an announcement: a neutral message).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

from sceau.access.clocks import NOTICE_AFTER, paris_date, paris_time
from sceau.access.labels import INVISIBLE_PATIENT, INVISIBLE_REPRESENTATIVES
from sceau.audit.accesses import Access, Declared, Person
from sceau.audit.ids import event_time
from sceau.fhir.parse import Json
from sceau.fhir.times import instant
from sceau_schemas.dossier import EntryRow

KINDS: Final = "urn:sceau:fhir:notice"
"""System of the codes that say what a notice is about."""

_CATEGORIES: Final = "http://terminology.hl7.org/CodeSystem/communication-category"
_MONTHS: Final = (
    *("janvier", "février", "mars", "avril", "mai", "juin"),
    *("juillet", "août", "septembre", "octobre", "novembre", "décembre"),
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """What a notice is about."""

    FIRST_ACCESS = "first-access"
    EMERGENCY = "emergency-access"
    UPDATED = "record-updated"  # says nothing else, on purpose
    REVIEW = "emergency-review"  # in the queue of a structure's responsible person


class Reader(StrEnum):
    """Who is told."""

    PATIENT = "patient"
    REPRESENTATIVE = "representative"
    MEDECIN_TRAITANT = "medecin-traitant"


_RECORD: Final = {
    Reader.PATIENT: "votre dossier",
    Reader.REPRESENTATIVE: "le dossier de l’enfant que vous représentez",
}
_TO_RECORD: Final = {
    Reader.PATIENT: "à votre dossier",
    Reader.REPRESENTATIVE: "au dossier de l’enfant que vous représentez",
    Reader.MEDECIN_TRAITANT: "au dossier d’une personne dont vous êtes le médecin traitant",
}
_UPDATED_TEXT: Final = (
    "Des informations ont été ajoutées {to_record}. "
    "Nous vous invitons à prendre contact avec un professionnel de santé de votre choix."
)


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice. `key`: what makes it the same each time it is derived. `about`: the event that it comes from."""

    kind: Kind
    key: str
    sent: datetime | date
    text: str
    about: str | None = None

    @property
    def order(self) -> tuple[date, str, str]:
        """By day, then by moment within it."""
        day = paris_date(self.sent) if isinstance(self.sent, datetime) else self.sent
        return day, self.sent.isoformat() if isinstance(self.sent, datetime) else "", self.key


def first_accesses(
    accesses: Iterable[Access], known: Collection[tuple[str, str]], reader: Reader, *, surely: bool
) -> list[Notice]:
    """The first reading of each professional who is not `known` from before. `accesses`: in order of time.

    `surely`: whether all that came before was looked at, back to the record's opening.
    """
    seen, notices = set(known), []
    for access in accesses:
        if access.feeds or access.professional.key in seen:
            continue
        seen.add(access.professional.key)
        since = "" if surely else " depuis au moins un an"
        text = (
            f"{_who(access.professional, access.structure)} a consulté {_RECORD[reader]} "
            f"pour la première fois{since} {_moment(access.at)}."
        )
        notices.append(Notice(Kind.FIRST_ACCESS, access.event, access.at, text, access.event))
    return notices


def emergencies(accesses: Iterable[Access], declared: Mapping[str, Declared], reader: Reader) -> list[Notice]:
    """One notice for each emergency access, told as of its declaration. `accesses`: in order of time.

    `declared`: what is known of declarations, by their events; one that is not known costs the reason, not the notice.
    """
    first: dict[str, Access] = {}
    for access in accesses:
        if access.declaration is not None:
            first.setdefault(access.declaration, access)
    notices = []
    for declaration, access in first.items():
        at, said = event_time(declaration), declared.get(declaration)
        text = _emergency_text(access, at, said.reason if said else None, reader)
        notices.append(Notice(Kind.EMERGENCY, declaration, at, text, declaration))
    return notices


def _emergency_text(access: Access, at: datetime, reason: str | None, reader: Reader) -> str:
    who, when = _who(access.professional, access.structure), _moment(at)
    if access.mode == "centre_15":
        text = (
            f"{who}, au titre de la régulation médicale (centre 15), a accédé en urgence {_TO_RECORD[reader]} {when}."
        )
    else:
        text = f"{who} a accédé en urgence {_TO_RECORD[reader]} {when}, par « bris de glace »."
    if reason:
        text += f" Motif déclaré : « {reason} »."
    if reader is not Reader.MEDECIN_TRAITANT:
        text += " Vous pouvez vous opposer, pour l’avenir, à ce mode d’accès."
    return text


def updates(rows: Iterable[EntryRow], reader: Reader, now: datetime) -> list[Notice]:
    """The neutral notice of what waited two weeks for its announcement: one a day, which tells not what nor how much.

    A document counts that the patient could not see when its two weeks ended: announced later, the notice stays.
    """
    days = {day for row in rows if (day := _updated_on(row, reader, now)) is not None}
    text = _UPDATED_TEXT.format(to_record=_TO_RECORD[reader])
    return [Notice(Kind.UPDATED, day.isoformat(), day, text) for day in days]


def _updated_on(row: EntryRow, reader: Reader, now: datetime) -> date | None:
    versions = row.versions
    told = _EPOCH + timedelta(milliseconds=row.waits_since) + NOTICE_AFTER
    if told > now:
        return None
    present = [one for one in versions if _EPOCH + timedelta(milliseconds=one.updated) <= told]
    if not present:
        return None  # the two weeks ended while what it replaces was there: that one's notice tells
    then = present[-1]
    labels = {label.code for label in then.labels}
    kept_from_representatives = INVISIBLE_REPRESENTATIVES in {label.code for one in versions for label in one.labels}
    if reader is Reader.REPRESENTATIVE and kept_from_representatives:
        return None
    return paris_date(told) if INVISIBLE_PATIENT in labels and then.status == "current" else None


def review_text(declared: Declared, acts: int) -> str:
    """What a structure's responsible person reads of an emergency access."""
    mode = "centre 15" if declared.mode == "centre_15" else "bris de glace"
    text = f"Accès en urgence ({mode}) par {_who(declared.professional, None)}, déclaré {_moment(declared.at)}."
    if declared.reason:
        text += f" Motif déclaré : « {declared.reason} »."
    return f"{text} Actes effectués : {acts}."


def communication(notice: Notice, record_id: str, *, recipient: Json, status: str = "completed") -> Json:
    """The resource of a notice."""
    sent = instant(notice.sent) if isinstance(notice.sent, datetime) else notice.sent.isoformat()
    made: Json = {
        "resourceType": "Communication",
        "id": f"{record_id}.{notice.key}",
        "language": "fr",
        "status": status,
        "category": [
            {"coding": [{"system": _CATEGORIES, "code": "notification"}]},
            {"coding": [{"system": KINDS, "code": notice.kind.value}]},
        ],
        "subject": {"reference": f"Patient/{record_id}"},
    }
    if notice.about is not None:
        made["about"] = [{"reference": f"AuditEvent/{notice.about}"}]
    return made | {"sent": sent, "recipient": [recipient], "payload": [{"contentString": notice.text}]}


def _who(professional: Person, structure: Person | None) -> str:
    who = professional.name or f"Un professionnel de santé (n° {professional.value})"
    return f"{who} ({structure.name or structure.value})" if structure else who


def _moment(at: datetime) -> str:
    local = paris_time(at)
    return f"le {local.day} {_MONTHS[local.month - 1]} {local.year} à {local.hour} h {local.minute:02}"
