"""Terraform's two providers: the deployer's key never stands in for the journal administrator's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from iac.scaleway import terraform
from iac.scaleway.credentials import for_terraform, profiles

DEPLOYER = {"SCW_ACCESS_KEY": "SCWDEPLOYER", "SCW_SECRET_KEY": "deployer-secret"}
OWN_FILE = "access_key: SCWSOMEBODY\nprofiles:\n  journal: {access_key: SCWJOURNAL, secret_key: journal-secret}\n"


def config(folder: Path, text: str) -> dict[str, str]:
    file = folder / "scw.yaml"
    file.write_text(text)
    return {"SCW_CONFIG_PATH": str(file)}


def as_the_provider_does(environ: dict[str, str], profile: str | None) -> str | None:
    """Whose access key the provider takes: its default, the named profile if there is one, then the environment."""
    read: dict[str, Any] = yaml.safe_load(Path(environ["SCW_CONFIG_PATH"]).read_text())
    found = read.get("access_key")
    found = (read.get("profiles") or {}).get(profile, {}).get("access_key", found)
    key: str | None = environ.get("SCW_ACCESS_KEY", found)
    return key


def test_each_provider_has_its_own_key(tmp_path: Path) -> None:
    user = {**DEPLOYER, **config(tmp_path, OWN_FILE), "PATH": "/bin"}
    assert as_the_provider_does(user, "journal") == "SCWDEPLOYER", "what would be without a care"
    with for_terraform(user) as environ:
        assert as_the_provider_does(environ, None) == "SCWDEPLOYER"
        assert as_the_provider_does(environ, "journal") == "SCWJOURNAL"
        assert environ["PATH"] == "/bin"
        written = Path(environ["SCW_CONFIG_PATH"])
        assert written.parent.stat().st_mode & 0o077 == 0
    assert not written.exists()
    assert not written.parent.exists()


def test_no_project_of_the_user_s_reaches_either_provider(tmp_path: Path) -> None:
    spoilt = {f"SCW_DEFAULT_{name}": "x" for name in ("PROJECT_ID", "ORGANIZATION_ID", "REGION", "ZONE")}
    with for_terraform({**DEPLOYER, **spoilt, **config(tmp_path, OWN_FILE), "SCW_PROFILE": "journal"}) as environ:
        assert [name for name in environ if name.startswith("SCW_")] == ["SCW_CONFIG_PATH"]


@pytest.mark.parametrize(("text", "said"), [("a: [", "it is no YAML"), ("profiles: x", "its profiles are no table")])
def test_a_file_of_profiles_that_is_none_is_told_and_not_quoted(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        profiles(config(tmp_path, text))


def test_without_a_file_there_are_no_profiles(tmp_path: Path) -> None:
    assert profiles({"HOME": str(tmp_path)}) == {}
    assert profiles({"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/nowhere"}) == {}


def test_terraform_is_run_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nprintf \'{"key": "%s", "config": %s}\' "$SCW_ACCESS_KEY" "$(cat "$SCW_CONFIG_PATH")"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for name, value in {**DEPLOYER, **config(tmp_path, OWN_FILE)}.items():
        monkeypatch.setenv(name, value)
    told = json.loads(terraform.run(tmp_path, "version"))
    assert told["key"] == ""
    assert told["config"]["access_key"] == "SCWDEPLOYER"
    assert told["config"]["profiles"]["journal"]["access_key"] == "SCWJOURNAL"
    monkeypatch.setenv("SCW_CONFIG_PATH", config(tmp_path, "a: [")["SCW_CONFIG_PATH"])
    with pytest.raises(terraform.TerraformFailed, match="profiles of Scaleway's tools can't be read: it is no YAML"):
        terraform.run(tmp_path, "version")
