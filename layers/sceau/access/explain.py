"""Says what would be decided, and by which article: for facts that somebody names, never for a record. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final

from sceau.access.acts import LEVELS
from sceau.access.articles import ARTICLES, Article
from sceau.access.decide import decide
from sceau.access.matrix import Cell, Matrix, Rules
from sceau.access.model import (
    Act,
    Actor,
    ActorKind,
    Declaration,
    DocumentFacts,
    Grant,
    GrantKind,
    Identifier,
    Mode,
    RecordFacts,
    RecordStatus,
    Verdict,
)
from sceau_schemas.rules import RuleSettings
from sceau_schemas.systems import IDNAT_PS, IDNAT_STRUCT

MEDECIN_TRAITANT: Final = "medecin-traitant"
_RECORD, _PARENT = "a" * 26, "b" * 26
_STRUCTURE, _OTHER = Identifier(IDNAT_STRUCT, "own"), Identifier(IDNAT_STRUCT, "other")
_PERSON = Identifier(IDNAT_PS, "own")
_BORN = {True: "2020-01-01", False: "1980-01-01"}


@dataclass(frozen=True, slots=True)
class Question:
    """A situation. `grants`: kinds of authorisation in force, or `medecin-traitant`. `deposited_days`: days ago.

    `author`: the document is the caller's own (a professional's or software's structure; the holder's own).
    """

    act: Act
    kind: ActorKind
    profession: str = "10"
    role: str | None = None
    sectors: frozenset[str] = frozenset()
    specialties: frozenset[str] = frozenset()
    mode: Mode = Mode.NORMAL
    declared: bool = True
    regulates: bool = True
    secret: bool = False
    grants: tuple[str, ...] = ()
    blocked: bool = False
    opposed: frozenset[Mode] = field(default_factory=frozenset)
    named: bool = False
    status: RecordStatus = RecordStatus.OPEN
    minor: bool = False
    type_code: str | None = None
    labels: frozenset[str] = field(default_factory=frozenset)
    author: bool = False
    deleted: bool = False
    deposited_days: int = 1


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict, and the article behind it."""

    verdict: Verdict
    article: Article


def explain(question: Question, rules: Rules, now: datetime) -> Explanation:
    """What would be decided."""
    document = None if question.type_code is None else _document(question, question.type_code, now)
    verdict = decide(question.act, _actor(question, now), _record(question, now), document, rules, now)
    return Explanation(verdict, ARTICLES[verdict.reason])


def _actor(question: Question, now: datetime) -> Actor:
    kind = question.kind
    is_professional = kind is ActorKind.PROFESSIONAL
    told = Declaration(now + timedelta(minutes=1), reason_given=True, unable_to_consent=True, immediate_risk=True)
    return Actor(
        kind=kind,
        client_id="explain",
        subject=_PARENT if kind is ActorKind.REPRESENTATIVE else _RECORD,
        token_id="explain",  # noqa: S106 - of no token
        scopes=frozenset({f"{LEVELS[kind]}/*.cruds"}),
        record_id=None if question.act is Act.EXTRACT_TRACES else _RECORD,
        structures=(_STRUCTURE,) if kind in (ActorKind.SOFTWARE, ActorKind.INSURER) or is_professional else (),
        professional=_PERSON if is_professional else None,
        profession=question.profession if is_professional else None,
        role=question.role,
        sectors=question.sectors,
        specialties=question.specialties,
        mode=question.mode if is_professional else Mode.NORMAL,
        declaration=told if question.declared and question.mode is Mode.BRIS_DE_GLACE else None,
        regulates=question.regulates,
        secret=question.secret,
    )


def _record(question: Question, now: datetime) -> RecordFacts:
    kinds = [GrantKind(one) for one in question.grants if one != MEDECIN_TRAITANT]
    start = now - timedelta(minutes=1)
    return RecordFacts(
        _RECORD,
        question.status,
        grants=tuple(Grant(_STRUCTURE if kind is GrantKind.STRUCTURE else _PERSON, start, kind=kind) for kind in kinds),
        birth_date=_BORN[question.minor],
        blocked=frozenset({_PERSON} if question.blocked else ()),
        opposed=question.opposed,
        medecin_traitant=_PERSON if MEDECIN_TRAITANT in question.grants else None,
        named=frozenset({_PERSON} if question.named else ()),
    )


def _document(question: Question, type_code: str, now: datetime) -> DocumentFacts:
    holder = question.kind in (ActorKind.PATIENT, ActorKind.REPRESENTATIVE)
    holders_own = question.author and holder
    author = _STRUCTURE if question.author else _OTHER
    return DocumentFacts(
        status="entered-in-error" if question.deleted else "current",
        labels=question.labels,
        type_code=type_code,
        author_structures=frozenset() if holders_own else frozenset({author}),
        deposited=None if question.act is Act.PUBLISH else now - timedelta(days=question.deposited_days),
        holders_own=holders_own,
    )


# The tables of `docs/rules.md`.

_TYPE: Final = "explained"
_TABLE_RULES: Final = Rules(
    (Matrix("explained", date.min, "every type allowed", {"10": {_TYPE: Cell.ALLOW}}),), RuleSettings()
)
"""For the tables: doctors may see every type, so that what a label or a right does shows."""

