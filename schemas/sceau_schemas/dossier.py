"""What rests inside a sealed dossier. Strict: an unknown or missing member is an error, never guessed.

Format: `docs/formats/dossier.md`. Instants are milliseconds since the epoch, UTC.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(pattern=r"^[a-z2-7]{26}$")]
Millis = Annotated[int, Field(ge=0)]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Stored(BaseModel):
    """Base of all that rests."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class StoredCoding(Stored):
    """A FHIR Coding as given."""

    system: str | None = None
    code: str
    display: str | None = None


class StoredIdentifier(Stored):
    """A business identifier."""

    system: str
    value: str


class StoredDocument(Stored):
    """A document's bytes: where they are and what they must hash to."""

    object_name: str
    content_type: str
    size: Annotated[int, Field(ge=0)]  # bytes of plaintext
    sha256: Sha256  # of the plaintext
    sealed_sha256: Sha256  # of the sealed object
    form: Literal["Binary", "Bundle"] = "Binary"  # the FHIR resource that a JSON read gives


class EntryVersion(Stored):
    """The mutable part of a document entry in one of its versions."""

    version: Annotated[int, Field(ge=1)]
    updated: Millis
    event: str
    status: Literal["current", "superseded", "entered-in-error"]
    labels: tuple[StoredCoding, ...]
    archived: bool | None = None  # None: the entry lacks the extension


class EntryFacts(Stored):
    """What a decision may need of a document entry. Many entries of a record have it in common, and rest it once.

    `labels`: codes. `deposited`: when it came, where a label hides it for some time: nothing else depends on that.
    """

    status: Literal["current", "superseded", "entered-in-error"]
    labels: tuple[str, ...]
    type_code: str
    author_structures: tuple[StoredIdentifier, ...] = ()
    author_professionals: tuple[StoredIdentifier, ...] = ()
    depositor: str
    depositor_structures: tuple[StoredIdentifier, ...] = ()
    deposited: Millis | None = None
    holders_own: bool = False
    covers_until: Day | None = None  # a care history's last day


class EntryRow(Stored):
    """A document entry's searchable fields. All else of its DocumentReference is in the opaque blob beside it.

    `terms` maps a search parameter's stored name to its values in canonical form; `fhir.terms` makes and reads them.
    """

    id: Id
    now: EntryVersion
    earlier: tuple[EntryVersion, ...] = ()
    submission_set: Id
    document: StoredDocument
    type_code: str
    identifiers: tuple[StoredIdentifier, ...]  # business identifiers: masterIdentifier first
    author_structures: tuple[StoredIdentifier, ...] = ()
    author_professionals: tuple[StoredIdentifier, ...] = ()
    depositor: str  # client id
    depositor_structures: tuple[StoredIdentifier, ...] = ()
    replaces: tuple[Id, ...] = ()
    holders_own: bool = False  # its author is the record's holder
    covers: tuple[Day, Day] | None = None  # a care history's first and last day
    fallen_out: bool = False  # a care history that another replaced: its bytes are no part of the record any more
    hidden_since: Millis | None = None  # INVISIBLE_PATIENT counts from then: it stood on what this entry replaces
    terms: dict[str, tuple[str, ...]] = {}

    @property
    def versions(self) -> tuple[EntryVersion, ...]:
        """All of them, the first one first: the publication's."""
        return (*self.earlier, self.now)

    @property
    def as_sent(self) -> EntryVersion:
        """Its first version: what its publisher knows of it, whatever others made of it since."""
        return self.versions[0]

    @property
    def waits_since(self) -> int:
        """From when the delays of INVISIBLE_PATIENT count: the deposit, or that of what this entry replaces."""
        return self.as_sent.updated if self.hidden_since is None else self.hidden_since

    def facts(self) -> EntryFacts:
        """What a decision may need of it, in its present version."""
        hidden_for_a_time = any(label.code.startswith("INVISIBLE_") for label in self.now.labels)
        return EntryFacts(
            status=self.now.status,
            labels=tuple(label.code for label in self.now.labels),
            type_code=self.type_code,
            author_structures=self.author_structures,
            author_professionals=self.author_professionals,
            depositor=self.depositor,
            depositor_structures=self.depositor_structures,
            deposited=self.waits_since if hidden_for_a_time else None,
            holders_own=self.holders_own,
            covers_until=self.covers[1] if self.covers else None,
        )


