"""Terraform, really run: format, validation, tests with mocks, a plan without credentials, and what the plan says.

The provider is a stand-in that serves the published schema (tests/iac/provider): the real one is in no registry that
the tests reach. It is stricter than the real one, and what neither checks is checked by iac/scaleway/values.py.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures import hosted
from fixtures.mutations import Line, added, broken
from iac.derive.routes import path_regex
from iac.scaleway import terraform
from iac.scaleway.terraform import SOURCE, TerraformFailed
from iac.scaleway.values import value_findings
from sceau.keys.ports import SIGNING_KEYS, KeyName

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("terraform")]

Resources = dict[str, dict[str, Any]]
DEPRECATED = (
    "scaleway_container_cron",
    "registry_image",
    "memory_limit ",
    "domain_name",
    "http_option",
    "health_check",
)


def kind_of(address: str, _values: Any) -> str:
    return next(part for part in address.split("[", maxsplit=1)[0].split(".") if part.startswith("scaleway_"))


def of(resources: Resources, kind: str) -> Resources:
    return {address: values for address, values in resources.items() if kind_of(address, values) == kind}


def key_of(address: str) -> str:
    return str(re.findall(r'\["(.*)"\]', address)[0])


def test_the_modules_are_formatted(provider: Path) -> None:
    del provider
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", str(SOURCE)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_modules_validate(planned: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = planned
    answer = json.loads(terraform.run(folder, "validate", "-json"))
    assert answer["valid"]
    assert answer["diagnostics"] == [], "nothing deprecated, nothing unknown"


def test_the_modules_own_tests_pass(planned: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = planned
    copied = terraform.copy_to_evaluate(folder)
    shutil.copytree(SOURCE / "tests", copied / "house")
    terraform.run(copied, "init", "-no-color", "-test-directory=house")
    lines = terraform.run(copied, "test", "-json", "-test-directory=house", f"-var-file={terraform.VARIABLES}")
    summary = [json.loads(line) for line in lines.splitlines() if '"test_summary"' in line][-1]["test_summary"]
    assert summary["status"] == "pass"
    assert summary["passed"] >= 5
    assert summary["failed"] + summary["errored"] + summary["skipped"] == 0


def test_a_plan_needs_no_credential_and_makes_everything_new(planned: tuple[Path, dict[str, Any]]) -> None:
    _, plan = planned
    actions = {tuple(change["change"]["actions"]) for change in plan["resource_changes"]}
    assert actions == {("create",)}
    assert {change["mode"] for change in plan["resource_changes"]} == {"managed"}, "nothing is read from the host"


def test_the_same_settings_give_the_same_plan(planned: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    _, plan = planned
    again = terraform.plan(terraform.workspace(tmp_path / "again", hosted.scaleway_variables(), None))
    assert again["resource_changes"] == plan["resource_changes"]


def test_the_values_are_those_that_the_host_takes(resources: Resources) -> None:
    assert list(value_findings(resources)) == []


BAD_VALUES = [
    Line("scaleway_object_bucket", "name", ("a.b", "AB", "x")),
    Line("scaleway_object_bucket_lock_configuration", "rule.*.default_retention.*.mode", ("COMPLIANT", "governance")),
    Line("scaleway_object_bucket_lock_configuration", "rule.*.default_retention.*.days", (-1, 0, None)),
    Line("scaleway_object_bucket_lock_configuration", "rule.*.default_retention.*", (added(years=10),)),
    Line("scaleway_object_bucket_acl", "acl", ("open",)),
    Line(
        "scaleway_object_bucket_server_side_encryption_configuration",
        "rule.*.apply_server_side_encryption_by_default.*.sse_algorithm",
        ("rot13", "aes256"),
    ),
    Line("scaleway_object_bucket_policy", "policy.Version", ("2012-10-17",)),
    Line("scaleway_object_bucket_policy", "policy.Statement.*.Resource", (["arn:aws:s3:::b/*"], ["another/*"])),
    Line(
        "scaleway_object_bucket_policy", "policy.Statement.*.Condition", ({"Bool": {"aws:SecureTransport": "false"}},)
    ),
    Line("scaleway_key_manager_key", "algorithm", ("aes_256_cbc", "rsa_oaep_2048_sha256")),
    Line("scaleway_key_manager_key", "usage", ("asymmetric_encryption", "signing")),
    Line("scaleway_key_manager_key", "rotation_policy.*.rotation_period", ("90d", "1h", "876000h")),
    Line("scaleway_iam_application", "tags.*", ("role:ingest",)),
    Line("scaleway_iam_policy", "rule.*.project_ids", ([], ["project"])),
    Line("scaleway_iam_policy", "rule.*.permission_set_names", ([],)),
    Line("scaleway_iam_policy", "organization_id", ("organisation",)),
    Line("scaleway_container", "memory_limit_bytes", (512, 10**11)),
    Line("scaleway_container", "cpu_limit", (0, 7000)),
    Line("scaleway_container", "timeout", (5, 4000)),
    Line("scaleway_container", "privacy", ("secret", None)),
    Line("scaleway_container", "sandbox", ("v3",)),
    Line("scaleway_container", "environment_variables", (added(PORT="1"), added(SCW_X="1"), added(X="y" * 1001))),
    Line("scaleway_container", "startup_probe.*", (added(tcp=True), added(interval="soon"))),
    Line("scaleway_container_trigger", "cron.*.schedule", ("every hour", "* * * *")),
    Line("scaleway_container_trigger", "cron", ([],)),
    Line("scaleway_container_trigger", "destination_config.*.http_method", ("POST",)),
    Line("scaleway_container_trigger", "destination_config.*.http_path", ("run",)),
    Line("scaleway_edge_services_route_stage", "rule.*.rule_http_match.*.method_filters", (["GET"],)),
    Line("scaleway_edge_services_route_stage", "rule.*.rule_http_match.*.path_filter.*.path_filter_type", ("prefix",)),
    Line("scaleway_edge_services_route_stage", "rule.*.rule_http_match.*.path_filter.*.value", ("(",)),
    Line("scaleway_edge_services_route_stage", "backend_stage_id", (None,)),
    Line("scaleway_edge_services_tls_stage", "managed_certificate", (False,)),
    Line("scaleway_edge_services_tls_stage", "route_stage_id", (None,)),
    Line("scaleway_edge_services_plan", "name", ("free",)),
    Line("scaleway_cockpit_source", "retention_days", (0, 366)),
    Line("scaleway_cockpit_source", "type", ("log",)),
]


def test_a_value_that_the_host_would_not_take_is_found(resources: Resources, counted: Callable[[int], None]) -> None:
    cases, missed = 0, []
    for line in BAD_VALUES:
        before = cases
        for told, changed in broken(resources, kind_of, line):
            cases += 1
            if not list(value_findings(changed)):
                missed.append(told)
        assert cases > before, f"{line.kind} {line.path} leads nowhere"
    assert missed == []
    counted(cases)


def test_a_resource_without_rules_of_ours_is_found() -> None:
    [(address, text)] = value_findings({"scaleway_redis_cluster.x": {}})
    assert "no rule on values is known" in text
    assert address == "scaleway_redis_cluster.x"


# What the stand-in must not let through, since the real provider would not, or will not for long.

BAD_CONFIGURATIONS = {
    "an unknown argument": (
        "modules/keys/main.tf",
        'origin      = "scaleway_kms"',
        'orign = "scaleway_kms"',
        "Unsupported argument",
    ),
    "a missing argument": (
        "modules/keys/main.tf",
        "  usage       = each.value.usage\n",
        "",
        "Missing required argument",
    ),
    "a wrong type": (
        "modules/functions/main.tf",
        "timeout                = each.value.timeout_seconds",
        "timeout = [1]",
        "Incorrect attribute value type",
    ),
    "a deprecated argument": (
        "modules/functions/main.tf",
        "memory_limit_bytes     = each.value.memory_bytes",
        "memory_limit = 1024",
        "is deprecated by the provider",
    ),
    "a deprecated resource": (
        "modules/functions/main.tf",
        'resource "scaleway_container_namespace"',
        'resource "scaleway_container_token" "t" {}\n\nresource "scaleway_container_namespace"',
        "is deprecated by the provider",
    ),
    "two blocks where one may be": (
        "modules/trail/main.tf",
        "  versioning {\n    enabled = true\n  }\n",
        "  versioning {}\n  versioning {}\n",
        "Too many versioning blocks",
    ),
    "something read from the host": (
        "main.tf",
        'module "keys" {',
        'data "scaleway_account_project" "p" {\n  name = "x"\n}\n\nmodule "keys" {',
        "reads nothing",
    ),
    "an image by tag": (
        "modules/functions/main.tf",
        "= var.image",
        "= var.imag",
        "Reference to undeclared input variable",
    ),
}


@pytest.mark.parametrize("name", BAD_CONFIGURATIONS)
def test_the_stand_in_provider_is_strict(name: str, provider: Path, tmp_path: Path) -> None:
    del provider
    path, before, after, refusal = BAD_CONFIGURATIONS[name]
    folder = terraform.workspace(tmp_path / "stage", hosted.scaleway_variables(), None)
    text = (folder / path).read_text("utf-8")
    assert before in text
    (folder / path).write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(TerraformFailed):
        terraform.plan(folder)
    logs = "".join(path.read_text("utf-8") for path in folder.glob("*.log"))
    assert refusal in re.sub(r"[\s│]+", " ", logs)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("region", "nl-ams", "Health data stays on French soil"),
        ("image", "rg.fr-par.scw.cloud/exemple-dmp/sceau:latest", "An image is named by its digest"),
    ],
)
def test_a_variable_that_must_not_be_is_refused(
    variable: str, value: str, sentence: str, provider: Path, tmp_path: Path
) -> None:
    del provider
    folder = terraform.workspace(tmp_path / "stage", {**hosted.scaleway_variables(), variable: value}, None)
    with pytest.raises(TerraformFailed, match=sentence):
        terraform.plan(folder)


# What the plan says, both ways against the chalicefile.


def test_every_function_is_a_private_container_of_its_size(resources: Resources) -> None:
    containers = {values["name"]: values for values in of(resources, "scaleway_container").values()}
    assert set(containers) == set(hosted.functions())
    for name, spec in hosted.functions().items():
        values = containers[name]
        assert values["memory_limit_bytes"] == spec.memory_mb * 1000 * 1000
        assert values["timeout"] >= spec.timeout_seconds
        assert values["privacy"] == "private"
        assert values["environment_variables"]["SCEAU_FUNCTION"] == name
        assert values["min_scale"] == (0 if spec.schedule else 1)
    assert len({values["image"] for values in containers.values()}) == 1


def test_the_front_has_the_routes_of_the_chalicefile_and_no_others(resources: Resources) -> None:
    containers = {values["id"]: values["name"] for values in of(resources, "scaleway_container").values()}
    backends = {
        values["id"]: containers[values["container_backend_config"][0]["container_id"]]
        for values in of(resources, "scaleway_edge_services_backend_stage").values()
    }
    [route_stage] = of(resources, "scaleway_edge_services_route_stage").values()
    rules = {
        (method, match["path_filter"][0]["value"], backends[rule["backend_stage_id"]])
        for rule in route_stage["rule"]
        for match in rule["rule_http_match"]
        for method in match["method_filters"]
    }
    declared = {
        (route.method.lower(), path_regex(route.path), name)
        for name, function in hosted.functions().items()
        for route in function.routes
    }
    assert rules == declared


def test_what_no_route_matches_goes_where_least_can_be_done(resources: Resources) -> None:
    [route_stage] = of(resources, "scaleway_edge_services_route_stage").values()
    backends = {
        values["id"]: key_of(address)
        for address, values in of(resources, "scaleway_edge_services_backend_stage").items()
    }
    unmatched = backends[route_stage["backend_stage_id"]]
    held = {name: sum(map(len, spec.keys.values())) for name, spec in hosted.functions().items() if spec.routes}
    assert held[unmatched] == min(held.values())


def test_scheduled_functions_are_called_at_their_rate(resources: Resources) -> None:
    triggers = {key_of(address): values for address, values in of(resources, "scaleway_container_trigger").items()}
    assert set(triggers) == {name for name, spec in hosted.functions().items() if spec.schedule}
    assert triggers["upkeep"]["cron"][0]["schedule"] == "0 * * * *"
    assert triggers["upkeep"]["destination_config"] == [{"http_method": "post", "http_path": "/run/upkeep"}]


def test_one_key_per_purpose(resources: Resources) -> None:
    keys = {key_of(address): values["usage"] for address, values in of(resources, "scaleway_key_manager_key").items()}
    assert keys == {
        key.value: "asymmetric_signing" if key in SIGNING_KEYS else "symmetric_encryption" for key in KeyName
    }


def test_no_bucket_has_a_rule_that_is_forbidden_for_health_data(resources: Resources) -> None:
    buckets = of(resources, "scaleway_object_bucket")
    assert {values["name"] for values in buckets.values()} == {
        "exemple-dmp-records",
        "exemple-dmp-events",
        "exemple-dmp-log",
        "dmp-trail",
    }
    assert not any(values.get("lifecycle_rule") for values in buckets.values())
    assert "GLACIER" not in "".join(
        path.read_text("utf-8").upper() for path in SOURCE.rglob("*.tf") if "#" not in path.name
    ).replace("NO LIFECYCLE RULE AND NO GLACIER", "")


def test_no_key_of_an_application_passes_through_terraform() -> None:
    code = "\n".join(
        line
        for path in SOURCE.rglob("*.tf")
        for line in path.read_text("utf-8").splitlines()
        if not line.strip().startswith("#")
    )
    assert "scaleway_iam_api_key" not in code
    assert "secret_key" not in code
    assert code.count("secret_environment_variables") == 1, "named once, to be left alone"
    assert not any(word in code for word in DEPRECATED)


def test_the_journal_and_the_trail_are_another_administrator_s(planned: tuple[Path, dict[str, Any]]) -> None:
    _, plan = planned
    modules = plan["configuration"]["root_module"]["module_calls"]
    configuration = plan["configuration"]["provider_config"]
    assert configuration["scaleway.journal"]["expressions"]["profile"] == {"references": ["var.journal_profile"]}
    for name in ("journal", "trail"):
        text = json.dumps(modules[name])
        assert '"provider_config_key": "scaleway.journal"' in text or f'"{name}:scaleway"' in text


def test_an_export_of_the_audit_trail_is_told_to_who_prepares_the_stage(planned: tuple[Path, dict[str, Any]]) -> None:
    _, plan = planned
    assert plan["planned_values"]["outputs"]["trail_export"]["value"] == {
        "name": "dmp-trail",
        "bucket": "dmp-trail",
        "region": "fr-par",
        "prefix": "audit-trail/",
        "project_id": "33333333-3333-4333-8333-333333333333",
    }


def test_no_output_is_a_secret(planned: tuple[Path, dict[str, Any]]) -> None:
    _, plan = planned
    assert set(plan["planned_values"]["outputs"]) == {
        "applications",
        "containers",
        "endpoint",
        "key_ids",
        "trail_export",
    }
    assert not any(output["sensitive"] for output in plan["planned_values"]["outputs"].values())
