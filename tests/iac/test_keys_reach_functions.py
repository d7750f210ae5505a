"""Which keys a stage has, its infrastructure makes and tells: each function that it deploys finds all of them."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fixtures import hosted
from sceau.keys.aws_kms import AwsKmsKeyService
from sceau.keys.ports import KeyName
from sceau.keys.scaleway import ScalewayKeyService
from sceau.keys.scaleway_http import SECRET_KEY_VARIABLE
from sceau.stage import Settings, SettingsError, Stage, load_stage
from sceau_schemas.deployment import ChalicefileError, parse_chalicefile
from sceau_schemas.key_services import AwsKmsKeysSpec, ScalewayKeysSpec

LISTED = {key.value: [str(uuid.UUID(int=number, version=4))] for number, key in enumerate(KeyName, 1)}


def stage_of(environ: Mapping[str, str], root: Path) -> Stage:
    """The stage as a process reads it that has this environment."""
    hosted.write_root(root, hosted.AWS)
    return load_stage(Settings.from_environ({**environ, "SCEAU_CHALICEFILE": str(root / "chalicefile")}))


def deployed_to_aws(function: str) -> dict[str, str]:
    """A function's environment as CloudFormation fills it in."""
    resources = hosted.aws_templates()["service"]["Resources"]
    [found] = [
        one["Properties"]["Environment"]["Variables"]
        for one in resources.values()
        if one["Type"] == "AWS::Lambda::Function" and one["Properties"]["FunctionName"] == f"dmp-{function}"
    ]

    def arn(match: re.Match[str]) -> str:
        assert resources[match[1]]["Type"] == "AWS::KMS::Key"
        return f"arn:aws:kms:eu-west-3:123456789012:key/{uuid.uuid5(uuid.NAMESPACE_OID, match[1])}"

    return {
        name: re.sub(r"\$\{(\w+)\.Arn\}", arn, value["Fn::Sub"]) if isinstance(value, dict) else value
        for name, value in found.items()
    }


@pytest.mark.parametrize("function", hosted.functions())
def test_a_function_on_aws_is_told_a_key_for_each_purpose(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    stage = stage_of(deployed_to_aws(function), tmp_path)
    spec = stage.spec.key_service
    assert isinstance(spec, AwsKmsKeysSpec)
    assert spec.keys is not None
    assert {name: len(keys) for name, keys in spec.keys.items()} == {key.value: 1 for key in KeyName}
    assert isinstance(stage.keys(), AwsKmsKeyService)


@pytest.mark.slow
@pytest.mark.xdist_group("terraform")
def test_a_container_on_scaleway_is_told_a_key_for_each_purpose(
    resources: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET_KEY_VARIABLE, str(uuid.UUID(int=1, version=4)))  # `sceau stage prepare` gives it
    containers = [values for address, values in resources.items() if ".scaleway_container.function[" in address]
    assert {one["name"] for one in containers} == set(hosted.functions())
    for number, values in enumerate(containers):
        root = tmp_path / str(number)
        root.mkdir()
        stage = stage_of(values["environment_variables"], root)
        spec = stage.spec.key_service
        assert isinstance(spec, ScalewayKeysSpec)
        assert spec.keys is not None
        assert {name: len(keys) for name, keys in spec.keys.items()} == {key.value: 1 for key in KeyName}
        assert isinstance(stage.keys(), ScalewayKeyService)


def test_who_lists_the_keys_is_told_nothing_else() -> None:
    data = hosted.data()
    data["stages"][hosted.SCALEWAY]["key_service"]["keys"] = LISTED
    assert hosted.deployment(hosted.SCALEWAY, parse_chalicefile(data)).keys_variable is None
    assert hosted.deployment(hosted.SCALEWAY).keys_variable == "SCEAU_STAGE__KEY_SERVICE__KEYS"


def in_custody() -> dict[str, Any]:
    """The chalicefile with keys in custody: one half made by the stage's infrastructure, the other one listed."""
    data = hosted.data()
    second = {"adapter": "scaleway", "region": "fr-par", "keys": LISTED}
    own = data["stages"][hosted.SCALEWAY]["key_service"]
    data["stages"][hosted.SCALEWAY]["key_service"] = {"adapter": "custody", "first": own, "second": second}
    return data


def test_the_host_s_half_of_custody_is_told_as_that_half() -> None:
    variable = hosted.deployment(hosted.SCALEWAY, parse_chalicefile(in_custody())).keys_variable
    assert variable == "SCEAU_STAGE__KEY_SERVICE__FIRST__KEYS"


def test_a_process_that_is_not_told_does_not_start(tmp_path: Path) -> None:
    stage = stage_of({"SCEAU_STAGE": hosted.AWS}, tmp_path)
    with pytest.raises(SettingsError, match="nobody tells which they are: SCEAU_STAGE__KEY_SERVICE__KEYS is not set"):
        stage.keys()


def test_a_process_of_a_stage_in_custody_says_which_half_it_is_not_told(tmp_path: Path) -> None:
    spec = parse_chalicefile(in_custody()).stages[hosted.SCALEWAY]
    stage = replace(stage_of({"SCEAU_STAGE": hosted.SCALEWAY}, tmp_path), spec=spec)
    with pytest.raises(SettingsError, match="SCEAU_STAGE__KEY_SERVICE__FIRST__KEYS is not set"):
        stage.keys()


def test_keys_that_nobody_makes_are_listed() -> None:
    unlisted = {"adapter": "scaleway", "region": "fr-par"}
    without, another, twice = hosted.data(), hosted.data(), hosted.data()
    del without["stages"][hosted.SCALEWAY]["infrastructure"]
    another["stages"][hosted.AWS]["key_service"] = unlisted
    both = {"adapter": "custody", "first": unlisted, "second": {**unlisted, "secret_key_file": "x"}}
    twice["stages"][hosted.SCALEWAY]["key_service"] = both
    for data in (without, another, twice):
        with pytest.raises(ChalicefileError, match="they are listed, unless the stage's own infrastructure makes them"):
            parse_chalicefile(data)


def test_what_a_purpose_lacks_is_not_filled_in_by_the_environment(tmp_path: Path) -> None:
    environ = deployed_to_aws("ingest")
    keys = json.loads(environ["SCEAU_STAGE__KEY_SERVICE__KEYS"])
    del keys["journal"]
    with pytest.raises(SettingsError, match="missing: journal"):
        stage_of(environ | {"SCEAU_STAGE__KEY_SERVICE__KEYS": json.dumps(keys)}, tmp_path)
