"""What lets a professional into a record: the mode, the patient's decisions, and the law's rules for special doctors.

Pure. The result is a reason: an `allowed.…` that says by which right, or a `denied.…`. It says nothing of any document.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from sceau.access.model import Actor, ActorKind, Grant, GrantKind, Identifier, Mode, Reason, RecordFacts, Special
from sceau_schemas.rules import RuleSettings
from sceau_schemas.systems import IDNAT_PS

MEDECIN: Final = "10"
"""TRE_G15."""

HEALTH_PROFESSIONS: Final = frozenset(
    {"10", "21", "26", "28", "31", "32", "35", "36", "37", "38", "39", "40", "50", "60", "69", "70"}
    | {"80", "81", "82", "83", "84", "85", "86", "91", "92", "94", "95", "96", "98"}
)
"""The health professions of CSP part IV, by TRE_G15 code. Others (psychologists, social workers…) are none of them."""

_OCCUPATIONAL_SECTORS: Final = frozenset({"SA13", "SA66"})
_OCCUPATIONAL_SPECIALTIES: Final = frozenset({"SM25"})
_FIRE_SECTORS: Final = frozenset({"SA47", "SA68"})
_INSURANCE_SECTORS: Final = frozenset({"SA23", "SA24"})

OPENED_BY: Final = {
    GrantKind.STRUCTURE: Reason.ALLOWED_GRANT,
    GrantKind.PROFESSIONAL: Reason.ALLOWED_CONSENT,
    GrantKind.EXPRESS: Reason.ALLOWED_EXPRESS_CONSENT,
    GrantKind.DELEGATION: Reason.ALLOWED_DELEGATION,
}


def special_of(actor: Actor) -> Special | None:
    """Whom the law treats otherwise, by what Pro Santé Connect says of the practice situation (TRE_R02, TRE_R38).

    Doctors of the PMI (SA15) and coordinating doctors (SA17) are not among them: the law gives them access with the
    holder's agreement, as to others (CSP L. 1111-16, L. 1111-18).
    """
    if actor.sectors & _INSURANCE_SECTORS:
        return Special.INSURANCE
    if actor.sectors & _FIRE_SECTORS:
        return Special.FIRE_BRIGADE
    if actor.sectors & _OCCUPATIONAL_SECTORS or actor.specialties & _OCCUPATIONAL_SPECIALTIES:
        return Special.OCCUPATIONAL
    return None


def barred(actor: Actor, record: RecordFacts, settings: RuleSettings) -> Reason | None:
    """What keeps a professional out whatever anybody consented to. CSP L. 1111-18 (contracts), IG4DMP TD0.2 NB1."""
    if special_of(actor) is Special.INSURANCE:
        return Reason.DENIED_INSURANCE
    overridden = actor.mode is Mode.BRIS_DE_GLACE and settings.bris_de_glace_overrides_block
    if actor.professional in record.blocked and not overridden:
        return Reason.DENIED_BLOCKED
    return None


def entry(actor: Actor, record: RecordFacts, settings: RuleSettings, now: datetime) -> Reason:
    """By which right a professional reads in this record now, or why not."""
    denied = barred(actor, record, settings)
    if denied is not None:
        return denied
    if actor.mode is Mode.BRIS_DE_GLACE:
        return breaking_glass(actor, record, now)
    if actor.mode is Mode.CENTRE_15:
        return _regulating(actor, record)
    if special_of(actor) is not None:
        return express_consent(actor, record, settings, now)
    if is_medecin_traitant(actor, record):
        return Reason.ALLOWED_MEDECIN_TRAITANT
    for kind in (GrantKind.DELEGATION, GrantKind.STRUCTURE, GrantKind.PROFESSIONAL):
        if any(_covers(grant, actor, settings, now) for grant in record.grants if grant.kind is kind):
            return OPENED_BY[kind]
    return Reason.DENIED_NO_GRANT


def collects_for(actor: Actor, grantee: Identifier) -> bool:
    """Whether a professional may record a consent to this grantee: a professional, or the own structure's team.

    CSP L. 1111-17 II: for themselves or a colleague. For another team nobody speaks.
    """
    return grantee in actor.structures or grantee.system == IDNAT_PS


def may_know(actor: Actor, grantee: Identifier | None, *, opening: bool) -> bool:
    """Whether the actor may know of a decision on the record (CSP L. 1111-19): the holder's side of all of them.

    A professional of those that name them, or the structure that they act for; the insurer of the record's opening.
    """
    match actor.kind:
        case ActorKind.PATIENT | ActorKind.REPRESENTATIVE:
            return True
        case ActorKind.PROFESSIONAL:
            return grantee is not None and (grantee == actor.professional or grantee in actor.structures)
        case ActorKind.INSURER:
            return opening
        case _:
            return False


def may_know_why_closed(actor: Actor) -> bool:
    """Whether the actor may read what the holder said when closing the record: the holder's side only."""
    return actor.kind in (ActorKind.PATIENT, ActorKind.REPRESENTATIVE)


