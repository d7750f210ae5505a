"""What is not applied, and what is not destroyed: each ends in one sentence, and nothing was touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from fixtures import hosted
from fixtures.moto_stacks import judged, lay_out
from iac.deploying.__main__ import main
from iac.deploying.acting import as_operations
from iac.deploying.errors import DeployRefused
from iac.deploying.holdings import held
from iac.deploying.reviewed import reviewed

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def planned(root: Path) -> Path:
    return root / "build" / "iac" / hosted.AWS


def spoilt(**more: Any) -> Callable[[Path], None]:
    return lambda root: judged(planned(root), json.loads((planned(root) / "controls.json").read_text())["plan"], **more)


def rewritten(name: str, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (planned(root) / name).write_text(text, "utf-8")

    return change


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "no plan": (
        lambda root: (planned(root) / "controls.json").unlink(),
        "has no plan: run `make plan STAGE=aws-sample`",
    ),
    "no report of controls": (rewritten("controls.json", "{}"), "controls.json is not what `make plan` writes"),
    "a plan of another stage": (spoilt(stage="another"), "is of another stage or format"),
    "a plan of another format": (spoilt(format=2), "is of another stage or format"),
    "a plan that no control looked at": (spoilt(controls=[]), "is of another stage or format"),
    "a control that does not hold": (
        spoilt(controls=[{"name": "encryption", "held": False}]),
        "the control encryption does not hold on this plan",
    ),
    "values that must not be": (spoilt(accepted=False), "holds values that must not be"),
    "a template that was changed since": (
        rewritten("service.template.json", "{}"),
        "service.template.json is not what the controls looked at",
    ),
    "a template that is gone": (
        lambda root: (planned(root) / "network.template.json").unlink(),
        "network.template.json is not what the controls looked at",
    ),
    "no package": (
        lambda root: (root / "build" / "package" / hosted.AWS / "manifest.json").unlink(),
        "is not packaged: run `make package STAGE=aws-sample` first",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_was_not_judged_is_not_applied(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = lay_out(tmp_path)
    spoil, sentence = BAD[name]
    spoil(root)
    assert main(["apply", "--stage", hosted.AWS, "--root", str(root)]) == 1
    told = capsys.readouterr().err
    assert sentence in told
    assert told.startswith("sceau: ")
    assert told.count("\n") == 1


def test_a_plan_that_was_judged_is_taken(tmp_path: Path) -> None:
    assert len(reviewed(planned(lay_out(tmp_path)), hosted.AWS).plan) == 3


@pytest.mark.parametrize("act", ["apply", "destroy"])
@pytest.mark.parametrize(
    ("stage", "sentence"), [("local", "no infrastructure settings"), ("moon", "declares no stage 'moon'")]
)
def test_what_is_not_hosted_is_neither_applied_nor_destroyed(
    act: str, stage: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([act, "--stage", stage, "--root", str(lay_out(tmp_path))]) == 1
    assert sentence in capsys.readouterr().err


class Bucket:
    """One bucket as a client sees it."""

    def __init__(self, versions: Any = (), markers: Any = (), until: datetime | None = None, error: Any = None) -> None:
        self._versions, self._markers, self._until, self._error = versions, markers, until, error

    def list_object_versions(self, **_: Any) -> Any:
        if self._error:
            raise self._error
        return {"Versions": self._versions, "DeleteMarkers": self._markers}

    def get_object_retention(self, **_: Any) -> Any:
        if self._until is None:
            raise ClientError({"Error": {"Code": "NoSuchObjectLockConfiguration"}}, "GetObjectRetention")
        return {"Retention": {"RetainUntilDate": self._until}}


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "ListObjectVersions")


ONE = [{"Key": "records/secret/dossier", "VersionId": "1"}]


@pytest.mark.parametrize(
    ("bucket", "said"),
    [
        (Bucket(), None),
        (Bucket(error=refused("NoSuchBucket")), None),
        (Bucket(ONE), "holds data"),
        (Bucket(markers=ONE), "holds data"),
        (Bucket(ONE, until=datetime(2036, 1, 2, tzinfo=UTC)), "holds data that is locked until 2036-01-02"),
        (Bucket(ONE, until=datetime(2020, 1, 2, tzinfo=UTC)), "holds data"),
        (Bucket(error=refused("AccessDenied")), "can't be looked into (AccessDenied)"),
        (Bucket(error=EndpointConnectionError(endpoint_url="x")), "can't be looked into (EndpointConnectionError)"),
    ],
)
def test_a_bucket_that_holds_anything_or_is_closed_to_us_keeps_its_stage(bucket: Bucket, said: str | None) -> None:
    deployment = hosted.deployment(hosted.AWS)
    found = list(held(deployment, lambda name: bucket if name == "exemple-dmp-log" else Bucket(), NOW))
    assert found == ([f"bucket exemple-dmp-log {said}"] if said else [])


def test_every_bucket_of_the_stage_is_looked_into() -> None:
    deployment = hosted.deployment(hosted.SCALEWAY)
    asked: list[str] = []

    def client(bucket: str) -> Bucket:
        asked.append(bucket)
        return Bucket()

    list(held(deployment, client, NOW))
    assert asked == list(deployment.buckets.names)


def test_a_refusal_is_what_ends_it() -> None:
    with pytest.raises(DeployRefused, match="has no plan"):
        reviewed(Path("/nowhere"), hosted.AWS)


@pytest.mark.parametrize(
    ("own", "seen"),
    [
        ({}, {"AWS_ROLE_ARN": "deployer", "SCW_SECRET_KEY": "s"}),
        ({"SCEAU_OPERATIONS_PROFILE": "operations"}, {"AWS_PROFILE": "operations"}),
        (
            {"SCEAU_OPERATIONS_ACCESS_KEY": "k", "SCEAU_OPERATIONS_SECRET_KEY": "x"},
            {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "x", "SCEAU_SCALEWAY_SECRET_KEY": "x"},
        ),
    ],
    ids=["nobody else", "a profile", "a key"],
)
def test_a_stage_is_checked_as_operations_and_the_deployer_s_access_is_put_away(
    own: dict[str, str], seen: dict[str, str]
) -> None:
    environ = {"AWS_ROLE_ARN": "deployer", "SCW_SECRET_KEY": "s", **own}
    before = dict(environ)
    with as_operations({"SCEAU_STAGE__OWNER": "x"}, environ):
        assert {name: value for name, value in environ.items() if name not in own} == seen | {"SCEAU_STAGE__OWNER": "x"}
    assert environ == before
