"""The bill of materials: CycloneDX 1.6, the same bytes for the same package (no clock, no random number in it).

https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any, Final

from iac.packaging.build import Artefact, Package
from iac.packaging.debian import ARCHITECTURE, SUITE, Deb
from iac.packaging.lock import LEAF, Locked
from iac.packaging.wheels import Wheel

NAME: Final = "sbom.cdx.json"
_NAMESPACE: Final = uuid.UUID("5c0a2f52-1a0e-5d8b-9a53-0d6c1b9a7e11")


def bill_of_materials(package: Package, version: str) -> bytes:
    """Everything that is in a package: what is deployed, the wheels and Debian's packages in it, and who needs whom."""
    wheels = {wheel.package.name: wheel for wheel in package.wheels}
    components = [_artefact(one, version) for one in package.artefacts]
    components += [_wheel(wheel) for wheel in package.wheels]
    components += [_deb(deb) for deb in package.debs]
    root = f"sceau-{package.stage}"
    needs = [{"ref": root, "dependsOn": sorted(one.name for one in package.artefacts)}]
    carried = sorted(
        [_wheel_purl(wheel.package) for wheel in package.wheels] + [_deb_purl(deb) for deb in package.debs]
    )
    for one in package.artefacts:
        carries = one.facts["role"] in ("layer", "image")
        needs.append({"ref": one.name, "dependsOn": carried if carries else []})
    needs += [
        {"ref": _wheel_purl(wheel.package), "dependsOn": [_wheel_purl(one) for one in _needed(wheel, wheels, package)]}
        for wheel in package.wheels
    ]
    digests = "".join(one.sha256 for one in package.artefacts)
    whole = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, package.stage + digests)}",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": root, "name": root, "version": version},
            "lifecycles": [{"phase": "build"}],
        },
        "components": components,
        "dependencies": needs,
    }
    return json.dumps(whole, indent=1, ensure_ascii=True).encode() + b"\n"


def _artefact(one: Artefact, version: str) -> dict[str, Any]:
    return {
        "type": "container" if one.facts["role"] == "image" else "application",
        "bom-ref": one.name,
        "name": f"sceau-{one.name}",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "hashes": [{"alg": "SHA-256", "content": one.sha256}],
    }


def _wheel(wheel: Wheel) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _wheel_purl(wheel.package),
        "name": wheel.package.name,
        "version": wheel.package.version,
        "purl": _wheel_purl(wheel.package),
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
        "properties": [{"name": "sceau:wheel", "value": wheel.file}],
    }
    if wheel.licence:
        component["licenses"] = [{"license": {"name": wheel.licence}}]
    return component


def _deb(deb: Deb) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": _deb_purl(deb),
        "name": deb.name,
        "version": deb.version,
        "purl": _deb_purl(deb),
        "hashes": [{"alg": "SHA-256", "content": deb.sha256}],
    }


def _wheel_purl(package: Locked) -> str:
    return f"pkg:pypi/{package.name}@{package.version}"


def _deb_purl(deb: Deb) -> str:
    version = deb.version.replace(":", "%3A").replace("+", "%2B")
    return f"pkg:deb/debian/{deb.name}@{version}?arch={ARCHITECTURE}&distro={SUITE}"


def _needed(wheel: Wheel, wheels: dict[str, Wheel], package: Package) -> Iterable[Locked]:
    if wheel.package.name == LEAF:
        return []
    return [package.lock[name] for name in sorted(wheels) if wheel.package.name in package.lock[name].via]
