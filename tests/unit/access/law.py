"""What the law and the guides say, as a person would tick it off: by who asks, not by how the code checks.

Written from the sources that `docs/rules.md` names, naively and on purpose in another shape than `sceau.access`: one
list per kind of caller. Where the text is silent the answer is no.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One situation, in words. `doc`: the act is about a document, of which all that follows is said."""

    who: str  # software insurer professional patient representative operations
    act: str
    mode: str = "normal"  # bris_de_glace (all declared, by a doctor) centre_15 (a doctor who regulates)
    unseen: bool = False  # in a minor's connexion secrète: representatives are not to learn of it
    grant: str = "none"  # structure professional express delegation medecin_traitant: of a doctor, in force
    blocked: bool = False
    minor: bool = False
    status: str = "open"  # absent suspended closed deceased
    doc: bool = False
    masked: bool = False
    awaits: bool = False  # INVISIBLE_PATIENT, deposited less than a month ago (or being deposited)
    secret: bool = False  # INVISIBLE_REPRESENTANTS_LEGAUX
    cell: str = "allow"  # of the matrix, for this profession and type: allow deny unknown
    mine: bool = False  # the caller's own structure is its author


FIND = ("search", "search-sets", "read-set", "read-entry", "read-document")
LIFE = {
    "close-record": ("open", "suspended", "closed"),
    "reopen-record": ("closed", "open"),
    "object-to-suspension": ("suspended", "open"),
    "request-deletion": ("closed",),
}
"""From which states; from where it leads to as well, for then nothing changes."""
HOLDER_DECIDES = (*("grant", "consent-expressly", "block", "oppose", "name-medecin-traitant", "delegate", "withdraw"),)


def allowed(case: Case) -> bool:
    """Whether somebody may do it."""
    return {
        "operations": operations,
        "insurer": insurer,
        "software": software,
        "patient": holder,
        "representative": representative,
        "professional": professional,
    }[case.who](case)


def operations(case: Case) -> bool:
    """Architecture: never health data. How many emergencies wait for their review, and for how long; never whose."""
    return case.act == "count-reviews"


def insurer(case: Case) -> bool:
    """Opens records (R. 1111-40), suspends them, reports deaths (R. 1111-36); feeds REMB only: none of these is."""
    if case.act == "open-record":
        return case.status in ("absent", "open")
    if case.act == "suspend-record":
        return case.status in ("open", "suspended")
    if case.act == "report-death":
        return case.status != "absent"
    if case.act == "correct-death":
        return case.status in ("deceased", "closed", "open")
    if case.act in ("find-identifier", "delete"):
        return case.status == "open" and (not case.doc or case.mine)
    return False


def may_deposit(case: Case) -> bool:
    """EX_2.1-1050: no mask on what awaits its announcement; kept from representatives: a minor's documents only.

    A connexion secrète deposits with that label and no other.
    """
    if case.unseen and (case.masked or case.awaits or not case.secret):
        return False
    return not (case.masked and case.awaits) and not (case.secret and not case.minor)


def software(case: Case) -> bool:
    """Feeds an open record for its own structure (TD0.2 NB2, TD3.3c NB1), reads nothing back, decides nothing."""
    if case.act in ("read-review-queue", "review"):
        return True  # of its own structure: no record is asked
    if case.status != "open":
        return False
    if case.unseen and case.act not in ("find-identifier", "publish", "replace"):
        return False  # representatives would see when what they see was changed: L. 1111-5
    if not case.doc:
        return case.act in ("find-identifier", "mask", "show-to-patient", "hide-afterwards", "delete", "archive")
    if not case.mine:
        return False
    if case.act == "publish":
        return may_deposit(case)
    if case.act == "mask":
        return not case.awaits
    return case.act in ("replace", "find-identifier", "show-to-patient", "delete", "archive")


def holder(case: Case) -> bool:
    """L. 1111-19: everything about the own record, but what awaits an announcement (R. 1111-53)."""
    if case.act == "open-record":
        return case.status in ("absent", "open")
    if case.act in LIFE:
        return case.status in LIFE[case.act]
    if case.act in ("read-status", "read-consents", "read-notices"):
        return True
    kept_from_me = case.doc and (case.awaits or (case.secret and case.who == "representative"))
    if case.act == "read-traces":
        return not kept_from_me
    if case.status != "open":
        return False
    if case.act in HOLDER_DECIDES:
        return True
    if case.act in ("publish", "replace", "delete"):
        return case.act == "delete" and not case.doc  # the documents here are all professionals' (R. 1111-51)
    if case.act in (*FIND, "mask", "unmask"):
        return not kept_from_me
    return case.act == "hide-afterwards" and not case.doc


def representative(case: Case) -> bool:
    """The holder's rights while the holder is a minor; nothing from the day of majority on (code civil, 414)."""
    return case.minor and holder(case)


def professional(case: Case) -> bool:  # noqa: PLR0912 - a list to tick off
    """A doctor. L. 1111-16, L. 1111-17, R. 1111-46."""
    if case.act == "read-status":
        return True
    if case.act == "read-consents":
        return case.status != "absent"
    if case.status != "open" or case.blocked:  # a blocked professional never: TD0.2 NB1; closed: L. 1111-18, R. 1111-36
        return False
    if case.act == "read-notices":  # R. 1111-48: the médecin traitant; a closed or suspended record tells nobody else
        return case.grant == "medecin_traitant" and case.mode == "normal"
    if case.act == "collect-consent":  # representatives read the decisions: L. 1111-5
        return case.mode == "normal" and not case.unseen
    if case.act == "accept-medecin-traitant":
        return case.mode == "normal" and not case.unseen and case.grant == "medecin_traitant"
    if case.act in ("publish", "replace"):  # authorisations matter for reading only; centre 15 reads
        fits = may_deposit(case) if case.act == "publish" else True
        return case.mode != "centre_15" and case.doc and case.mine and fits
    if case.act == "find-identifier":
        return not case.doc or case.mine
    if case.act == "delete":
        return case.mode == "normal" and not case.unseen and (not case.doc or case.mine)
    if case.act in FIND:
        return reads(case)
    if case.mode != "normal" or case.unseen or not reads(case):
        return False
    if case.act == "mask":
        return not (case.doc and case.awaits)
    if case.act == "hide-afterwards":
        return not case.doc
    if case.act == "unmask":  # the holder's decision, R. 1111-49; to see all, L. 1111-16, is not to decide about it
        return not case.doc or case.mine
    return case.act in ("show-to-patient", "show-to-representatives", "archive")


def reads(case: Case) -> bool:
    """In an emergency without any authorisation, else with one. An express consent is for special doctors."""
    if case.mode == "normal" and case.grant in ("none", "express"):
        return False
    if not case.doc:
        return True
    if case.cell != "allow":
        return False
    if not case.masked:
        return True
    return case.mode == "normal" and (case.mine or case.grant in ("medecin_traitant", "delegation"))