_READERS: Final[Sequence[tuple[str, dict[str, object]]]] = (
    ("the patient", {"kind": ActorKind.PATIENT}),
    ("a minor's representative", {"kind": ActorKind.REPRESENTATIVE, "minor": True}),
    ("the representative of somebody of age", {"kind": ActorKind.REPRESENTATIVE}),
    ("a doctor of a team that was consented to", {"grants": ("structure",)}),
    ("the same, whose structure is the author", {"grants": ("structure",), "author": True}),
    ("a doctor outside, consented to for now", {"grants": ("professional",)}),
    ("the médecin traitant", {"grants": (MEDECIN_TRAITANT,)}),
    ("who has that one's rights by delegation", {"grants": ("delegation",)}),
    ("a doctor whom nobody consented to", {}),
    ("a blocked doctor of such a team", {"grants": ("structure",), "blocked": True}),
    ("bris de glace", {"mode": Mode.BRIS_DE_GLACE}),
    ("bris de glace, opposed", {"mode": Mode.BRIS_DE_GLACE, "opposed": frozenset({Mode.BRIS_DE_GLACE})}),
    ("centre 15", {"mode": Mode.CENTRE_15}),
    ("centre 15, opposed", {"mode": Mode.CENTRE_15, "opposed": frozenset({Mode.CENTRE_15})}),
    ("an occupational doctor of such a team", {"grants": ("structure",), "sectors": frozenset({"SA66"})}),
    ("the same, by express consent", {"grants": ("express",), "sectors": frozenset({"SA66"})}),
    ("a fire-brigade doctor, by express consent", {"grants": ("express",), "sectors": frozenset({"SA68"})}),
    ("a doctor at an insurer's, whatever the consent", {"grants": ("structure",), "sectors": frozenset({"SA24"})}),
    ("a structure's software", {"kind": ActorKind.SOFTWARE, "author": True}),
    ("the insurer", {"kind": ActorKind.INSURER, "author": True}),
    ("operations", {"kind": ActorKind.OPERATIONS}),
)
_SHOWN: Final[Sequence[tuple[str, dict[str, object]]]] = (
    ("no mask", {}),
    ("MASQUE_PS", {"labels": frozenset({"MASQUE_PS"})}),
    ("INVISIBLE_PATIENT", {"labels": frozenset({"INVISIBLE_PATIENT"})}),
    ("the same, a month on", {"labels": frozenset({"INVISIBLE_PATIENT"}), "deposited_days": 32}),
    ("INVISIBLE_REPRESENTANTS_LEGAUX", {"labels": frozenset({"INVISIBLE_REPRESENTANTS_LEGAUX"})}),
    ("deleted", {"deleted": True}),
)
_KINDS: Final = tuple(kind for kind in ActorKind if kind is not ActorKind.OPERATIONS)


def reading_table(now: datetime) -> Iterator[str]:
    """Who reads a document with which label: lines of Markdown."""
    yield f"| {' | '.join(['who reads', *(name for name, _ in _SHOWN)])} |"
    yield "|" + "---|" * (len(_SHOWN) + 1)
    plain = Question(Act.READ_DOCUMENT, ActorKind.PROFESSIONAL, type_code=_TYPE)
    for who, caller in _READERS:
        cells = [_cell(replace(plain, **{**caller, **shown}), now) for _, shown in _SHOWN]  # type: ignore[arg-type]  # both tables hold members of a Question
        yield f"| {who} | {' | '.join(cells)} |"


def acts_table(now: datetime) -> Iterator[str]:
    """What each kind of caller may ask of an open record, when nothing else stands in the way: lines of Markdown.

    Then the professional is the médecin traitant, and named; the document is the caller's own; the holder is a minor.
    """
    yield f"| {' | '.join(['act', *_KINDS])} |"
    yield "|" + "---|" * (len(_KINDS) + 1)
    for act in Act:
        yield f"| {act} | {' | '.join(_cell(_best(act, kind), now) for kind in _KINDS)} |"


def _best(act: Act, kind: ActorKind) -> Question:
    """The situation in which a kind of caller may most."""
    needed = {
        Act.OPEN_RECORD: RecordStatus.ABSENT,
        Act.REOPEN_RECORD: RecordStatus.CLOSED,
        Act.REQUEST_DELETION: RecordStatus.CLOSED,
        Act.OBJECT_TO_SUSPENSION: RecordStatus.SUSPENDED,
        Act.CORRECT_DEATH: RecordStatus.DECEASED,
    }
    own = {ActorKind.INSURER: "REMB", ActorKind.PATIENT: "EXPPAT_3", ActorKind.REPRESENTATIVE: "EXPPAT_3"}
    about_documents = act.value in _ABOUT_DOCUMENTS
    return Question(
        act,
        kind,
        grants=(MEDECIN_TRAITANT,),
        named=True,
        status=needed.get(act, RecordStatus.OPEN),
        minor=True,
        type_code=own.get(kind, _TYPE) if about_documents else None,
        author=True,
    )


_ABOUT_DOCUMENTS: Final = frozenset(
    {
        *("publish", "replace", "mask", "unmask", "show-to-patient", "show-to-representatives", "hide-afterwards"),
        *("delete", "archive", "find-identifier", "read-entry", "read-document"),
    }
)


def reasons_table() -> Iterator[str]:
    """Every reason with its rule and source: lines of Markdown."""
    yield "| reason | rule | source |"
    yield "|---|---|---|"
    for reason, article in ARTICLES.items():
        yield f"| `{reason.value}` | {article.text} | {article.source} |"


def settings_table() -> Iterator[str]:
    """Every setting with what ships and its source: lines of Markdown."""
    yield "| setting | ships as | what it is | source |"
    yield "|---|---|---|---|"
    for name, setting in RuleSettings.model_fields.items():
        extra = setting.json_schema_extra
        source = extra["source"] if isinstance(extra, dict) else ""
        default = str(setting.default).lower() if isinstance(setting.default, bool) else setting.default
        yield f"| `{name}` | {default} | {setting.description} | {source} |"


def _cell(question: Question, now: datetime) -> str:
    verdict = explain(question, _TABLE_RULES, now).verdict
    word, _, reason = verdict.reason.value.partition(".")
    return f"**{reason}**" if word == "allowed" else reason
