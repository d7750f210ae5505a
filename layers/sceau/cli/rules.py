"""`sceau matrix …` and `sceau access …`: the habilitation matrix of a stage, and what the rules would decide.

The matrix rests as a sealed configuration object, under the rights of the operations tool. An explanation is about
facts given on the command line, never about a record.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from sceau.access.explain import (
    MEDECIN_TRAITANT,
    Question,
    acts_table,
    explain,
    reading_table,
    reasons_table,
    settings_table,
)
from sceau.access.grid import Expected, GridRefused, read_grid
from sceau.access.matrix import (
    DOCUMENT_TYPES,
    PROFESSIONS,
    Cell,
    Matrix,
    Rules,
    changes,
    from_stored,
    shipped_rules,
)
from sceau.access.model import Act, ActorKind, GrantKind, Mode, RecordStatus
from sceau.envelope.messages import Envelope
from sceau.fhir.codes import concepts
from sceau.identity.rules import MatrixStore, RulesInForce
from sceau.stage import SettingsError, Stage

_PREFIX: Final = "G15_"

Common = Callable[[argparse.ArgumentParser], None]
Load = Callable[[argparse.Namespace], Stage]


def known_columns() -> frozenset[str]:
    """Codes of professions (TRE_G15, and what JDV_J01 has beside them) and of roles (TRE_R85, JDV_J47)."""
    found = {one.code.removeprefix(_PREFIX) for one in concepts("J01") if "/" not in one.code}
    return frozenset(found | {one.code for one in concepts("J47")})


def known_types() -> frozenset[str]:
    """Codes of document types, from JDV_J07."""
    return frozenset(one.code for one in concepts("J07"))


def add_rules_commands(commands: Any, common: Common, load: Load) -> None:
    """Add `matrix` (load, show, diff) and `access` (explain, tables)."""
    matrix = commands.add_parser("matrix", help="the habilitation matrix: load a grid, show it, compare editions")
    actions = matrix.add_subparsers(dest="action", required=True)
    for name, what in (("load", "take the official grid as a new edition"), ("diff", "say what a grid would change")):
        action = actions.add_parser(name, help=what)
        common(action)
        _add_grid_options(action)
        action.set_defaults(run=lambda options, name=name: _take(options, load(options), keep=name == "load"))
    show = actions.add_parser("show", help="print the editions, and one profession's cells of the one in force")
    common(show)
    show.add_argument("profession", nargs="?", help="TRE_G15 or TRE_R85 code; without one, the counts")
    show.set_defaults(run=lambda options: _show(options, load(options)))

    access = commands.add_parser("access", help="what the rules decide, and by which article")
    actions = access.add_subparsers(dest="action", required=True)
    asked = actions.add_parser("explain", help="allow or deny, for facts given here; no record is read")
    common(asked)
    _add_question_options(asked)
    asked.set_defaults(run=lambda options: _explain(options, load(options)))
    tables = actions.add_parser("tables", help="print the generated tables of docs/rules.md")
    tables.set_defaults(run=lambda _: _print(generated_tables()))


def _add_grid_options(action: argparse.ArgumentParser) -> None:
    action.add_argument("grid", metavar="FILE", help="CSV as a spreadsheet exports it: professions across, types down")
    action.add_argument("--edition", required=True, help="its name, as arrete-2023-10-26: it stands in traces")
    action.add_argument("--effective-from", required=True, metavar="YYYY-MM-DD", help="the day from which it holds")
    action.add_argument("--source", required=True, help="where it comes from")
    # A later arrêté may have more of either. With fewer the rest would be unknown: half a grid.
    action.add_argument("--columns", type=int, default=PROFESSIONS, help="how many professions (19, or more)")
    action.add_argument("--types", type=int, default=DOCUMENT_TYPES, help="how many document types (87, or more)")
    action.add_argument("--blank-denies", action="store_true", help="an empty cell denies, else the grid is refused")


def _take(options: argparse.Namespace, stage: Stage, *, keep: bool) -> int:
    """Read a grid, say what it changes, and keep it. A grid with a fault changes nothing."""
    for option, given, least in (
        ("--columns", options.columns, PROFESSIONS),
        ("--types", options.types, DOCUMENT_TYPES),
    ):
        if given < least:
            raise SettingsError(f"{option} is {least} or more: half a grid is not taken")
    store, rules = _rules(stage)
    expected = Expected(known_columns(), known_types(), options.columns, options.types, options.blank_denies)
    try:
        data = Path(options.grid).read_bytes()
        edition = read_grid(
            data, expected, version=options.edition, effective_from=options.effective_from, source=options.source
        )
        date.fromisoformat(edition.effective_from)
    except OSError as error:
        raise SettingsError(f"{options.grid} can't be read: {error.strerror}") from None
    except GridRefused as error:
        raise SettingsError(f"the grid is refused, and nothing was changed:\n{error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise SettingsError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError:
        raise SettingsError("--effective-from is no day of the calendar") from None
    found = from_stored(edition)
    before = rules.matrix(datetime.now(UTC))
    for change in changes(before, found) if before else ():
        print(f"{change.column:<6} {change.type_code:<18} {change.before} -> {change.after}")
    _print_counts(found)
    if keep:
        try:
            store.add(edition)
        except ValueError as error:
            raise SettingsError(str(error)) from None
        print(f"loaded; in force from {edition.effective_from}, and functions see it within 60 s")
    return 0


def _show(options: argparse.Namespace, stage: Stage) -> int:
    _, rules = _rules(stage)
    matrix = rules.matrix(datetime.now(UTC))
    for edition in rules.editions:
        mark = "in force" if edition is matrix else ""
        print(f"{edition.version:<32} {edition.effective_from}  {mark:<9} {edition.source}")
    if matrix is None:
        print("no edition is in force: every cell is unknown, and denied")
    elif options.profession is None:
        _print_counts(matrix)
    else:
        for type_code in sorted(known_types()):
            print(f"{type_code:<18} {matrix.cell(options.profession, type_code, options.profession)}")
    return 0


def _print_counts(matrix: Matrix) -> None:
    counted = matrix.count()
    print(f"{matrix.version}: " + ", ".join(f"{counted[cell]} {cell}" for cell in Cell) + " (unknown denies)")


def _rules(stage: Stage) -> tuple[MatrixStore, Rules]:
    tool = stage.tool("operations")
    store = MatrixStore(tool.store, Envelope(tool.keys))
    return store, RulesInForce(store, stage.spec.rules)(datetime.now(UTC))


def _add_question_options(asked: argparse.ArgumentParser) -> None:
    asked.add_argument("--act", required=True, type=Act, metavar="ACT", help=", ".join(Act))
    asked.add_argument("--actor", required=True, type=ActorKind, metavar="KIND", help=", ".join(ActorKind))
    asked.add_argument(
        "--shipped", action="store_true", help="by the rules that ship, not by a stage's matrix and settings"
    )
    asked.add_argument("--profession", default="10", help="TRE_G15 code; 10, médecin, unless said")
    asked.add_argument("--role", help="TRE_R85 code")
    asked.add_argument("--sector", action="append", default=[], help="TRE_R02 code, as SA66")
    asked.add_argument("--specialty", action="append", default=[], help="TRE_R38 code, as SM25")
    asked.add_argument("--mode", type=Mode, default=Mode.NORMAL, metavar="MODE", help=", ".join(Mode))
    asked.add_argument("--undeclared", action="store_true", help="bris de glace without a declaration that serves")
    asked.add_argument("--not-regulating", action="store_true", help="no Acces_Regulation_Medicale")
    asked.add_argument("--secret", action="store_true", help="a connexion secrète")
    kinds = [*GrantKind, MEDECIN_TRAITANT]
    asked.add_argument("--grant", action="append", default=[], choices=kinds, help="what the holder consented to")
    asked.add_argument("--blocked", action="store_true")
    asked.add_argument("--opposed", action="append", default=[], type=Mode, metavar="MODE")
    asked.add_argument("--named", action="store_true", help="named as médecin traitant, not accepted yet")
    asked.add_argument("--status", type=RecordStatus, default=RecordStatus.OPEN, metavar="STATUS")
    asked.add_argument("--minor", action="store_true")
    asked.add_argument("--type", dest="type_code", help="a type of JDV_J07: the act is about such a document")
    asked.add_argument("--label", action="append", default=[], help="a code of JDV_J08")
    asked.add_argument("--author", action="store_true", help="the document is the caller's own")
    asked.add_argument("--deleted", action="store_true")
    asked.add_argument("--deposited-days", type=int, default=1, help="how many days ago")


def _explain(options: argparse.Namespace, stage: Stage) -> int:
    question = Question(
        act=options.act,
        kind=options.actor,
        profession=options.profession,
        role=options.role,
        sectors=frozenset(options.sector),
        specialties=frozenset(options.specialty),
        mode=options.mode,
        declared=not options.undeclared,
        regulates=not options.not_regulating,
        secret=options.secret,
        grants=tuple(options.grant),
        blocked=options.blocked,
        opposed=frozenset(options.opposed),
        named=options.named,
        status=options.status,
        minor=options.minor,
        type_code=options.type_code,
        labels=frozenset(options.label),
        author=options.author,
        deleted=options.deleted,
        deposited_days=options.deposited_days,
    )
    if question.type_code is not None and question.type_code not in known_types():
        raise SettingsError(f"{question.type_code} is no type of JDV_J07")
    rules = shipped_rules() if options.shipped else _rules(stage)[1]
    found = explain(question, rules, datetime.now(UTC))
    verdict = found.verdict
    print(f"{'allow' if verdict.allowed else 'deny'}  {verdict.reason}")
    print(f"rule    {found.article.text}\nsource  {found.article.source}")
    if verdict.matrix:
        print(f"matrix  {verdict.matrix}")
    if verdict.caution:
        print("warned  the patient can't see this document yet")
    return 0


def generated_tables() -> dict[str, str]:
    """The tables of `docs/rules.md`, by their names there."""
    now = datetime(2026, 1, 1, tzinfo=UTC)  # any: the facts are made around it
    return {
        "reading": "\n".join(reading_table(now)),
        "acts": "\n".join(acts_table(now)),
        "reasons": "\n".join(reasons_table()),
        "settings": "\n".join(settings_table()),
    }


def _print(tables: dict[str, str]) -> int:
    for name, text in tables.items():
        sys.stdout.write(f"<!-- {name} -->\n{text}\n\n")
    return 0
