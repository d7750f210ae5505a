from security.https_site import *
import pytest, collections
from concurrent.futures import ThreadPoolExecutor

pytestmark = pytest.mark.xdist_group("security-live")


@pytest.mark.parametrize("n", ["blank", "string", "mixed"])
def test_explore(tmp_path, n) -> None:
    from fixtures.service import live_stage

    with live_stage(tmp_path / "s") as l:
        site = Site(l)
        lab = site.software("laboratory", "system/DocumentReference.crs")
        data = {
            "blank": b" " * 16_000_000 + b"{}",
            "string": b'{"resourceType":"' + b"a" * 16_000_000 + b'"}',
            "mixed": b'{"resourceType":"' + b"a" * 16_000_000 + "\u20ac".encode() + b'"}',
        }[n]
        a = lab.ask("POST", "/fhir", data, FHIR)
        print(n, "one", peak_megabytes(site))

        def go(i):
            h = Holder(site, lab.token, lab.key, "")
            h.nonce = lab.nonce
            return h.ask("POST", "/fhir", data, FHIR).status

        with ThreadPoolExecutor(16) as pool:
            print(list(pool.map(go, range(16))))
        print(n, "16 parallel", peak_megabytes(site))
