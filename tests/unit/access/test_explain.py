"""An explanation is the decision on the facts that somebody names, and the page's tables are what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from sceau.access.articles import ARTICLES
from sceau.access.explain import Question, explain
from sceau.access.matrix import shipped_rules
from sceau.access.model import Act, ActorKind, Caution, GrantKind, Mode, Reason, RecordStatus
from sceau.cli.rules import generated_tables
from sceau_schemas.rules import RuleSettings
from unit.access.space import NOW, RULES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "rules.md"
DOCTOR = ActorKind.PROFESSIONAL


@pytest.mark.parametrize("name", list(generated_tables()))
def test_the_page_has_the_tables_that_the_code_makes(name: str) -> None:
    text, table = PAGE.read_text("utf-8"), generated_tables()[name]
    assert f"<!-- {name} -->\n\n{table}\n\n" in text, f"run `sceau access tables`: {name} should be\n{table}"


def test_every_reason_has_its_article_and_every_setting_its_source() -> None:
    assert ARTICLES.keys() == set(Reason)
    assert all(article.text and article.source for article in ARTICLES.values())
    for setting in RuleSettings.model_fields.values():
        assert setting.description
        assert isinstance(setting.json_schema_extra, dict)
        assert setting.json_schema_extra["source"]


def test_a_setting_without_a_source_ships_as_what_gives_the_least() -> None:
    shipped = RuleSettings()
    for name, setting in RuleSettings.model_fields.items():
        if isinstance(setting.default, bool):
            assert getattr(shipped, name) is False


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (Question(Act.READ_DOCUMENT, ActorKind.PATIENT, type_code="11502-2"), Reason.ALLOWED_HOLDER),
        (Question(Act.READ_DOCUMENT, ActorKind.REPRESENTATIVE, type_code="11502-2"), Reason.DENIED_MAJORITY),
        (
            Question(Act.READ_DOCUMENT, ActorKind.REPRESENTATIVE, minor=True, type_code="11502-2"),
            Reason.ALLOWED_REPRESENTATIVE,
        ),
        (Question(Act.READ_DOCUMENT, DOCTOR, type_code="11502-2"), Reason.DENIED_NO_GRANT),
        (Question(Act.READ_DOCUMENT, DOCTOR, grants=("structure",), type_code="11502-2"), Reason.ALLOWED_GRANT),
        (
            Question(Act.READ_DOCUMENT, DOCTOR, grants=("structure",), type_code="11502-2", author=True),
            Reason.ALLOWED_AUTHOR,
        ),
        (
            Question(Act.READ_DOCUMENT, DOCTOR, grants=("structure",), type_code="11502-2", deleted=True),
            Reason.DENIED_DELETED,
        ),
        (
            Question(Act.READ_DOCUMENT, DOCTOR, "60", grants=("structure",), type_code="68599-0"),
            Reason.DENIED_MATRIX_UNKNOWN,
        ),
        (
            Question(Act.READ_DOCUMENT, DOCTOR, "60", "330", grants=("structure",), type_code="15507-7"),
            Reason.DENIED_MATRIX,
        ),
        (Question(Act.SEARCH, DOCTOR, grants=("medecin-traitant",)), Reason.ALLOWED_MEDECIN_TRAITANT),
        (Question(Act.SEARCH, DOCTOR, grants=("structure",), blocked=True), Reason.DENIED_BLOCKED),
        (Question(Act.SEARCH, DOCTOR, grants=("structure",), sectors=frozenset({"SA24"})), Reason.DENIED_INSURANCE),
        (
            Question(Act.SEARCH, DOCTOR, grants=("structure",), specialties=frozenset({"SM25"})),
            Reason.DENIED_NO_EXPRESS_CONSENT,
        ),
        (Question(Act.SEARCH, DOCTOR, mode=Mode.BRIS_DE_GLACE), Reason.ALLOWED_BRIS_DE_GLACE),
        (Question(Act.SEARCH, DOCTOR, mode=Mode.BRIS_DE_GLACE, declared=False), Reason.DENIED_NOT_DECLARED),
        (Question(Act.SEARCH, DOCTOR, mode=Mode.CENTRE_15), Reason.ALLOWED_CENTRE_15),
        (Question(Act.SEARCH, DOCTOR, mode=Mode.CENTRE_15, regulates=False), Reason.DENIED_NOT_REGULATING),
        (
            Question(Act.SEARCH, DOCTOR, mode=Mode.CENTRE_15, opposed=frozenset({Mode.CENTRE_15})),
            Reason.DENIED_OPPOSED,
        ),
        (Question(Act.SEARCH, ActorKind.PATIENT, status=RecordStatus.CLOSED), Reason.DENIED_CLOSED),
        (Question(Act.ACCEPT_MEDECIN_TRAITANT, DOCTOR), Reason.DENIED_NOT_NAMED),
        (Question(Act.ACCEPT_MEDECIN_TRAITANT, DOCTOR, named=True), Reason.ALLOWED_NAMED),
        (
            Question(
                Act.PUBLISH,
                ActorKind.SOFTWARE,
                secret=True,
                minor=True,
                author=True,
                type_code="11502-2",
                labels=frozenset({"INVISIBLE_REPRESENTANTS_LEGAUX"}),
            ),
            Reason.ALLOWED_FEEDING,
        ),
        (
            Question(Act.PUBLISH, ActorKind.SOFTWARE, secret=True, minor=True, author=True, type_code="11502-2"),
            Reason.DENIED_SECRET,
        ),
        (Question(Act.PUBLISH, ActorKind.PATIENT, author=True, type_code="EXPPAT_3"), Reason.ALLOWED_FEEDING),
        (Question(Act.PUBLISH, ActorKind.PATIENT, type_code="EXPPAT_3"), Reason.DENIED_NOT_AUTHOR),
    ],
)
def test_a_situation_is_explained(question: Question, reason: Reason) -> None:
    found = explain(question, RULES, NOW)
    assert found.verdict.reason is reason
    assert found.article is ARTICLES[reason]


@pytest.mark.parametrize("kind", list(GrantKind))
def test_each_kind_of_grant_names_whom_it_is_for(kind: GrantKind) -> None:
    special = frozenset({"SA66"} if kind is GrantKind.EXPRESS else ())
    assert explain(Question(Act.SEARCH, DOCTOR, grants=(kind,), sectors=special), RULES, NOW).verdict.allowed


def test_what_awaits_its_announcement_is_warned_of_until_it_shows_itself() -> None:
    hidden = frozenset({"INVISIBLE_PATIENT"})
    asked = Question(Act.READ_ENTRY, DOCTOR, grants=("structure",), type_code="11502-2", labels=hidden)
    assert explain(asked, RULES, NOW).verdict.caution is Caution.NOT_YET_TOLD
    later = Question(
        Act.READ_ENTRY, DOCTOR, grants=("structure",), type_code="11502-2", labels=hidden, deposited_days=40
    )
    assert explain(later, RULES, NOW).verdict.caution is None


def test_by_what_ships_a_doctor_reads_and_a_dentist_does_not() -> None:
    for profession, allowed in (("10", True), ("40", False)):
        asked = Question(Act.READ_DOCUMENT, DOCTOR, profession, grants=("structure",), type_code="11502-2")
        verdict = explain(asked, shipped_rules(), NOW).verdict
        assert (verdict.allowed, verdict.matrix) == (allowed, "arrete-2023-10-26-partial")
