"""The pipelines for who deploys: the same make targets in both, all there; actions by commit; secrets named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.tools import missing

ROOT = Path(__file__).resolve().parents[2]
GITLAB, GITHUB = ROOT / ".gitlab-ci.yml", ROOT / ".github" / "workflows" / "sceau.yml"
PAGE = ROOT / "docs" / "deploy" / "pipelines.md"
BOTH = pytest.mark.parametrize("path", [GITLAB, GITHUB], ids=["gitlab", "github"])
_MAKE = re.compile(r"\bmake ([a-z0-9-]+)")


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return found


def commands(path: Path) -> dict[str, list[str]]:
    """What each job runs."""
    if path == GITLAB:
        return {name: job["script"] for name, job in read(path).items() if isinstance(job, dict) and "script" in job}
    jobs = read(path)["jobs"]
    return {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}


def targets(path: Path) -> dict[str, list[str]]:
    return {
        name: [target for line in lines for target in _MAKE.findall(line)] for name, lines in commands(path).items()
    }


def test_both_run_the_same_targets_in_the_same_order() -> None:
    assert targets(GITLAB) == targets(GITHUB)
    assert list(targets(GITLAB)) == list(targets(GITHUB))


@BOTH
def test_every_target_is_there(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8") + (ROOT / "iac" / "iac.mk").read_text("utf-8")
    there = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    named = {target for found in targets(path).values() for target in found}
    assert {
        "test",
        "check",
        "scan-secrets",
        "scan-dependencies",
        "package",
        "sign",
        "verify",
        "plan",
        "deploy",
    } <= named
    assert named <= there


@BOTH
def test_the_test_job_has_an_hsm_and_an_s3_server_and_may_skip_what_needs_more(path: Path) -> None:
    assert targets(path)["test"] == ["s3-server", "test", "check"]
    text = path.read_text("utf-8")
    assert "softhsm2" in text
    assert "SCEAU_NO_SKIP" not in text, "the folder beside the project is not in a customer's clone"


def test_only_the_runner_s_own_profile_asks_whether_it_is_ci() -> None:
    asking = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if re.search(r"""environ(\.get\(|\[)["']CI["']""", path.read_text("utf-8"))
    ]
    assert asking == ["tests/conftest.py"], "every pipeline sets it: what must be there is said by SCEAU_NO_SKIP"
    assert "export CI=true SCEAU_NO_SKIP=1" in (ROOT / ".ci" / "run").read_text("utf-8")


@pytest.mark.parametrize(("demanded", "raised"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_a_tool_that_is_missing_skips_its_test_on_ci_unless_none_may_be(
    demanded: str, raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("SCEAU_NO_SKIP", demanded)
    with pytest.raises(raised, match="the tool is not here"):
        missing("the tool is not here")


@BOTH
def test_nothing_is_signed_that_was_not_tested_scanned_and_built_twice(path: Path) -> None:
    job = read(path)["sign"] if path == GITLAB else read(path)["jobs"]["sign"]
    assert set(job["needs"]) == {"test", "scan", "package", "package-again"}
    assert commands(path)["sign"][0] == 'cmp again "build/package/$STAGE/SHA256SUMS"'
    assert job["environment"].split(" ")[0] == "signing"


@BOTH
def test_nothing_is_planned_that_was_not_signed_and_checked(path: Path) -> None:
    job = read(path)["plan"] if path == GITLAB else read(path)["jobs"]["plan"]
    assert job["needs"] == ["sign"]
    assert "$STAGE" in str(job["environment"]) or "vars.STAGE" in str(job["environment"])
    assert targets(path)["plan"] == ["verify", "plan"]


@BOTH
def test_nothing_is_deployed_without_a_person_or_but_what_was_planned(path: Path) -> None:
    job = read(path)["deploy"] if path == GITLAB else read(path)["jobs"]["deploy"]
    assert job["needs"] == ["test", "sign", "plan"]
    assert targets(path)["deploy"] == ["verify", "deploy"]
    assert commands(path)["deploy"][-1] == 'make deploy STAGE="$STAGE" PLANNED=1'
    if path == GITLAB:
        assert job["when"] == "manual"
        assert [rule["when"] for rule in job["rules"]] == ["manual"]
    else:
        assert job["environment"].endswith("-deploy"), "the environment with reviewers, not the one that plans"


def test_where_nothing_is_installed_the_jobs_fetch_terraform_by_its_digest_and_skopeo() -> None:
    jobs = commands(GITHUB)
    [fetch] = [line for line in jobs["plan"] if "releases.hashicorp.com" in line]
    assert fetch in jobs["deploy"]
    version, digest = re.findall(r"terraform_([0-9.]+)_|\b([0-9a-f]{64})\b", fetch)
    assert tuple(map(int, version[0].split("."))) >= (1, 11)
    assert digest[1]
    assert "sha256sum --check" in fetch
    for job in ("plan", "deploy"):
        assert jobs[job].index(fetch) < next(n for n, line in enumerate(jobs[job]) if line.startswith("make"))
    assert any("install -y -qq skopeo" in line for line in jobs["deploy"])
    head = GITLAB.read_text("utf-8").partition("\n\n")[0]
    assert "Terraform" in head
    assert "skopeo" in head


def test_a_plan_travels_without_programs_that_would_no_longer_run() -> None:
    [kept] = [
        step["with"] for step in read(GITHUB)["jobs"]["plan"]["steps"] if "upload-artifact" in step.get("uses", "")
    ]
    assert kept["path"].split() == ["build/iac/", "!build/iac/terraform-plugins/**", "!build/iac/**/.terraform/**"]


@BOTH
def test_the_evidence_is_kept_of_a_deployment_that_did_not_hold_too(path: Path) -> None:
    if path == GITLAB:
        assert read(path)["deploy"]["artifacts"] == {"when": "always", "paths": ["build/iac/"], "expire_in": "10 years"}
    else:
        last = read(path)["jobs"]["deploy"]["steps"][-1]
        assert (last["if"], last["with"]["path"]) == ("${{ !cancelled() }}", "build/iac/")


@BOTH
def test_the_evidence_has_what_the_tests_of_this_commit_showed(path: Path) -> None:
    """From the job that runs them to the one that makes the evidence of its deployment."""
    if path == GITLAB:
        assert read(path)["test"]["artifacts"]["paths"] == ["build/results/"]
        assert "test" in read(path)["deploy"]["needs"]
    else:
        jobs = read(path)["jobs"]
        [kept] = [step["with"] for step in jobs["test"]["steps"] if "upload-artifact" in step.get("uses", "")]
        fetched = [step["with"] for step in jobs["deploy"]["steps"] if "download-artifact" in step.get("uses", "")]
        assert kept["path"] == "build/results/"
        assert {"name": kept["name"], "path": "build/results/"} in fetched
        assert "test" in jobs["deploy"]["needs"]


@BOTH
def test_only_the_deploying_job_asks_for_an_identity(path: Path) -> None:
    if path == GITLAB:
        asking = [name for name, job in read(path).items() if isinstance(job, dict) and "id_tokens" in job]
    else:
        jobs = read(path)["jobs"].items()
        asking = [name for name, job in jobs if "id-token" in job.get("permissions", {})]
        assert read(path)["jobs"]["deploy"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert asking == ["deploy"]


@BOTH
def test_no_failure_is_let_pass(path: Path) -> None:
    text = path.read_text("utf-8")
    for word in ("allow_failure", "continue-on-error", "|| true", "set +e", "--exit-zero", "if: always()"):
        assert word not in text


def test_actions_are_named_by_commit_and_may_write_nothing() -> None:
    text = GITHUB.read_text("utf-8")
    uses = re.findall(r"uses: (\S+)", text)
    assert uses
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", one) for one in uses)
    assert read(GITHUB)["permissions"] == {"contents": "read"}
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")
    assert "pull_request_target" not in text


def test_only_jobs_of_protected_environments_see_a_secret() -> None:
    for name, job in read(GITHUB)["jobs"].items():
        assert ("secrets." in str(job)) == (name in ("sign", "plan", "deploy"))
    assert "secrets." not in str(read(GITHUB)["env"])


@BOTH
def test_no_shell_line_holds_what_somebody_else_wrote(path: Path) -> None:
    for lines in commands(path).values():
        for line in lines:
            assert "${{" not in line, "an expression in a script is filled in before the shell reads it"
            assert "github.event" not in line


def test_every_variable_is_on_the_page() -> None:
    text = GITLAB.read_text("utf-8") + GITHUB.read_text("utf-8")
    named = set(re.findall(r"(?:vars|secrets)\.([A-Z_]+)", text)) | set(re.findall(r"\$([A-Z][A-Z_]+)", text))
    ours = {name for name in named if not name.startswith(("CI_", "RUNNER_", "GITHUB_", "PIP_", "KEY"))}
    page = PAGE.read_text("utf-8")
    assert ours
    assert [name for name in ours if f"`{name}`" not in page] == []
