"""`sceau stage prepare` on a stand-in for the host: what is missing is made, what is right is left, nothing leaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.scaleway_host import ScalewayHost
from fixtures import hosted
from sceau.cli.main import main
from sceau.cli.scaleway_api import HostRefused, ScalewayApi
from sceau.cli.scaleway_stage import Wanted, prepare, read_back
from sceau.objects.findings import Finding
from sceau.stage import Stage

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
TOKEN = "11111111-2222-4333-8444-555555555555"
FUNCTIONS = ("authentication", "ingest", "upkeep")
EXPORT = {
    "name": "dmp-trail",
    "bucket": "dmp-trail",
    "region": "fr-par",
    "prefix": "audit-trail/",
    "project_id": "33333333-3333-4333-8333-333333333333",
}


class Clock:
    """The host's and ours."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def host(clock: Clock) -> ScalewayHost:
    rules = [{"id": f"rule-{n}", "name": f"rule {n}", "status": "disabled"} for n in range(5)]
    containers: dict[str, Any] = {f"container-{name}": {} for name in FUNCTIONS}
    return ScalewayHost(clock, TOKEN, rules=rules, containers=containers)


@pytest.fixture
def api(host: ScalewayHost) -> ScalewayApi:
    return ScalewayApi(host, TOKEN)


@pytest.fixture
def wanted() -> Wanted:
    return Wanted(
        stage="prod",
        region="fr-par",
        organization="00000000-0000-4000-8000-000000000000",
        project="11111111-1111-4111-8111-111111111111",
        credential_days=30,
        applications={name: f"application-{name}" for name in (*FUNCTIONS, "operations")},
        containers={name: f"fr-par/container-{name}" for name in FUNCTIONS},
        export=EXPORT,
    )


def lost(findings: Any) -> list[str]:
    return [f"{one.name}: {one.seen}" for one in findings if not one.held]


def test_everything_that_is_missing_is_made(host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock) -> None:
    done = list(prepare(api, wanted, clock))
    assert len(done) == 2 + len(FUNCTIONS)
    [job] = host.jobs
    assert job["s3"] == {name: EXPORT[name] for name in ("bucket", "region", "prefix", "project_id")}
    assert {rule["status"] for rule in host.rules} == {"enabling"}
    for name in FUNCTIONS:
        [key] = [key for key in host.keys if key["application_id"] == f"application-{name}"]
        assert datetime.fromisoformat(key["expires_at"]) == NOW + timedelta(days=30)
        assert host.containers[f"container-{name}"]["secret_environment_variables"] == {
            "AWS_ACCESS_KEY_ID": key["access_key"],
            "AWS_SECRET_ACCESS_KEY": key["secret_key"],
            "SCEAU_SCALEWAY_SECRET_KEY": key["secret_key"],
        }
    assert lost(read_back(api, wanted, clock)) == []


def test_each_function_has_a_key_of_its_own(host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock) -> None:
    list(prepare(api, wanted, clock))
    assert (
        len({key["secret_key"] for key in host.keys})
        == len({key["application_id"] for key in host.keys})
        == len(FUNCTIONS)
    )


def test_what_is_there_is_left(host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock) -> None:
    list(prepare(api, wanted, clock))
    before = json.dumps([host.jobs, host.rules, host.keys, host.containers])
    host.calls.clear()
    assert list(prepare(api, wanted, clock)) == []
    assert json.dumps([host.jobs, host.rules, host.keys, host.containers]) == before
    assert {method for method, _ in host.calls} == {"GET"}


def test_a_key_is_renewed_before_it_ends_and_the_one_before_goes_later(
    host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock
) -> None:
    list(prepare(api, wanted, clock))
    first = {key["application_id"]: key["access_key"] for key in host.keys}
    clock.now += timedelta(days=21)
    assert len(list(prepare(api, wanted, clock))) == len(FUNCTIONS)
    assert len(host.keys) == 2 * len(FUNCTIONS), "the old ones work until every container has the new ones"
    for name in FUNCTIONS:
        given = host.containers[f"container-{name}"]["secret_environment_variables"]["AWS_ACCESS_KEY_ID"]
        assert given != first[f"application-{name}"]
    clock.now += timedelta(hours=1)
    assert len(list(prepare(api, wanted, clock))) == len(FUNCTIONS)
    assert not set(first.values()) & {key["access_key"] for key in host.keys}
    host.jobs[0].update(last_run_at=clock.now.isoformat(), last_status={"code": "success"})
    assert lost(read_back(api, wanted, clock)) == []


