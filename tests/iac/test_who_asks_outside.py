"""Whoever asks others can reach them, and nobody else: identity providers, witnesses, a time-stamp authority."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fakes.witness import FakeWitness
from fixtures import hosted
from iac.aws.network import out_of_reach
from iac.aws.templates import templates
from iac.controls.aws import read_plan
from iac.controls.controls import judge
from iac.derive.deployment import Deployment
from iac.plan import main
from sceau_schemas.deployment import parse_chalicefile
from sceau_schemas.log import LogSpec

WITNESS = FakeWitness("w1", lambda: datetime.now(UTC), lambda: ())
POLICY = f"{WITNESS.line}\nquorum w1\n"
STAMPS = {"url": "https://tsa.example/", "every": "day", "certificates": "-----BEGIN CERTIFICATE-----\n"}
LOGS: dict[str, dict[str, Any]] = {
    "nobody": {},
    "witnesses": {"policy": POLICY},
    "an authority": {"timestamps": STAMPS},
}


def with_log(stage: str, log: dict[str, Any]) -> Deployment:
    data = hosted.data()
    data["stages"][stage]["log"] = log
    return hosted.deployment(stage, parse_chalicefile(data))


@pytest.mark.parametrize("who", LOGS)
def test_on_aws_the_journal_has_a_way_out_where_others_vouch_for_the_log(who: str) -> None:
    deployment = with_log(hosted.AWS, LOGS[who])
    made = templates(deployment, hosted.aws_settings(), hosted.packages())
    outward = {
        body["Properties"]["FunctionName"]
        for body in made["service"]["Resources"].values()
        if body["Type"] == "AWS::Lambda::Function" and "Egress" in str(body["Properties"]["VpcConfig"]["SubnetIds"])
    }
    assert outward == {"dmp-authentication"} | ({"dmp-journal"} if LOGS[who] else set())
    assert judge(read_plan(made, deployment, hosted.aws_settings()), deployment) == []


def test_a_port_that_no_function_gets_out_by_stops_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = POLICY.replace("w1.example", "w1.example:8443")

    def edit(text: str) -> str:
        return f"{text}\n[stages.aws-sample.log]\npolicy = '''\n{policy}'''\n"

    root = hosted.write_root(tmp_path, hosted.AWS, edit)
    assert main(["--root", str(root), "--stage", hosted.AWS, "--without-state"]) == 1
    said = "log.policy: witness w1 answers on port 8443: functions on aws get out by port 443 only"
    assert capsys.readouterr().err == f"sceau: stage aws-sample: {said}\n"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://tsa.example:443/", []),
        ("https://tsa.example:80/", ["stage x: log.timestamps answers on port 80: functions on aws get out by 443"]),
        ("https://tsa.example:x/", ["stage x: log.timestamps has an address that can't be read"]),
    ],
)
def test_an_authority_s_port_is_looked_at_too(url: str, said: list[str]) -> None:
    log = LogSpec.model_validate({"timestamps": {**STAMPS, "url": url}})
    assert [one.replace("by port 443 only", "by 443") for one in out_of_reach("x", log)] == said


def test_on_scaleway_no_container_is_in_a_network_of_its_own() -> None:
    """So each gets out: whoever puts containers into one must let the journal out of it."""
    modules = hosted.ROOT / "iac" / "scaleway" / "modules" / "functions"
    assert "private_network_id" not in "".join(path.read_text("utf-8") for path in modules.glob("*.tf"))
