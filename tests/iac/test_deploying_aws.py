"""A judged plan applied to an emulator of AWS: packages under their digests, stacks by change sets, then the looks."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from fixtures import hosted
from fixtures.moto_stacks import lay_out
from fixtures.tools import needed_module
from iac.deploying.__main__ import Work, apply, destroy, work_of
from iac.deploying.errors import DeployRefused
from sceau.keys.ports import KeyName

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Tried to parse:UserWarning")]

REGION = "eu-west-3"
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


class Looks:
    """The commands that look at a stage, and how they end."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.told: list[str | None] = []
        self.fails: set[str] = set()

    def __call__(self, arguments: Sequence[str]) -> int:
        self.asked.append(list(arguments))
        self.told.append(os.environ.get("SCEAU_STAGE__KEY_SERVICE__KEYS"))
        return 1 if arguments[0] in self.fails else 0


def as_a_new_stack(change: Any) -> None:
    """moto makes a change set's resources in another order than a stack's, and forgets its outputs."""
    stack = change.stack
    stack.parameters, stack.template_dict = change.parameters, change.template_dict
    if change.change_set_type == "CREATE":
        stack.resource_map = stack._create_resource_map()
        stack.resource_map.create(change.template_dict)
    else:
        stack.resource_map.update(change.template_dict, change.parameters)
    from moto.cloudformation.parsing import OutputMap

    stack.output_map = OutputMap(stack.resource_map, change.template_dict, change.stack_id)


@pytest.fixture(scope="module")
def cloud() -> Iterator[dict[tuple[str, str], Any]]:
    needed_module("openapi_spec_validator")
    from moto.cloudformation.models import ChangeSet  # it imports that module

    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChangeSet, "apply", as_a_new_stack)
        clients: dict[tuple[str, str], Any] = {}
        s3 = boto3.client("s3", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
        s3.create_bucket(
            Bucket=hosted.aws_settings().artifacts, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield clients


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def work(cloud: dict[tuple[str, str], Any], looks: Looks, tmp_path: Path) -> Work:
    def client(service: str, whose: str, _store: object) -> Any:
        found = cloud.get((service, whose))
        if found is None:
            found = boto3.client(service, region_name=REGION, aws_access_key_id=whose, aws_secret_access_key="x")
            cloud[service, whose] = found
        return found

    made = work_of(lay_out(tmp_path), hosted.AWS)
    return replace(made, client=client, command=looks, now=lambda: NOW, lacking=lambda: iter(()))


def test_it_is_applied_looked_at_changed_and_taken_down(
    work: Work, looks: Looks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply(work) == 0
    told = capsys.readouterr().out
    assert len(re.findall(r"was uploaded", told)) == len(hosted.packages().functions)
    assert re.findall(r"stack dmp-(\w+): made", told) == ["network", "journal", "service"]
    assert [one[:2] for one in looks.asked] == [["stage", "check"], ["smoke", "--stage"], ["evidence", "--stage"]]
    keys = json.loads(looks.told[0] or "{}")
    assert set(keys) == {key.value for key in KeyName}, "whoever checks the stage knows which keys were made"
    assert all(one.startswith("arn:aws:kms:eu-west-3:") for [one] in keys.values())
    assert looks.told[1:] == [None, None]
    shell = subprocess.run(
        [
            "/bin/sh",
            "-c",
            'set -a; . "$0"; printf %s "$SCEAU_STAGE__KEY_SERVICE__KEYS"',
            str(work.folder / "stage.env"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(shell.stdout) == keys
    deployed = json.loads((work.folder / "deployed.json").read_text("utf-8"))
    assert set(deployed["plan"]) == {"network.template.json", "journal.template.json", "service.template.json"}
    stacks = work.of("cloudformation", "service").describe_stacks()["Stacks"]
    assert {one["StackStatus"] for one in stacks} == {"CREATE_COMPLETE"}
    names = {one["FunctionName"] for one in work.of("lambda", "service").list_functions()["Functions"]}
    assert names == {f"dmp-{name}" for name in hosted.functions()}

    assert apply(work) == 0, "safe to repeat"
    assert "was uploaded" not in capsys.readouterr().out

    s3 = work.of("s3", "journal")
    s3.put_object(Bucket="exemple-dmp-events", Key="journal/events/x", Body=b"x")  # moto's stacks lock no bucket
    with pytest.raises(DeployRefused) as refused:
        destroy(work, hosted.AWS)
    said = "bucket exemple-dmp-events holds data"
    assert str(refused.value) == f"stage {hosted.AWS} is not destroyed: {said}"
    assert "journal/events" not in str(refused.value)
    assert len(work.of("cloudformation", "service").describe_stacks()["Stacks"]) == 3, "nothing was touched"


@pytest.mark.parametrize("failing", ["stage", "smoke", "evidence"])
def test_what_does_not_hold_is_told_and_the_evidence_is_made_all_the_same(
    failing: str, work: Work, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iac.deploying.aws.apply", lambda *_: iter(()))
    monkeypatch.setattr("iac.deploying.__main__.made_keys", lambda *_: {})
    looks.fails = {failing}
    with pytest.raises(DeployRefused, match=f"is deployed, and {failing}[a-z ]* did not hold"):
        apply(work)
    assert [one[0] for one in looks.asked] == ["stage", "smoke", "evidence"]


def test_a_secret_that_is_missing_ends_it_before_anything_is_sent(work: Work, looks: Looks) -> None:
    missing = ("stage aws-sample: the deployer's access is missing", "and another")
    before = work.of("cloudformation", "service").describe_stacks()["Stacks"]
    with pytest.raises(DeployRefused, match=r"^stage aws-sample: the deployer's access is missing$"):
        apply(replace(work, lacking=lambda: iter(missing), client=lambda *_: pytest.fail("somebody was asked")))
    assert looks.asked == []
    assert work.of("cloudformation", "service").describe_stacks()["Stacks"] == before


def test_a_package_that_was_exchanged_is_not_uploaded(work: Work, looks: Looks) -> None:
    artefact = json.loads(work.manifest.read_text("utf-8"))["artefacts"][0]
    (work.manifest.parent / artefact["file"]).write_bytes(b"another")
    with pytest.raises(DeployRefused, match="is not what was packaged"):
        apply(work)
    assert looks.asked == []


def test_what_the_host_refuses_is_a_sentence(work: Work) -> None:
    with pytest.raises(DeployRefused, match="AWS refused HeadObject"):
        apply(replace(work, settings=work.settings.model_copy(update={"artifacts": "absent"})))


def test_an_empty_stage_is_taken_down_only_when_told_so(
    work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("iac.deploying.__main__.held", lambda *_: iter(()))
    monkeypatch.setattr(
        "moto.cloudformation.parsing.ResourceMap.delete", lambda _: None
    )  # moto takes a network down in an order it refuses itself
    with pytest.raises(DeployRefused, match="CONFIRM=aws-sample"):
        destroy(work, "")
    stacks = [one["StackName"] for one in work.of("cloudformation", "service").describe_stacks()["Stacks"]]
    assert "dmp-service" in stacks
    assert destroy(work, hosted.AWS) == 0
    left = [one["StackName"] for one in work.of("cloudformation", "service").describe_stacks()["Stacks"]]
    assert left == ["dmp-journal"], "another administrator's"
    assert "stack dmp-service: deleted" in capsys.readouterr().out
