"""`make plan`: good settings give a plan that every control accepts; bad ones stop it with one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures import hosted
from iac.plan import main

Edit = Callable[[str], str]


def plan(root: Path, stage: str = hosted.AWS) -> int:
    return main(["--root", str(root), "--stage", stage, "--without-state"])


def swap(before: str, after: str) -> Edit:
    def edit(text: str) -> str:
        assert text.count(before) >= 1, before
        head, found, tail = text.rpartition(before)
        return head + found.replace(before, after) + tail

    return edit


def granted(function: str, table: str, line: str) -> Edit:
    """A chalicefile that grants one right more."""

    def edit(text: str) -> str:
        head = f"[functions.{function}.{table}]\n"
        assert head in text
        return text.replace(head, f"{head}{line}\n", 1)

    return edit


def test_a_good_stage_is_planned_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(hosted.write_root(tmp_path, hosted.AWS)) == 0
    out = tmp_path / "build" / "iac" / hosted.AWS
    assert {path.name for path in out.glob("*.template.json")} == {
        "network.template.json",
        "journal.template.json",
        "service.template.json",
    }
    report = json.loads((out / "controls.json").read_text("utf-8"))
    assert report["format"] == 1
    assert len(report["controls"]) == 12
    assert all(control["held"] and control["hds"] for control in report["controls"])
    assert set(report["plan"]) == {path.name for path in out.glob("*.template.json")}
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out.count("held") == 12


def in_a_folder(text: str) -> str:
    head, _, tail = text.partition("[stages.aws-sample.store]")
    _, section, rest = tail.partition("[stages.aws-sample.key_service]")
    return f'{head}[stages.aws-sample.store]\nadapter = "filesystem"\nfolder = "x"\n\n{section}{rest}'


BAD: dict[str, tuple[Edit, str]] = {
    "a region abroad": (
        swap('region = "eu-west-3"\nowner', 'region = "eu-west-1"\nowner'),
        "accepted on French soil only",
    ),
    "a store abroad": (
        swap('region = "eu-west-3"\naddressing', 'region = "eu-central-1"\naddressing'),
        "not known to be on French soil",
    ),
    "traces for too short a time": (
        swap("retention_days = 3653", "retention_days = 365"),
        "retention_days: Input should be greater than or equal to 3653",
    ),
    "no lock": (swap('"journal/events/" = "exemple-dmp-events"\n', ""), "needs a bucket with Object Lock"),
    "the journal among the records": (
        swap('"journal/log/" = "exemple-dmp-log"', '"journal/log/" = "exemple-dmp-log"\n"due/" = "exemple-dmp-log"'),
        "'journal/log/' needs a bucket with Object Lock: its own also holds 'due/'",
    ),
    "objects in a folder": (
        in_a_folder,
        "a hosted stage needs S3 with Object Lock",
    ),
    "one administrator": (
        swap("arn:aws:iam::210987654321:role/journal-administrator", "arn:aws:iam::123456789012:role/deployer"),
        "deployer and journal_administrator are two roles",
    ),
    "nobody to tell": (swap('alert_contacts = ["exploitation@example.fr"]', "alert_contacts = []"), "alert_contacts"),
    "a missing certificate": (
        swap(
            'certificate = "arn:aws:acm:eu-west-3:123456789012:certificate/00000000-0000-4000-8000-000000000001"\n', ""
        ),
        "infrastructure.certificate: Field required",
    ),
    "a certificate of another region": (
        swap(
            "acm:eu-west-3:123456789012:certificate/00000000-0000-4000-8000-000000000001",
            "acm:us-east-1:123456789012:certificate/00000000-0000-4000-8000-000000000001",
        ),
        "infrastructure.certificate",
    ),
    "a secret among the settings": (
        swap("concurrency = 50", 'concurrency = 50\nsecret_key = "x"'),
        "infrastructure.secret_key: no such key is known here",
    ),
    "logs for too short a time": (swap("log_days = 180", "log_days = 30"), "infrastructure.log_days"),
    "keys that are hardly ever rotated": (
        swap("key_rotation_days = 90", "key_rotation_days = 3650"),
        "infrastructure.key_rotation_days",
    ),
    "a body too large for the host": (
        swap("largest_body_bytes = 4194304", "largest_body_bytes = 16777216"),
        "Lambda carries 4194304 bytes at most",
    ),
    "ingest that opens documents": (
        swap('content = ["wrap"]', 'content = ["wrap", "unwrap"]'),
        "it may unwrap key content: a right too many",
    ),
    "a function that deletes events": (
        granted(
            "consent", "store", '"journal/log/" = ["list", "delete"]\n"journal/events/2026-11-23/" = ["list", "delete"]'
        ),
        "it may delete event",
    ),
    "a function that signs tokens": (
        granted("traces", "keys", 'checkpoints = ["sign"]'),
        "it may sign key checkpoints: a right too many",
    ),
    "tools that open dossiers": (
        swap('dossier = ["describe"]', 'dossier = ["describe", "unwrap"]'),
        "it may unwrap key dossier",
    ),
    "a swap of what can't be read": (
        granted("consent", "store", '"due/x" = ["replace"]'),
        "replace on 'due/x' needs read",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_settings_stop_with_one_sentence(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit, sentence = BAD[name]
    assert plan(hosted.write_root(tmp_path, hosted.AWS, edit)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any(sentence in line for line in lines), lines
    assert all(line.startswith("sceau: ") for line in lines), "sentences, and no trace of a stack"


def test_a_stage_that_is_not_packaged_is_not_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hosted.write_root(tmp_path, hosted.SCALEWAY)
    assert plan(tmp_path) == 1
    assert (
        capsys.readouterr().err
        == "sceau: stage aws-sample is not packaged: run `make package STAGE=aws-sample` first\n"
    )


def test_another_stage_s_package_is_not_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = hosted.write_root(tmp_path, hosted.AWS)
    manifest = root / "build" / "package" / hosted.AWS / "manifest.json"
    manifest.write_text(manifest.read_text("utf-8").replace("aws-sample", "another"), "utf-8")
    assert plan(root) == 1
    assert "manifest.json is of stage 'another'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stage", "sentence"), [("local", "no infrastructure settings"), ("moon", "declares no stage 'moon'")]
)
def test_a_stage_without_infrastructure_is_not_planned(
    stage: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hosted.write_root(tmp_path, hosted.AWS)
    assert plan(tmp_path, stage) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.xdist_group("terraform")
def test_a_good_stage_on_scaleway_is_planned_and_judged(
    provider: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del provider
    assert plan(hosted.write_root(tmp_path, hosted.SCALEWAY), hosted.SCALEWAY) == 0
    report = json.loads((tmp_path / "build" / "iac" / hosted.SCALEWAY / "controls.json").read_text("utf-8"))
    assert all(control["held"] for control in report["controls"])
    assert set(report["plan"]) == {"plan.json", "plan.bin"}
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.xdist_group("terraform")
@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (
            swap('content = ["wrap"]', 'content = ["wrap", "unwrap"]'),
            "least-privilege: ingest: it may unwrap key content",
        ),
        (swap('schedule = "rate(1 hour)"', 'schedule = "rate(7 hours)"'), "this host's scheduler can't keep it"),
        (swap('region = "fr-par"\nowner', 'region = "nl-ams"\nowner'), "accepted on French soil only"),
        (swap("33333333-3333-4333-8333-333333333333", "11111111-1111-4111-8111-111111111111"), "are three projects"),
    ],
    ids=["a right too many", "an uneven rate", "Amsterdam", "the trail beside the functions"],
)
def test_bad_settings_of_scaleway_stop_with_one_sentence(
    edit: Edit, sentence: str, provider: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del provider
    assert plan(hosted.write_root(tmp_path, hosted.SCALEWAY, edit), hosted.SCALEWAY) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any(sentence in line for line in lines), lines


@pytest.mark.slow
def test_a_plan_says_that_terraform_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert plan(hosted.write_root(tmp_path, hosted.SCALEWAY), hosted.SCALEWAY) == 1
    assert "terraform is not there: install Terraform 1.11 or newer" in capsys.readouterr().err
