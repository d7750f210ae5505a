"""`sceau evidence`: each requirement with what stands for it, as it came out; nothing is held that nobody saw."""

from __future__ import annotations

import ast
import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from iac.controls.controls import CONTROLS
from sceau.cli.evidence import STATES, Found, report
from sceau.cli.evidence_page import page
from sceau.cli.evidence_table import BACKUP_CHECK, OWNERS, REQUIREMENTS
from sceau.cli.main import main
from sceau.cli.stage_check import write_report
from sceau.objects.findings import Finding
from sceau.stage import Settings, SettingsError, Stage, load_stage

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
Json = dict[str, Any]


@pytest.fixture(scope="module")
def stage() -> Stage:
    return load_stage(Settings(chalicefile=ROOT / "chalicefile", stage="local"))


def controls(folder: Path, *, broken: str = "", stage: str = "local") -> None:
    told = [
        {
            "name": one.name,
            "text": one.text,
            "held": one.name != broken,
            "findings": [{"address": "module.edge", "text": "<it> is open"}] if one.name == broken else [],
        }
        for one in CONTROLS
    ]
    content = {
        "format": 1,
        "stage": stage,
        "at": "2026-11-23T09:00:00+00:00",
        "plan": {"plan.json": "ab"},
        "controls": told,
    }
    (folder / "controls.json").write_text(json.dumps(content), "utf-8")


def checks(folder: Path, *, lost: str = "") -> None:
    names = {name for one in REQUIREMENTS for name in one.checks} - {BACKUP_CHECK}
    write_report(folder / "check.json", "local", [Finding(f"events: {name}", name != lost, "seen") for name in names])


def backup(folder: Path, *, held: bool = True) -> None:
    write_report(folder / "backup.json", "local", [Finding(BACKUP_CHECK, held, "run 7, digest ab")])


def runs(folder: Path, *, outcome: str = "") -> None:
    cases = ""
    for name in sorted({name for one in REQUIREMENTS for name in one.tests}):
        file, _, function = name.partition("::")
        place = file.removesuffix(".py").replace("/", ".")
        cases += f'<testcase classname="{place}" name="{function}[1]">{outcome}</testcase>'
        cases += f'<testcase classname="{place}" name="{function}[2]"/>'
    suite = f'<testsuites><testsuite name="sceau abc" timestamp="2026-11-23T08:00:00">{cases}</testsuite></testsuites>'
    (folder / "test.xml").write_text(suite, "utf-8")


def deployed(folder: Path, commit: str | None) -> None:
    told = {"format": 1, "stage": "local", "at": "2026-11-23T09:30:00+00:00", "plan": {}, "package": "ab"}
    (folder / "deployed.json").write_text(json.dumps(told | {"commit": commit}), "utf-8")


def everything(folder: Path) -> None:
    controls(folder)
    checks(folder)
    backup(folder)
    runs(folder)


def rows(stage: Stage, folder: Path) -> dict[str, Json]:
    made = report(stage, Found(stage.name, folder, folder), NOW)
    return {f"{row['framework']} {row['number']}": row for row in made["requirements"]}


def test_all_31_requirements_of_hds_are_there_once_and_each_has_a_proof_or_an_owner() -> None:
    assert [one.number for one in REQUIREMENTS if one.framework == "HDS v2"] == [f"{n:02}" for n in range(1, 32)]
    assert len({(one.framework, one.number) for one in REQUIREMENTS}) == len(REQUIREMENTS)
    for one in REQUIREMENTS:
        assert one.controls or one.checks or one.tests or one.owner, one
        assert bool(one.owner) == bool(one.left), one


def test_controls_and_the_table_name_each_other() -> None:
    by_control = {one.name: {*(f"HDS v2 {number}" for number in one.hds), *one.others} for one in CONTROLS}
    by_table = {
        one.name: {f"{row.framework} {row.number}" for row in REQUIREMENTS if one.name in row.controls}
        for one in CONTROLS
    }
    assert by_table == by_control
    assert {name for row in REQUIREMENTS for name in row.controls} <= set(by_control)


def test_every_test_that_the_table_names_is_there() -> None:
    for name in {name for one in REQUIREMENTS for name in one.tests}:
        file, _, function = name.partition("::")
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, name


