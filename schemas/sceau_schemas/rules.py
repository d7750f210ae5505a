"""The rules of access as data: settings that the law's text leaves open, and the habilitation matrix at rest.

A setting whose source is "not found" stands for a rule that we could not read anywhere: what ships is the value that
gives the least. `docs/rules.md` lists all of them, from here. Format of the matrix at rest: `docs/formats/matrix.md`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sceau_schemas.dossier import Stored

NOT_FOUND: Final = "not found"


SHORTEST_THREE_MONTHS_DAYS: Final = 89
"""From 1 February on. CSP R. 1111-36 grants three months from a holder's request to delete."""

RUNS_DAYS: Final = 4
"""What schedules take besides: `upkeep` every hour, `expunge` every six, and a backup that is made every three days."""


def _setting(value: Any, meaning: str, source: str = NOT_FOUND, **bounds: Any) -> Any:
    return Field(default=value, description=meaning, json_schema_extra={"source": source}, strict=True, **bounds)


class RuleSettings(BaseModel):
    """What a stage may say about the rules, in its `rules` table of the chalicefile. Units are in the names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    structure_grant_days: int = _setting(
        365, "how long a structure's authorisation without an end lasts, from its start", ge=1, le=3653
    )
    professional_grant_hours: int = _setting(
        24,
        "how long that of one professional outside the team lasts: consent is asked at each consultation",
        ge=1,
        le=720,
    )
    express_consent_days: int = _setting(
        365, "how long an express consent to an occupational or fire-brigade doctor lasts", ge=1, le=3653
    )
    delegation_days: int = _setting(
        365, "how long a professional keeps the rights of the médecin traitant that the holder gave", ge=1, le=3653
    )
    suspension_days: int = _setting(
        42,
        "how long the holder may object to a suspension, before the record is closed",
        "CSP R. 1111-36",
        ge=1,
        le=366,
    )
    archive_years: int = _setting(
        10, "how long a closed record is kept, before it is deleted", "CSP L. 1111-18, R. 1111-36", ge=1, le=100
    )
    deletion_request_days: int = _setting(
        30,
        "after how long a holder's express request to delete the archive is carried out; opening it again ends it",
        "CSP R. 1111-36: within three months",
        ge=1,
        le=84,
    )
    deleted_versions_days: int = _setting(
        7,
        "how long what a host keeps of a deleted record's objects stays, so that sabotage can be brought back",
        "CSP R. 1111-36: within three months, the request's own days included",
        ge=1,
        le=84,
    )
    deleted_backup_days: int = _setting(
        30,
        "how long what a backup holds of a deleted record stays, from the run on that saw it deleted",
        "CSP R. 1111-36: within three months, the request's own days included",
        ge=1,
        le=84,
    )
    death_closing_days: int = _setting(
        0,
        "how long after the report of the holder's death the record is closed; nobody reads it from the report on",
        ge=0,
        le=3653,
    )
    bris_de_glace_minutes: int = _setting(
        60, "how long a declaration of bris de glace serves, before a new one is needed", ge=1, le=1440
    )
    bris_de_glace_overrides_block: bool = _setting(False, "a blocked professional gets in by bris de glace")
    emergency_sees_masked: bool = _setting(False, "the emergency modes see documents masked to professionals")
    masked_and_invisible_together: bool = _setting(
        False,
        "MASQUE_PS and INVISIBLE_PATIENT may stand on one document (the DMP's cumul-invisible_patient-masque_ps)",
        "DMP-compatibility requirement EX_2.1-1050",
    )

    @model_validator(mode="after")
    def _within_three_months(self) -> Self:
        for later in (self.deleted_versions_days, self.deleted_backup_days):
            if self.deletion_request_days + later > SHORTEST_THREE_MONTHS_DAYS - RUNS_DAYS:
                raise ValueError(
                    "deletion_request_days, and deleted_versions_days or deleted_backup_days after it, are more than "
                    f"{SHORTEST_THREE_MONTHS_DAYS - RUNS_DAYS} days: a request is to be through within three months"
                )
        return self


Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Day = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]
MatrixVersionName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]


class StoredMatrix(Stored):
    """One edition of the habilitation matrix. Per column (profession or role): the types it allows and denies.

    A type that stands in neither is unknown, and denied.
    """

    version: MatrixVersionName
    effective_from: Day
    source: Annotated[str, Field(min_length=1, max_length=300)]
    allow: dict[Code, tuple[Code, ...]]
    deny: dict[Code, tuple[Code, ...]]

    @model_validator(mode="after")
    def _each_cell_once(self) -> Self:
        for column, types in self.allow.items():
            both = set(types) & set(self.deny.get(column, ()))
            if both:
                raise ValueError(f"column {column}: {min(both)} is allowed and denied")
        return self


class StoredMatrices(Stored):
    """`configuration/rules/matrix`, before it is sealed: every edition that was loaded, the oldest first."""

    format: Literal[1] = 1
    editions: tuple[StoredMatrix, ...]

    @model_validator(mode="after")
    def _each_edition_once(self) -> Self:
        names = [one.version for one in self.editions]
        if len(set(names)) != len(names):
            raise ValueError("an edition stands twice")
        return self