class ShownDocument(BaseModel):
    """Of a document, what its entry shows."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    form: Literal["Binary", "Bundle"] = "Binary"


class ShownEntry(BaseModel):
    """What of an entry's row fills its DocumentReference: a search shows hundreds, and needs no more of their rows.

    Other members are passed over: nothing is written from this.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    id: Id
    now: EntryVersion
    document: ShownDocument
    replaces: tuple[Id, ...] = ()


class FolderVersion(Stored):
    """An earlier version of a folder. It had the first `size` of the row's entries: a folder only grows."""

    updated: Millis
    event: str
    size: Annotated[int, Field(ge=1)]


class SetFolder(Stored):
    """A folder that a submission set made, or added to: the version that it then had.

    `listed`: it stands among the set's entries.
    """

    id: Id
    version: Annotated[int, Field(ge=1)]
    listed: bool = False


class SetRow(Stored):
    """A submission set (or, with `kind` folder, a folder).

    `entries`: documents, in order of arrival. `earlier`: a folder's versions before the present one, the first first.
    `folders`: those that a submission set brought, in the order of its request.
    """

    id: Id
    kind: Literal["submissionset", "folder"] = "submissionset"
    version: Annotated[int, Field(ge=1)] = 1
    updated: Millis
    event: str
    earlier: tuple[FolderVersion, ...] = ()
    entries: tuple[Id, ...]
    folders: tuple[SetFolder, ...] = ()
    identifiers: tuple[StoredIdentifier, ...] = ()
    depositor: str
    terms: dict[str, tuple[str, ...]] = {}


class StoredPatient(Stored):
    """INS and the five identity traits (référentiel national d'identitovigilance)."""

    ins: StoredIdentifier
    birth_name: str
    first_names: tuple[str, ...]
    birth_date: str
    sex: Literal["male", "female", "other", "unknown"]
    birth_place: str  # INSEE code (COG)


ConsentKind = Literal[
    "opening",
    "grant",  # to a structure, or to one professional: as its grantee is
    "express",  # to an occupational or fire-brigade doctor
    "delegation",  # of the rights of the médecin traitant
    "medecin_traitant",
    "block",
    "opposition",  # to one of the two emergency accesses
]


class StoredConsent(Stored):
    """One decision about the record, in its present version; earlier versions follow in `earlier`.

    `proposed` and `rejected`: a médecin traitant who has not answered yet, or declined. `mode`: what is opposed.
    """

    id: Id
    version: Annotated[int, Field(ge=1)]
    updated: Millis
    event: str
    kind: ConsentKind
    status: Literal["active", "inactive", "proposed", "rejected"]
    mode: Literal["bris_de_glace", "centre_15"] | None = None
    grantee: StoredIdentifier | None = None
    grantee_display: str | None = None
    start: Millis | None = None
    end: Millis | None = None
    by: str  # who decided: an actor kind and subject, as in the trace
    earlier: tuple[StoredConsent, ...] = ()


ClosingMotive = Literal["holder", "suspension", "death"]


class DossierHead(Stored):
    """What is true of the whole record. The events that announced its versions rest beside it.

    `ended`: its time is over, and its objects are being deleted: for everybody else it is not there any more. `closed`:
    when, as long as it is. `died`: when the insurer reported the holder's death.
    """

    record_id: Id
    version: Annotated[int, Field(ge=1)]
    status: Literal["open", "suspended", "closed", "ended"]
    opened: Millis
    suspended: Millis | None = None
    closed: Millis | None = None
    closing_motive: ClosingMotive = "holder"
    closing_reason: str | None = None  # in the holder's words
    deletion_requested: Millis | None = None
    died: Millis | None = None
    updated: Millis
    patient: StoredPatient
    consents: tuple[StoredConsent, ...]
