"""The same image on any container host: objects on a real S3 server, keys on a PKCS #11 token, or in custody of two.

The image holds no vendor's library: SoftHSM's is mounted, as an HSM vendor's would be, into a root that is read-only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.softhsm import require_softhsm
from fixtures.container import FRONT_SECRET
from fixtures.containers import give, require_runtime, unpack_image
from fixtures.fronts import front, require_nginx
from fixtures.house import House
from fixtures.keys_of_s3 import HOME, as_environment, with_keys
from fixtures.packaged_stage import packaged_stage
from fixtures.packages import Built
from fixtures.project import ROOT
from fixtures.s3_servers import require_server
from sceau.cli.documents import journey_documents
from sceau.cli.journey import Journey
from sceau.cli.local_s3 import s3_of

pytestmark = pytest.mark.slow

TOKEN = {
    "adapter": "pkcs11",
    "module": "libsofthsm2.so",
    "token": "sceau",
    "prefix": "sceau",
    "pin_file": f"{HOME}softhsm/pin",
    "softhsm_configuration": f"{HOME}softhsm/softhsm2.conf",
}
KEYS: dict[str, dict[str, Any]] = {
    "on a token": TOKEN,
    "in custody of a token and a key file": {
        "adapter": "custody",
        "first": TOKEN,
        "second": {"adapter": "local", "file": f"{HOME}keys.json"},
    },
}


@pytest.fixture(scope="module")
def bundle(image: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_runtime()
    return unpack_image(image.folder / "image", tmp_path_factory.mktemp("bundle") / "bundle")


def test_no_vendor_s_library_is_in_the_image(bundle: Path) -> None:
    names = [path.name.lower() for path in (bundle / "rootfs").rglob("*.so*")]
    assert any(name.startswith("libstdc++") for name in names), "vendors' libraries are written in C++"
    assert not [name for name in names if "softhsm" in name or ("pkcs11" in name and not name.startswith("_pkcs11"))]


@pytest.mark.parametrize("keys", KEYS)
def test_the_journey_runs_in_containers_on_s3_and_keys(
    keys: str, bundle: Path, tmp_path: Path, measured: Callable[[str], None]
) -> None:
    require_nginx()
    require_server("versitygw")
    library = require_softhsm().resolve().parent
    chalicefile = with_keys(tmp_path, KEYS[keys])
    with packaged_stage(tmp_path / "stage", "s3", s3_of, chalicefile) as stage:
        give(tmp_path / "stage")
        house = House(bundle, stage, tmp_path, as_environment(KEYS[keys], stage.folder.path), library)
        house.start()
        try:
            with front(stage, house.addresses, tmp_path / "front", FRONT_SECRET):
                journey = Journey(stage.service, journey_documents(ROOT), house.restart, lambda step: None)
                journey.play()
            house.look()
        finally:
            house.end()
    assert len(journey.steps) > 10
    peak = max(house.peaks.values()) // 2**20
    measured(f"keys {keys}, objects on S3: {len(journey.steps)} steps, a container at most {peak} MiB")