def is_medecin_traitant(actor: Actor, record: RecordFacts) -> bool:
    """Whether the professional is the médecin traitant whom the holder named and who accepted (CSP L. 1111-16)."""
    return (
        actor.professional is not None
        and actor.professional == record.medecin_traitant
        and actor.profession == MEDECIN
        and actor.mode is Mode.NORMAL
    )


def entitled(mode: Mode, profession: str | None, *, regulates: bool) -> Reason | None:
    """Why a profession can't enter in a mode, whatever the record; None when it may ask. CSP L. 1111-17 I.

    `regulates`: what the identity provider says (Pro Santé Connect's Acces_Regulation_Medicale).
    """
    if mode is Mode.BRIS_DE_GLACE and profession not in HEALTH_PROFESSIONS:
        return Reason.DENIED_PROFESSION
    if mode is Mode.CENTRE_15 and (profession != MEDECIN or not regulates):
        return Reason.DENIED_NOT_REGULATING
    return None


def breaking_glass(actor: Actor, record: RecordFacts, now: datetime) -> Reason:
    """CSP L. 1111-17 I: a health professional, a person unable to express their will, immediate risk, no opposition."""
    denied = entitled(Mode.BRIS_DE_GLACE, actor.profession, regulates=actor.regulates)
    if denied is not None:
        return denied
    told = actor.declaration
    if told is None or not (told.reason_given and told.unable_to_consent and told.immediate_risk and now < told.until):
        return Reason.DENIED_NOT_DECLARED
    return Reason.DENIED_OPPOSED if Mode.BRIS_DE_GLACE in record.opposed else Reason.ALLOWED_BRIS_DE_GLACE


def _regulating(actor: Actor, record: RecordFacts) -> Reason:
    """CSP L. 1111-17 I: the regulating doctor of the centre 15, unless the holder opposed that."""
    denied = entitled(Mode.CENTRE_15, actor.profession, regulates=actor.regulates)
    if denied is not None:
        return denied
    return Reason.DENIED_OPPOSED if Mode.CENTRE_15 in record.opposed else Reason.ALLOWED_CENTRE_15


def express_consent(actor: Actor, record: RecordFacts, settings: RuleSettings, now: datetime) -> Reason:
    """CSP L. 1111-17 IV and V: an occupational or fire-brigade doctor, with the express consent given to the person."""
    if actor.profession != MEDECIN:
        return Reason.DENIED_PROFESSION
    given = (grant for grant in record.grants if grant.kind is GrantKind.EXPRESS)
    if any(_covers(grant, actor, settings, now) for grant in given):
        return Reason.ALLOWED_EXPRESS_CONSENT
    return Reason.DENIED_NO_EXPRESS_CONSENT


def _covers(grant: Grant, actor: Actor, settings: RuleSettings, now: datetime) -> bool:
    named: tuple[Identifier | None, ...]
    named = actor.structures if grant.kind is GrantKind.STRUCTURE else (actor.professional,)
    return grant.grantee in named and grant.start <= now < end_of(grant, settings)


def end_of(grant: Grant, settings: RuleSettings) -> datetime:
    """When an authorisation ends: as it says, and no later than its kind's duration allows."""
    try:
        longest = grant.start + duration(grant.kind, settings)
    except OverflowError:  # it begins at the end of the calendar
        longest = datetime.max.replace(tzinfo=UTC)
    return longest if grant.end is None else min(grant.end, longest)


def duration(kind: GrantKind, settings: RuleSettings) -> timedelta:
    """How long an authorisation lasts that has no end, and how long one can last at all."""
    match kind:
        case GrantKind.STRUCTURE:
            return timedelta(days=settings.structure_grant_days)
        case GrantKind.PROFESSIONAL:
            return timedelta(hours=settings.professional_grant_hours)
        case GrantKind.EXPRESS:
            return timedelta(days=settings.express_consent_days)
        case GrantKind.DELEGATION:
            return timedelta(days=settings.delegation_days)