def test_another_person_s_key_of_an_application_is_left(
    host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock
) -> None:
    other = {"access_key": "SCWOTHER", "application_id": "application-ingest", "description": "by hand"}
    host.keys.append({**other, "created_at": NOW.isoformat(), "expires_at": NOW.isoformat()})
    list(prepare(api, wanted, clock))
    clock.now += timedelta(days=60)
    list(prepare(api, wanted, clock))
    list(prepare(api, wanted, clock))
    assert "SCWOTHER" in {key["access_key"] for key in host.keys}


def test_a_key_that_no_container_got_is_taken_away(
    host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock
) -> None:
    host.refuses["PATCH", "container-ingest"] = 500
    with pytest.raises(
        HostRefused, match=r"PATCH /containers/v1/regions/fr-par/containers/container-ingest: the host answered 500"
    ):
        list(prepare(api, wanted, clock))
    assert not [key for key in host.keys if key["application_id"] == "application-ingest"]
    host.refuses.clear()
    list(prepare(api, wanted, clock))
    assert lost(read_back(api, wanted, clock)) == []


def test_an_export_that_leads_elsewhere_is_left_and_told(
    host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock
) -> None:
    host.jobs.append({"name": "dmp-trail", "s3": {**EXPORT, "bucket": "elsewhere"}, "created_at": NOW.isoformat()})
    with pytest.raises(HostRefused, match="export job dmp-trail leads elsewhere than to dmp-trail"):
        list(prepare(api, wanted, clock))
    assert [job["s3"]["bucket"] for job in host.jobs] == ["elsewhere"]
    assert lost(read_back(api, wanted, clock))[0] == "the audit trail's export: it leads elsewhere than to dmp-trail"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"last_run_at": (NOW - timedelta(hours=49)).isoformat(), "last_status": {"code": "success"}}, "49 h ago"),
        ({"last_run_at": NOW.isoformat(), "last_status": {"code": "failure"}}, "with failure"),
        ({"last_run_at": None, "created_at": (NOW - timedelta(days=3)).isoformat()}, "has not run yet"),
    ],
)
def test_an_export_that_does_not_run_is_found(
    change: dict[str, Any], sentence: str, host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock
) -> None:
    list(prepare(api, wanted, clock))
    host.jobs[0].update(change)
    assert any(sentence in text for text in lost(read_back(api, wanted, clock)))


def test_a_rule_that_was_switched_off_is_found(
    host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock
) -> None:
    list(prepare(api, wanted, clock))
    host.rules[4]["status"] = "disabled"  # on the last page
    assert lost(read_back(api, wanted, clock)) == ["the audit trail's alert rules: 4 of 5 are on"]


def test_a_key_that_is_about_to_end_or_gone_is_found(
    host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock
) -> None:
    list(prepare(api, wanted, clock))
    clock.now += timedelta(days=26)
    host.jobs[0].update(last_run_at=clock.now.isoformat(), last_status={"code": "success"})
    assert len(lost(read_back(api, wanted, clock))) == len(FUNCTIONS)
    host.keys.clear()
    assert lost(read_back(api, wanted, clock)) == [
        f"API key of {name}: there is none: run `sceau stage prepare`" for name in FUNCTIONS
    ]


def test_each_thing_is_told_by_its_name_and_end(
    host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock
) -> None:
    list(prepare(api, wanted, clock))
    by_hand = {"access_key": "SCWTOOL", "application_id": "application-operations", "description": "by hand"}
    host.keys.append({**by_hand, "created_at": NOW.isoformat(), "expires_at": (NOW + timedelta(days=90)).isoformat()})
    assert [(one.name, one.held, one.seen) for one in read_back(api, wanted, clock)] == [
        ("the audit trail's export", True, "to dmp-trail; it has not run yet"),
        ("the audit trail's alert rules", True, "5 of 5 are on"),
        *((f"API key of {name}", True, "it ends on 2026-12-26, in 30 days") for name in FUNCTIONS),
        ("API keys of operations", True, "1, the last ends on 2027-02-24"),
    ]