def test_every_check_that_the_table_names_is_made() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "layers" / "sceau" / "objects").rglob("checks.py"))
    for name in {name for one in REQUIREMENTS for name in one.checks} - {BACKUP_CHECK}:
        assert f'"{name}"' in sources, name


def test_nothing_is_shown_that_nobody_saw(stage: Stage, tmp_path: Path) -> None:
    states = {name: row["state"] for name, row in rows(stage, tmp_path).items()}
    assert set(states.values()) == {"owner", "not shown"}
    assert states["HDS v2 01"] == "owner"
    assert states["HDS v2 28"] == "not shown"


def test_with_all_proofs_it_is_shown_wholly_or_in_part(stage: Stage, tmp_path: Path) -> None:
    everything(tmp_path)
    found = rows(stage, tmp_path)
    assert found["HDS v2 05"]["state"] == "shown in part"
    assert found["PGSSI-S imputabilité"]["state"] == "shown"
    assert {row["state"] for row in found.values()} == {"shown", "shown in part", "owner"}
    [proof] = [one for one in found["HDS v2 29"]["proofs"] if one["name"] == "french-soil"]
    assert (proof["outcome"], proof["at"], proof["defined"]) == (
        "held",
        "2026-11-23T09:00:00+00:00",
        "iac/controls/controls.py",
    )
    whens = {one["kind"]: one["at"] for one in found["HDS v2 05"]["proofs"]}
    assert whens["test"] == "2026-11-23T08:00:00"
    assert whens["live check"] is not None


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("HDS v2 28", lambda folder: controls(folder, broken="french-soil")),
        ("HDS v2 15", lambda folder: checks(folder, lost="locks refuse deletion and shortening")),
        ("HDS v2 27", lambda folder: backup(folder, held=False)),
        ("GDPR 32(1)(c)", lambda folder: backup(folder, held=False)),
        ("HDS v2 23", lambda folder: runs(folder, outcome="<failure/>")),
        ("HDS v2 23", lambda folder: runs(folder, outcome="<error/>")),
    ],
)
def test_one_broken_proof_breaks_its_requirement(name: str, spoil: Any, stage: Stage, tmp_path: Path) -> None:
    everything(tmp_path)
    spoil(tmp_path)
    assert rows(stage, tmp_path)[name]["state"] == "broken"


@pytest.mark.parametrize("name", ["HDS v2 27", "GDPR 32(1)(c)"])
def test_a_backup_that_nobody_verified_shows_nothing(name: str, stage: Stage, tmp_path: Path) -> None:
    everything(tmp_path)
    [seen] = [one for one in rows(stage, tmp_path)[name]["proofs"] if one["name"] == BACKUP_CHECK]
    assert (seen["outcome"], seen["seen"]) == ("held", f"{BACKUP_CHECK}: run 7, digest ab")
    assert seen["defined"] == "layers/sceau/records/backup/verifying.py"
    (tmp_path / "backup.json").unlink()
    row = rows(stage, tmp_path)[name]
    assert row["state"] == "not shown"
    assert "run `sceau backup verify --report`" in [one["seen"] for one in row["proofs"]]


def test_a_test_that_was_skipped_has_shown_nothing(stage: Stage, tmp_path: Path) -> None:
    everything(tmp_path)
    runs(tmp_path, outcome="<skipped/>")
    assert rows(stage, tmp_path)["HDS v2 23"]["state"] == "not shown"


@pytest.mark.parametrize(
    ("commit", "state", "seen"),
    [
        ("abc", "shown in part", "2 cases"),
        ("abd", "not shown", "it was run on sceau abc, and abd is deployed"),
        ("ab", "not shown", "it was run on sceau abc, and ab is deployed"),
        (None, "not shown", "it was run on sceau abc, and no commit that is known is deployed"),
    ],
)
@pytest.mark.parametrize("outcome", ["", "<failure/>"])
def test_tests_of_another_commit_than_the_deployed_have_shown_nothing(
    outcome: str, commit: str | None, state: str, seen: str, stage: Stage, tmp_path: Path
) -> None:
    everything(tmp_path)
    runs(tmp_path, outcome=outcome)
    deployed(tmp_path, commit)
    row = rows(stage, tmp_path)["HDS v2 23"]
    assert row["state"] == ("broken" if outcome and commit == "abc" else state)
    assert {proof["seen"] for proof in row["proofs"] if proof["kind"] == "test"} == {seen}


