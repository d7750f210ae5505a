"""The compose file and the front's configuration, against the chalicefile: strict, and nothing secret in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from iac.container_host.compose import compose_file
from iac.container_host.front import SECRET, nginx_template
from iac.packaging.image import PORT, USER
from sceau_schemas.deployment import Chalicefile, read_chalicefile

ROOT = Path(__file__).resolve().parents[3]
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture(scope="module")
def file() -> Chalicefile:
    return read_chalicefile(ROOT / "chalicefile")


@pytest.fixture(scope="module")
def compose(file: Chalicefile) -> dict[str, Any]:
    lines = compose_file("hospital", DIGEST, file.functions, file.stages["local"]).splitlines()
    found: dict[str, Any] = json.loads("\n".join(line for line in lines if not line.startswith("#")))
    return found


def test_each_function_is_a_service_of_the_image_by_digest(file: Chalicefile, compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {*file.functions, "front"}
    for name, function in file.functions.items():
        service = compose["services"][name]
        assert service["image"].endswith("@" + DIGEST)
        assert service["mem_limit"] == service["memswap_limit"] == f"{function.memory_mb}m"
        assert service["environment"]["SCEAU_FUNCTION"] == name
        assert service["user"] == f"{USER}:{USER}"
        assert service["env_file"] == [f"./secrets/{name}.env"], "its own credentials, and no other's"


def test_every_service_is_as_strict_as_a_host_can_make_it(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not {"privileged", "cap_add", "devices", "network_mode", "pid"} & set(service)
        assert all(mount.endswith(":ro") for mount in service.get("volumes", ()))
        assert service["user"] not in ("", "0", "root", "0:0")


def test_only_the_front_is_reached_from_outside(compose: dict[str, Any]) -> None:
    assert [name for name, service in compose["services"].items() if "ports" in service] == ["front"]
    assert compose["networks"]["inside"] == {"internal": True}


def test_what_has_routes_is_probed_and_waits_for_the_front_s_secret(file: Chalicefile, compose: dict[str, Any]) -> None:
    for name, function in file.functions.items():
        service = compose["services"][name]
        if function.on_demand:
            assert service["command"] == ["run", name]
            assert service["profiles"] == ["on-demand"], "`up` does not start it"
        elif function.routes:
            assert service["environment"]["SCEAU_TRANSPORT"] == "plain"
            assert service["environment"]["SCEAU_FRONT_SECRET_FILE"] == "/run/secrets/front_secret"
            assert service["environment"]["PORT"] == str(PORT)
            assert service["healthcheck"]["test"][-1] == "probe"
            assert "command" not in service
        else:
            assert service["command"] == ["repeat", name]
            assert "secrets" not in service
    waits = {name for name, function in file.functions.items() if function.routes}
    assert set(compose["services"]["front"]["depends_on"]) == waits


def test_no_secret_stands_in_either_file(file: Chalicefile, compose: dict[str, Any]) -> None:
    template = nginx_template(file.functions, file.stages["local"])
    assert template.count(SECRET) == 1
    for text in (template, json.dumps(compose)):
        assert not re.search(r"(?i)(password|secret_access|token)[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+]{12,}", text)
    assert all("file" in secret for secret in compose["secrets"].values())


def test_every_route_is_in_the_front_s_map_once_and_no_other_is(file: Chalicefile) -> None:
    template = nginx_template(file.functions, file.stages["local"])
    table = template[template.index("$sceau_function {") : template.index("map $uri")]
    found = re.findall(r'^    "(~\^)?([A-Z]+) (\S+?)\$?" (\w+);$', table, re.MULTILINE)
    wanted = {
        (route.method, re.sub(r"\{[a-z_]+\}", "[^/]+", route.path), name)
        for name, function in file.functions.items()
        for route in function.routes
    } | {("POST", "/fhir/", "ingest")}
    assert {(method, path.replace("\\", ""), name) for _, method, path, name in found} == wanted
    assert len(found) == len(wanted)
    assert 'default "";' in table


def test_what_is_logged_holds_no_query_and_no_header(file: Chalicefile) -> None:
    template = nginx_template(file.functions, file.stages["local"])
    logged = template[template.index("log_format") : template.index("limit_req_zone")]
    for variable in ("$request_uri", "$request ", "$args", "$query_string", "$uri", "$http_", "$arg_", "$remote_addr"):
        assert variable not in logged.replace("$request_method", "").replace("$request_time", "")
    assert "error_log /dev/stderr emerg;" in template