@pytest.mark.parametrize(
    ("end", "said"),
    [(None, "1 of 1 have no end date"), ((NOW + timedelta(days=91)).isoformat(), "1, the last ends on 2027-02-25")],
)
def test_a_key_made_by_hand_without_an_end_or_with_a_far_one_is_found(
    end: str | None, said: str, host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock
) -> None:
    list(prepare(api, wanted, clock))
    by_hand = {"access_key": "SCWTOOL", "application_id": "application-operations", "description": "by hand"}
    host.keys.append({**by_hand, "created_at": NOW.isoformat(), "expires_at": end})
    assert lost(read_back(api, wanted, clock)) == [f"API keys of operations: {said}"]


def test_what_the_host_refuses_to_tell_does_not_hold_and_hides_nothing_else(
    host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock
) -> None:
    list(prepare(api, wanted, clock))
    host.refuses["GET", "alert-rules"] = 403
    del host.jobs[0]["created_at"]
    host.keys[0]["expires_at"] = None
    path = "GET /audit-trail/v1alpha1/regions/fr-par/alert-rules"
    assert lost(read_back(api, wanted, clock)) == [
        "the audit trail's export: it could not be read: the host's answer is of another form",
        f"the audit trail's alert rules: it could not be read: {path}: the host answered 403",
        "API key of authentication: it has no end date",
    ]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_a_refusal_of_the_host_is_one_sentence_without_its_text(
    status: int, host: ScalewayHost, api: ScalewayApi, wanted: Wanted, clock: Clock
) -> None:
    host.refuses["GET", "export-jobs"] = status
    with pytest.raises(HostRefused) as refused:
        list(prepare(api, wanted, clock))
    text = str(refused.value)
    assert str(status) in text
    assert "secret" not in text
    assert TOKEN not in text
    assert host.keys == []


def test_outputs_that_are_not_there_or_of_another_form_are_told(tmp_path: Path) -> None:
    path = tmp_path / "outputs.json"
    with pytest.raises(HostRefused, match="is missing: apply the plan"):
        Wanted.read(path, stage="x", region="fr-par", settings=None)
    for content in ("[]", "{", '{"applications": {}}'):
        path.write_text(content, "utf-8")
        with pytest.raises(HostRefused, match=r"outputs\.json is not what `terraform output -json` prints"):
            Wanted.read(path, stage="x", region="fr-par", settings=None)


def test_the_command_needs_the_deployer_s_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hosted.write_root(tmp_path, hosted.SCALEWAY)
    monkeypatch.setenv("SCEAU_CHALICEFILE", str(tmp_path / "chalicefile"))
    monkeypatch.delenv("SCW_SECRET_KEY", raising=False)
    assert main(["stage", "prepare", "--stage", hosted.SCALEWAY]) == 1
    assert "SCW_SECRET_KEY is not set: the deployer's API key is needed" in capsys.readouterr().err


def test_the_command_prepares_and_prints_no_secret(
    host: ScalewayHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hosted.write_root(tmp_path, hosted.SCALEWAY)
    outputs = {
        "applications": {name: f"application-{name}" for name in FUNCTIONS},
        "containers": {name: f"fr-par/container-{name}" for name in FUNCTIONS},
        "trail_export": EXPORT,
    }
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps({name: {"value": value} for name, value in outputs.items()}), "utf-8")
    monkeypatch.setenv("SCEAU_CHALICEFILE", str(tmp_path / "chalicefile"))
    monkeypatch.setenv("SCW_SECRET_KEY", TOKEN)
    monkeypatch.setattr("urllib3.PoolManager", lambda **_: host)
    host.clock = lambda: datetime.now(UTC)
    assert main(["stage", "prepare", "--stage", hosted.SCALEWAY, "--outputs", str(path)]) == 0
    told = capsys.readouterr()
    assert "Stage scaleway-sample is prepared." in told.out
    for secret in [TOKEN, *(key["secret_key"] for key in host.keys)]:
        assert secret not in told.out + told.err
    assert main(["stage", "prepare", "--stage", hosted.SCALEWAY, "--outputs", str(path)]) == 0
    assert "is prepared: it was already." in capsys.readouterr().out


