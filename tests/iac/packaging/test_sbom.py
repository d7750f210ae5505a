"""The bill of materials: what the standard's own library reads, and every locked thing that is in the package."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from fixtures.packages import Built
from fixtures.project import ROOT
from iac.packaging.sbom import NAME
from iac.packaging.tree import File

pytestmark = pytest.mark.slow


@pytest.fixture(params=["zips", "image"])
def built(request: pytest.FixtureRequest) -> Built:
    one: Built = request.getfixturevalue(request.param)
    return one


@pytest.fixture
def bill(built: Built) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((built.folder / NAME).read_bytes())
    return found


def test_the_standard_s_own_library_takes_it(built: Built, bill: dict[str, Any]) -> None:
    from cyclonedx.model.bom import Bom
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = (built.folder / NAME).read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    reader: Any = Bom  # `from_json` is made by a decorator
    read = reader.from_json(bill)
    assert read.validate()
    assert len(read.components) == len(bill["components"])


def test_each_wheel_is_there_with_the_digest_that_the_lock_file_has(built: Built, bill: dict[str, Any]) -> None:
    lock = (ROOT / "requirements" / "runtime.txt").read_text("utf-8")
    libraries = [one for one in bill["components"] if one.get("purl", "").startswith("pkg:pypi/")]
    assert {one["name"] for one in libraries} == {wheel.package.name for wheel in built.package.wheels}
    for one in libraries:
        assert f"{one['name']}=={one['version']}" in lock
        assert f"sha256:{one['hashes'][0]['content']}" in lock
        assert one.get("licenses"), f"{one['name']} says no licence"


def test_each_debian_package_is_there(built: Built, bill: dict[str, Any]) -> None:
    names = {one["name"] for one in bill["components"] if one.get("purl", "").startswith("pkg:deb/")}
    assert names == {deb.name for deb in built.package.debs}


def test_what_is_deployed_is_there_with_its_digest(built: Built, bill: dict[str, Any]) -> None:
    said = {one["bom-ref"]: one["hashes"][0]["content"] for one in bill["components"]}
    for one in built.package.artefacts:
        assert said[one.name] == one.sha256
        if one.facts["role"] != "image":
            entry = built.files[one.facts["file"]]
            assert isinstance(entry, File)
            assert hashlib.sha256(entry.data).hexdigest() == one.sha256


def test_everything_that_is_carried_hangs_on_what_carries_it(bill: dict[str, Any]) -> None:
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    reached: set[str] = set()
    waiting = [bill["metadata"]["component"]["bom-ref"]]
    while waiting:
        ref = waiting.pop()
        if ref not in reached:
            reached.add(ref)
            waiting += needs.get(ref, [])
    assert {one["bom-ref"] for one in bill["components"]} <= reached
