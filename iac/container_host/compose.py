"""A compose file: the front, one container per function from one image by digest, as strict as a host can make them.

Everything is told by the environment. What belongs to the organisation (secrets, certificate, the stage's credentials)
is named here and stands in files beside the compose file; nothing secret is in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from iac.container_host.front import LISTEN
from iac.container_host.secrets import pin_name, pins
from iac.packaging.image import ENTRYPOINT, PORT, USER
from sceau_schemas.deployment import FunctionSpec, StageSpec
from sceau_schemas.key_services import Pkcs11KeysSpec, services_of

TEMPLATE: Final = "front.conf.template"
COMPOSE: Final = "compose.yaml"
STOP_SECONDS: Final = 40
"""Longer than a container takes to answer what is under way."""

_TMP: Final = "/tmp:size={},mode=1777,noexec,nosuid,nodev"  # noqa: S108 - the container's own

_HEAD: Final = """\
# Made from the chalicefile by `make package`: change that, not this. docs/deploy/container-host.md says how it is used.
# JSON is YAML: what made it wrote it in the one way that needs no library.
"""


def compose_file(stage: str, digest: str, functions: Mapping[str, FunctionSpec], spec: StageSpec) -> str:
    """The file. `SCEAU_IMAGE` and `NGINX_IMAGE` name where the images are; ours is taken by its digest."""
    services = {
        name: _with_hsm(name, _function(stage, digest, name, function), spec) for name, function in functions.items()
    }
    served = [name for name, function in functions.items() if function.routes]
    services["front"] = _front(served, digest)
    whole = {
        "name": f"sceau-{stage}",
        "services": services,
        "networks": {"inside": {"internal": True}, "outside": {}},
        "secrets": {
            "front_secret": {"file": "./secrets/front_secret"},
            "tls_certificate": {"file": "./secrets/tls_certificate.pem"},
            "tls_key": {"file": "./secrets/tls_key.pem"},
            **{
                pin_name(name, pin): {"file": f"./secrets/{pin_name(name, pin)}"}
                for name in functions
                for pin in pins(spec)
            },
        },
    }
    return _HEAD + json.dumps(whole, indent=2) + "\n"


def _common() -> dict[str, Any]:
    return {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "init": False,
    }


def _function(stage: str, digest: str, name: str, function: FunctionSpec) -> dict[str, Any]:
    environment = {"SCEAU_STAGE": stage, "SCEAU_FUNCTION": name}
    service = _common() | {
        "image": "${SCEAU_IMAGE:?where the image was pushed, without a tag}@" + digest,
        "user": f"{USER}:{USER}",
        "env_file": [f"./secrets/{name}.env"],
        "mem_limit": f"{function.memory_mb}m",
        "memswap_limit": f"{function.memory_mb}m",  # what is opened here never rests on a disk
        "pids_limit": 256,
        "tmpfs": [_TMP.format("64m")],
        "stop_grace_period": f"{STOP_SECONDS}s",
        # To the store and the key service; callers reach the front only.
        "networks": ["inside", "outside"] if function.routes else ["outside"],
    }
    if function.on_demand:
        # Not started by `up`: `docker compose run --rm NAME`, while the stage has it switched on.
        service["command"] = ["run", name]
        service["environment"] = environment
        service["profiles"] = ["on-demand"]
        service["restart"] = "no"
        return service
    if not function.routes:
        # The host has no scheduler: the container keeps the rate itself.
        service["command"] = ["repeat", name]
        service["environment"] = environment
        service["stop_grace_period"] = f"{function.timeout_seconds}s"
        return service
    environment |= {
        "SCEAU_TRANSPORT": "plain",
        "SCEAU_FRONT_SECRET_FILE": "/run/secrets/front_secret",
        "PORT": str(PORT),
    }
    probe = ["CMD", *ENTRYPOINT, "probe"]
    return service | {
        "environment": environment,
        "secrets": ["front_secret"],
        "healthcheck": {"test": probe, "interval": "30s", "timeout": "10s", "retries": 3, "start_period": "30s"},
    }


def _with_hsm(name: str, service: dict[str, Any], spec: StageSpec) -> dict[str, Any]:
    """With the HSM vendor's library, and the function's own PIN. The image has no vendor's library."""
    for _, one in services_of(spec.key_service):
        if isinstance(one, Pkcs11KeysSpec) and one.module.is_absolute():
            folder = "${SCEAU_HSM:?the folder of the HSM vendor's library}"
            service["volumes"] = [*service.get("volumes", ()), f"{folder}:{one.module.parent}:ro"]
    for pin in pins(spec):
        entry = {"source": pin_name(name, pin), "target": pin.name}
        service["secrets"] = [*service.get("secrets", ()), entry]
    return service


def _front(served: list[str], digest: str) -> dict[str, Any]:
    return _common() | {
        "image": "${NGINX_IMAGE:?nginx 1.26 or newer, unprivileged, by digest}",
        "user": "101:101",
        "env_file": ["./secrets/front.env"],
        "environment": {
            "NGINX_ENVSUBST_OUTPUT_DIR": "/etc/nginx/conf.d",
            "NGINX_ENVSUBST_FILTER": "SCEAU_FRONT_SECRET",
        },
        "volumes": [f"./{TEMPLATE}:/etc/nginx/templates/default.conf.template:ro"],
        # Bodies wait in memory: in clear, they rest on no disk.
        "tmpfs": ["/etc/nginx/conf.d:uid=101,mode=0700", _TMP.format("1g")],
        "mem_limit": "1280m",
        "memswap_limit": "1280m",
        # It looks the containers' addresses up when it starts: when they are made anew, so is it.
        "labels": {"sceau.image": digest},
        "ports": [f"443:{LISTEN}"],
        "secrets": ["tls_certificate", "tls_key"],
        "depends_on": {name: {"condition": "service_healthy"} for name in served},
        "networks": ["inside", "outside"],
    }