@pytest.fixture
def checking(
    host: ScalewayHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[int, dict[str, Any]]]:
    """Run `sceau stage check` on a prepared stage, as operations; stores and keys are another test's."""
    hosted.write_root(tmp_path, hosted.SCALEWAY)
    outputs = {
        "applications": {name: f"application-{name}" for name in FUNCTIONS},
        "containers": {name: f"fr-par/container-{name}" for name in FUNCTIONS},
        "trail_export": EXPORT,
    }
    path = tmp_path / "build" / "iac" / hosted.SCALEWAY / "outputs.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({name: {"value": value} for name, value in outputs.items()}), "utf-8")
    host.clock = lambda: datetime.now(UTC)
    monkeypatch.setenv("SCEAU_CHALICEFILE", str(tmp_path / "chalicefile"))
    monkeypatch.setenv("SCW_SECRET_KEY", TOKEN)
    monkeypatch.setattr("urllib3.PoolManager", lambda **_: host)
    monkeypatch.setattr(Stage, "properties", lambda *_: iter([Finding("a store", held=True, seen="as it must be")]))
    assert main(["stage", "prepare", "--stage", hosted.SCALEWAY]) == 0
    monkeypatch.delenv("SCW_SECRET_KEY")
    monkeypatch.setenv("SCEAU_SCALEWAY_SECRET_KEY", TOKEN)
    host.calls.clear()

    def check() -> tuple[int, dict[str, Any]]:
        status = main(["stage", "check", hosted.SCALEWAY, "--report", str(tmp_path / "check.json")])
        read: dict[str, Any] = json.loads((tmp_path / "check.json").read_text("utf-8"))
        return status, {one["name"]: one["held"] for one in read["findings"]}

    return check


def test_checking_a_stage_reads_back_what_was_prepared_and_changes_nothing(
    checking: Callable[[], tuple[int, dict[str, Any]]], host: ScalewayHost, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = checking()
    names = ["the audit trail's export", "the audit trail's alert rules", *(f"API key of {name}" for name in FUNCTIONS)]
    assert (status, found) == (0, dict.fromkeys(["a store", *names], True))
    assert {method for method, _ in host.calls} == {"GET"}
    told = capsys.readouterr().out
    assert all(f"holds  {name}" in told for name in names)
    assert TOKEN not in told


def test_checking_a_stage_whose_trail_was_cut_off_fails_and_says_so_in_its_report(
    checking: Callable[[], tuple[int, dict[str, Any]]], host: ScalewayHost, capsys: pytest.CaptureFixture[str]
) -> None:
    host.jobs.clear()
    host.rules[0]["status"] = "disabled"
    status, found = checking()
    assert status == 1
    assert [name for name, held in found.items() if not held] == [
        "the audit trail's export",
        "the audit trail's alert rules",
    ]
    assert "the audit trail's export does not hold: it leads nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda patch, _: patch.delenv("SCEAU_SCALEWAY_SECRET_KEY"), "SCEAU_SCALEWAY_SECRET_KEY does not hold"),
        (lambda _, root: (root / "build" / "iac" / hosted.SCALEWAY / "outputs.json").unlink(), "apply the plan"),
    ],
)
def test_a_check_that_can_not_look_at_the_host_does_not_hold(
    spoil: Callable[[pytest.MonkeyPatch, Path], object],
    said: str,
    checking: Callable[[], tuple[int, dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(monkeypatch, tmp_path)
    assert checking() == (1, {"a store": True, "what `sceau stage prepare` made": False})
    assert said in capsys.readouterr().err


def test_on_aws_there_is_nothing_to_prepare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hosted.write_root(tmp_path, hosted.AWS)
    monkeypatch.setenv("SCEAU_CHALICEFILE", str(tmp_path / "chalicefile"))
    assert main(["stage", "prepare", "--stage", hosted.AWS]) == 0
    assert "Nothing to prepare on host aws" in capsys.readouterr().out
