from security.https_site import *
import pytest

pytestmark = pytest.mark.xdist_group("security-live")


def test_explore(site: Site) -> None:
    lab = site.client("laboratory")
    print(lab.nonce)
    h = site.software("laboratory", "system/DocumentReference.crs")
    print(h.nonce, h.get("/fhir/DocumentReference?patient.identifier=x|y").data)
    p = site.patient("dominique")
    print(p.record)
    a = p.get("/fhir/Patient?identifier=urn:oid:1.2.250.1.213.1.4.10|279035121518989")
    print(a.status, a.data, dict(a.headers))
    print(p.get("/fhir/AuditEvent/xyz").data, p.get("/fhir/AuditEvent/xyz").status)
    # duplicates
    path = "/fhir/AuditEvent?date=ge2026-11-23"
    a = p.send("GET", path)
    print("good", a.status, a.data[:200])
    a = p.send("GET", path, proofs=[p.proof("GET", path), p.proof("GET", path)])
    print("two proofs", a.status, a.data, a.headers)
    a = p.send("GET", path, authorization=[f"DPoP {p.token}"] * 2)
    print("two auth", a.status, a.data)
    a = p.send("GET", path, authorization=[f"DPoP {p.token}", "Bearer x"])
    print("two auth", a.status, a.data)
    a = p.send("GET", path, authorization=["Bearer x", f"DPoP {p.token}"])
    print("two auth", a.status, a.data)
    a = p.send("GET", path, headers={"Accept": "application/fhir+json", "Host": "evil.example"})
    print("host", a.status, a.data[:100])
    print(site.event(p.get(path))["agent"])
    print(workers_of(site), peak_megabytes(site))