def test_a_second_run_of_the_deployed_commit_is_what_counts(stage: Stage, tmp_path: Path) -> None:
    everything(tmp_path)
    deployed(tmp_path, "abc")
    of_another = (tmp_path / "test.xml").read_text("utf-8").replace("sceau abc", "sceau abc-dirty")
    (tmp_path / "another.xml").write_text(of_another.replace("/>", "><failure/></testcase>"), "utf-8")
    assert rows(stage, tmp_path)["HDS v2 23"]["state"] == "shown in part"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("controls.json", "no JSON", "controls.json is not what Sceau writes there"),
        ("check.json", "[]", "check.json is not what Sceau writes there"),
        ("smoke.json", '{"format": 1, "stage": "x", "at": ""}', "smoke.json is of stage 'x' and format 1"),
        (
            "deployed.json",
            '{"format": 2, "stage": "local", "at": ""}',
            "deployed.json is of stage 'local' and format 2",
        ),
        ("test.xml", "<a><b></a>", "test.xml is not a JUnit report"),
    ],
)
def test_what_is_not_ours_is_a_sentence(
    name: str, content: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    assert main(["evidence", "--stage", "local", "--found", str(tmp_path), "--tests", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"sceau: {sentence}")
    assert told.count("\n") == 1


def test_a_report_of_tests_fetches_no_entity(tmp_path: Path, stage: Stage) -> None:
    (tmp_path / "secret").write_text("of-the-machine", "utf-8")
    entity = f'<!DOCTYPE a [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
    (tmp_path / "test.xml").write_text(f'{entity}<testsuite name="x" timestamp="t">&e;</testsuite>', "utf-8")
    assert "of-the-machine" not in json.dumps(report(stage, Found("local", tmp_path, tmp_path), NOW))
    (tmp_path / "test.xml").write_text(f'{entity}<testsuite name="&e;" timestamp="t"/>', "utf-8")
    with pytest.raises(SettingsError, match=r"test\.xml is not a JUnit report"):
        Found("local", tmp_path, tmp_path)


def test_the_command_writes_both_and_says_what_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything(tmp_path)
    controls(tmp_path, broken="tls-floor")
    out = tmp_path / "out"
    command = ["evidence", "--stage", "local", "--found", str(tmp_path), "--tests", str(tmp_path), "--out", str(out)]
    assert main(command) == 1
    made = json.loads((out / "evidence.json").read_text("utf-8"))
    assert made["summary"]["broken"] == 2
    assert set(made["summary"]) == set(STATES)
    assert made["unnamed"] == sorted(OWNERS.values())
    assert "2  broken" in capsys.readouterr().out
    controls(tmp_path)
    assert main(command) == 0


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.leads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.leads += [f"{tag} {name}" for name, _ in attrs if name in ("href", "src") or name.startswith("on")]


def test_the_page_tells_each_requirement_and_leads_nowhere(stage: Stage, tmp_path: Path) -> None:
    everything(tmp_path)
    controls(tmp_path, broken="tls-floor")
    text = page(report(stage, Found("local", tmp_path, tmp_path), NOW))
    read = _Page()
    read.feed(text)
    assert read.tags.count("article") == len(REQUIREMENTS)
    assert read.leads == []
    assert "script" not in read.tags
    assert "&lt;it&gt; is open" in text
    assert "<it>" not in text


def test_the_report_s_format_is_the_documented_one(stage: Stage, tmp_path: Path) -> None:
    made = report(stage, Found("local", tmp_path, tmp_path), NOW)
    documented = (ROOT / "docs" / "formats" / "evidence.md").read_text("utf-8")
    row = made["requirements"][4]
    for name in {*made, *row, *row["proofs"][0], *row["owner"], *made["sources"][0]}:
        assert f"`{name}`" in documented, name
    assert made["format"] == 1
    assert json.dumps(made["requirements"][0], ensure_ascii=False) == (
        '{"framework": "HDS v2", "number": "01", "text": "A certified ISO 27001 management system covers all hosting, '
        'contracts and sovereignty", "state": "owner", "proofs": [], "owner": {"role": "Management", "name": null, '
        '"left": "the certificate and its scope"}}'
    )
