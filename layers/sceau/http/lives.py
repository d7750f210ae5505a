"""What becomes of a record: closed, opened again, suspended, its holder dead, its deletion asked for. Pure.

All that was permitted ends with the record; blocks and oppositions stay. Who may do it, and from which state, is
`access`; what then is due, `access.life`.
"""

from __future__ import annotations

from typing import Any

from sceau.access.model import Act, ActorKind
from sceau.fhir.consents import LifeRequest, Status
from sceau.http.decisions import PERMITS, Change, Moment, next_head, opening_of, revised
from sceau_schemas.dossier import ClosingMotive, DossierHead


def closed(head: DossierHead, moment: Moment, motive: ClosingMotive = "holder", reason: str | None = None) -> Change:
    """Closed for whatever reason (`reason`: in the holder's words): what was permitted ends with it."""
    if head.status == "closed":
        return _unchanged(head)
    consents = [
        revised(one, "inactive", moment) if one.kind in PERMITS and one.status in ("active", "proposed") else one
        for one in head.consents
    ]
    archived = next_head(head, consents, moment)
    return _with(
        archived,
        "inactive",
        moment,
        status="closed",
        suspended=None,
        closed=moment.millis,
        closing_motive=motive,
        closing_reason=reason,
    )


def reopened(head: DossierHead, moment: Moment) -> Change:
    """Open again, with the archive in it; a request to delete it is over. Nobody is authorised by that."""
    if head.status == "open":
        return _unchanged(head)
    return _with(
        head,
        "active",
        moment,
        status="open",
        suspended=None,
        closed=None,
        closing_motive="holder",
        closing_reason=None,
        deletion_requested=None,
    )


def suspended(head: DossierHead, moment: Moment) -> Change:
    """Suspended by the insurer: read by nobody, and closed in some weeks unless the holder objects."""
    if head.status == "suspended":
        return _unchanged(head)
    return _with(head, "inactive", moment, status="suspended", suspended=moment.millis)


def deletion_requested(head: DossierHead, moment: Moment) -> Change:
    """The holder wants the archive deleted before its time."""
    if head.deletion_requested is not None:
        return _unchanged(head)
    return _with(head, "inactive", moment, deletion_requested=moment.millis)


def died(head: DossierHead, moment: Moment) -> Change:
    """The holder's death: the record is closed, if it is not, and nobody opens it again.

    Where the stage has it closed some days later only, everything stays as it is until then, and nobody reads it.
    """
    if head.died is not None:
        return _unchanged(head)
    later = head.status == "closed" or moment.settings.death_closing_days > 0
    archive = head if later else closed(head, moment, "death").head
    if archive is head:
        return _with(head, "inactive", moment, died=moment.millis)
    dead = archive.model_copy(update={"died": moment.millis})
    return Change(dead, opening_of(dead))


def lives(head: DossierHead, moment: Moment) -> Change:
    """A death that was reported in error: open again where it closed the record, else as it was before."""
    if head.died is None:
        return _unchanged(head)
    living = head.model_copy(update={"died": None})
    if head.status == "closed" and head.closing_motive == "death":
        return reopened(living, moment)
    return _with(living, "active" if head.status == "open" else "inactive", moment)


def act_of_life(kind: ActorKind, asked: LifeRequest, head: DossierHead | None) -> Act:
    """What putting the opening so is an act of: the same words mean another from another."""
    if kind is ActorKind.INSURER:
        if asked.active:
            return Act.CORRECT_DEATH
        return Act.REPORT_DEATH if asked.death else Act.SUSPEND_RECORD
    if asked.deletion:
        return Act.REQUEST_DELETION
    if not asked.active:
        return Act.CLOSE_RECORD
    return Act.OBJECT_TO_SUSPENSION if head is not None and head.status == "suspended" else Act.REOPEN_RECORD


def changed(act: Act, head: DossierHead, asked: LifeRequest, moment: Moment) -> Change:
    """The record as the act leaves it."""
    match act:
        case Act.SUSPEND_RECORD:
            return suspended(head, moment)
        case Act.REPORT_DEATH:
            return died(head, moment)
        case Act.CORRECT_DEATH:
            return lives(head, moment)
        case Act.REQUEST_DELETION:
            return deletion_requested(head, moment)
        case Act.CLOSE_RECORD:
            return closed(head, moment, reason=asked.reason)
        case _:
            return reopened(head, moment)


def _unchanged(head: DossierHead) -> Change:
    return Change(head, opening_of(head), changed=False)


def _with(head: DossierHead, opening: Status, moment: Moment, **members: Any) -> Change:
    """The head with these members, and the opening with a version that says so."""
    consents = [revised(one, opening, moment) if one.kind == "opening" else one for one in head.consents]
    after = next_head(head, consents, moment).model_copy(update=members)
    return Change(after, opening_of(after))
