"""Hostile bodies over HTTPS: bombs, polyglots, floods.

Each is refused as the client's mistake; no record changes, nothing is read or fetched for it, the service answers
afterwards, and no process of it ever grew beyond 600 MB.
"""

from __future__ import annotations

import base64
import copy
import gzip
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fixtures.ports import free_port
from sceau.cli import bodies
from sceau.cli.process import port_of
from sceau.cli.samples import STRUCTURES
from sceau.cli.samples.pdf import make_pdf
from security.https_callers import Holder
from security.https_forging import FHIR, FORM, Answer, Json, body_of, refused_call, unique_id
from security.https_site import WHEN, Record, Site, peak_megabytes, unchanged

pytestmark = pytest.mark.xdist_group("security-live")

LIMIT = 16 * 1024 * 1024
MOST_MEGABYTES = 600
CLIENT_MISTAKES = range(400, 500)


@pytest.fixture(scope="module")
def laboratory(site: Site, record: Record) -> Holder:
    return site.software("laboratory", "system/DocumentReference.crs")


@pytest.fixture(scope="module")
def physician(record: Record) -> Holder:
    return record.physician()


@pytest.fixture(autouse=True)
def _the_service_lives_on(site: Site, record: Record) -> Iterator[None]:
    yield
    site.healthy()
    assert peak_megabytes(site) < MOST_MEGABYTES


def simplified(record: Record, data: bytes, content_type: str = "application/xml") -> Json:
    """A publication (ITI-105) of these bytes, else in order."""
    body = bodies.simplified(record.document("hostile", unique_id=unique_id()), patient=record.patient, when=WHEN)
    attachment = body["content"][0]["attachment"]
    attachment.update(data=base64.b64encode(data).decode(), contentType=content_type)
    for name in ("size", "hash"):
        del attachment[name]
    return body


def bundle(record: Record, data: bytes, content_type: str = "application/xml") -> Json:
    """The same as a transaction (ITI-65): the bytes in a Binary."""
    made = bodies.provide_bundle(
        [record.document("hostile", unique_id=unique_id())], patient=record.patient, when=WHEN, set_id=unique_id()
    )
    reference, content = made["entry"][1]["resource"], made["entry"][2]["resource"]
    content.update(data=base64.b64encode(data).decode(), contentType=content_type)
    attachment = reference["content"][0]["attachment"]
    attachment["contentType"] = content_type
    for name in ("size", "hash"):
        del attachment[name]
    return made


def publish(laboratory: Holder, record: Record, data: bytes, content_type: str = "application/xml") -> list[Answer]:
    """What both ways of publishing answer."""
    return [
        laboratory.ask("POST", "/fhir/DocumentReference", simplified(record, data, content_type)),
        laboratory.ask("POST", "/fhir", bundle(record, data, content_type)),
    ]


def test_the_publications_that_the_attacks_change_are_good(laboratory: Holder, record: Record) -> None:
    statuses = [answer.status for answer in publish(laboratory, record, record.document("hostile").data)]
    assert statuses == [201, 200]


# --- XML ------------------------------------------------------------------------------------------------------------


class Listener:
    """A port of this machine that nobody has a reason to connect to."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", free_port()))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.heard = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                self._socket.accept()[0].close()
                self.heard += 1

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.close()


CANARY = "CANARI-5f1c"


def hostile_xml(record: Record, canary: Path, address: str) -> dict[str, bytes]:
    """CDA documents, in order but for what is named."""
    good = record.document("hostile").data
    head, _, rest = good.partition(b"<ClinicalDocument")
    root = b"<ClinicalDocument" + rest

    def with_doctype(doctype: str, reference: str = "&x;") -> bytes:
        return head + doctype.encode() + root.replace(b"<title>", f"<title>{reference}".encode(), 1)

    laughs = "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' for n in range(1, 10))
    file = canary.as_uri()
    return {
        "billion laughs": with_doctype(f'<!DOCTYPE a [<!ENTITY x0 "ha">{laughs}]>', "&x9;"),
        "quadratic": with_doctype(f'<!DOCTYPE a [<!ENTITY x "{"a" * 100_000}">]>', "&x;" * 10_000),
        "an entity that is a file": with_doctype(f'<!DOCTYPE a [<!ENTITY x SYSTEM "{file}">]>'),
        "an entity that is an address": with_doctype(f'<!DOCTYPE a [<!ENTITY x SYSTEM "{address}/x">]>'),
        "a parameter entity": with_doctype(f'<!DOCTYPE a [<!ENTITY % x SYSTEM "{address}/x"> %x;]>', ""),
        "an external subset": with_doctype(f'<!DOCTYPE a SYSTEM "{address}/x.dtd">', ""),
        "an external subset that is a file": with_doctype(f'<!DOCTYPE a SYSTEM "{file}">', ""),
        "a doctype in UTF-16": with_doctype(f'<!DOCTYPE a [<!ENTITY x SYSTEM "{file}">]>').decode().encode("utf-16"),
        "a doctype in UTF-7": b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE a+AD4-' + root,
        "a million tags": head + root.replace(b"<title>", b"<title>" + b"<a/>" * 1_000_000, 1),
        "100,000 levels": head + root.replace(b"<title>", b"<a>" * 100_000 + b"</a>" * 100_000 + b"<title>", 1),
        "one huge attribute": head + root.replace(b"<title>", b'<title x="' + b"a" * 11_000_000 + b'">', 1),
        "another patient": Record(record.site, "basile").document("hostile").data,
        "no CDA": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "HTML": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
    }


XML_NAMES = (
    "billion laughs",
    "quadratic",
    "an entity that is a file",
    "an entity that is an address",
    "a parameter entity",
    "an external subset",
    "an external subset that is a file",
    "a doctype in UTF-16",
    "a doctype in UTF-7",
    "a million tags",
    "100,000 levels",
    "one huge attribute",
    "another patient",
    "no CDA",
    "HTML",
)


@pytest.mark.parametrize("name", XML_NAMES)
def test_hostile_xml_in_a_publication(
    site: Site, laboratory: Holder, record: Record, listener: Listener, tmp_path: Path, name: str
) -> None:
    canary = tmp_path / "canary.txt"
    canary.write_text(CANARY)
    data = hostile_xml(record, canary, listener.address)[name]
    with unchanged(site):
        for answer in publish(laboratory, record, data):
            refused_call(answer, 422)
            assert CANARY.encode() not in answer.data
    assert listener.heard == 0


def test_what_xml_only_points_at_is_not_fetched(
    laboratory: Holder, record: Record, listener: Listener, tmp_path: Path
) -> None:
    """Style sheets, schemas and inclusions are legal, and stay names."""
    canary = tmp_path / "canary.txt"
    canary.write_text(CANARY)
    good = record.document("hostile").data
    head, _, rest = good.partition(b"<ClinicalDocument")
    pointing = (
        head
        + f'<?xml-stylesheet type="text/xsl" href="{listener.address}/x.xsl"?>'.encode()
        + b'<ClinicalDocument xsi:schemaLocation="urn:hl7-org:v3 '
        + listener.address.encode()
        + b'/CDA.xsd" xmlns:xi="http://www.w3.org/2001/XInclude"'
        + rest.replace(b"<title>", f'<title><xi:include parse="text" href="{canary.as_uri()}"/>'.encode(), 1)
    )
    answers = publish(laboratory, record, pointing)
    assert [answer.status for answer in answers] == [201, 200]
    own_id = body_of(answers[0])["id"]
    stored = record.physician().get(f"/fhir/Binary/{own_id}", Accept="application/xml")
    assert stored.data == pointing  # served as it came, not rewritten
    assert listener.heard == 0


def test_the_listener_would_hear(listener: Listener) -> None:
    host, _, port = listener.address.removeprefix("http://").partition(":")
    socket.create_connection((host, int(port))).close()
    for _ in range(100):
        if listener.heard:
            return
        threading.Event().wait(0.02)
    pytest.fail("a connection was not heard")


# --- two things at once ---------------------------------------------------------------------------------------------

PDF = make_pdf("essai")
ZIP = b"PK\x05\x06" + bytes(18)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/pdf", b"<html><script>alert(1)</script></html>\n" + PDF),
        ("application/pdf", PDF + b"<html><script>alert(1)</script></html>"),
        ("application/pdf", PDF + ZIP),
        ("application/pdf", b"MZ" + PDF),
        ("text/plain", PDF),
        ("text/plain", b"<html><script>alert(1)</script></html>"),
        ("text/plain", b"\n\t <!DOCTYPE html><script>alert(1)</script>"),
        ("text/plain", b"<svg onload=alert(1)>"),
        ("text/plain; charset=utf-7", b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-"),
        ("text/html", b"<html></html>"),
        ("image/svg+xml", b"<svg/>"),
        ("application/javascript", b"alert(1)"),
        ("image/png", PNG + b"<script>alert(1)</script>"),
        ("image/jpeg", b"\xff\xd8\xff/*" + b"*/=1;alert(1)//\xff\xd9"),
        ("application/rtf", b"{\\rtf1 x}<script>alert(1)</script>"),
        ("application/fhir+json", b'{"resourceType":"Bundle","type":"document","type":"collection"}'),
        ("application/zip", ZIP),
        ("application/xml, text/html", b"<x/>"),
        ("text/html\r\nX-Injected: 1", b"<x/>"),
        ("application/pdf", b""),
        ("text/plain", bytes(1000)),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:20]),
)
def test_a_document_that_is_not_or_not_only_what_it_says(
    site: Site, laboratory: Holder, record: Record, content_type: str, data: bytes
) -> None:
    with unchanged(site):
        for answer in publish(laboratory, record, data, content_type):
            assert answer.status in (400, 422), answer.data
            refused_call(answer, answer.status)
            assert "X-Injected" not in answer.headers


def test_a_document_is_served_so_that_no_browser_runs_it(record: Record, physician: Holder) -> None:
    own_id = record.publish("served")
    answer = physician.get(f"/fhir/Binary/{own_id}", Accept="text/html, application/xml;q=0.5")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/xml"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["Cache-Control"] == "no-store"


# --- JSON -----------------------------------------------------------------------------------------------------------


LARGE: dict[str, Callable[[], bytes]] = {
    "8 million zeros": lambda: b"[" + b"0," * 8_000_000 + b"0]",
    "3 million objects": lambda: b"[" + b"{}," * 3_000_000 + b"{}]",
    "as many members as are allowed": lambda: b"{" + b",".join(b'"%d":0' % n for n in range(1_000_000)) + b"}",
    "one string of 16 MB": lambda: b'{"resourceType":"' + b"a" * 16_000_000 + b'"}',
    "16 MB of blanks": lambda: b" " * 16_000_000 + b"{}",
    "16 MB of escapes": lambda: b'{"resourceType":"' + b"\\u0041" * 2_700_000 + b'"}',
    "a number of 5 MB": lambda: b'{"resourceType":' + b"9" * 5_000_000 + b"}",
}
SMALL: dict[str, bytes] = {
    "100,000 arrays inside each other": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects inside each other": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep inside a resource": b'{"resourceType":"Bundle","entry":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a proto": b'{"resourceType":"Consent","__proto__":{"status":"active"}}',
    "an array": b"[]",
    "null": b"null",
    "nothing": b"",
    "no JSON": b"\x00" * 1000,
    "XML": b"<Consent/>",
    "cut": b'{"resourceType":"Consent","status":"act',
}
TITLE = b'"title":"'
TWO_READINGS: dict[str, Callable[[bytes], bytes]] = {
    "a name twice": lambda good: good.replace(b"{", b'{"status":"current",', 1),
    "a name twice, once escaped": lambda good: good.replace(b"{", b'{"\\u0073tatus":"current",', 1),
    "a name twice, far inside": lambda good: good.replace(TITLE, b'"title":"another",' + TITLE),
    "two documents": lambda good: good + good,
    "something behind it": lambda good: good + b"x",
    "a comment": lambda good: good.replace(b"{", b"{/*x*/", 1),
    "a byte order mark": lambda good: b"\xef\xbb\xbf" + good,
    "UTF-16": lambda good: good.decode().encode("utf-16"),
    "Latin-1": lambda good: good.replace(TITLE, TITLE + b"\xe9"),
    "overlong UTF-8": lambda good: good.replace(TITLE, TITLE + b"\xc0\xaf"),
    "half a surrogate": lambda good: good.replace(TITLE, TITLE + b"\\ud800"),
    "a zero character": lambda good: good.replace(TITLE, TITLE + b"\\u0000"),
    "a control character": lambda good: good.replace(TITLE, TITLE + b"\\u0007"),
    "a line break": lambda good: good.replace(TITLE, TITLE + b"\n"),
    "NaN": lambda good: _with_number(good, b"NaN"),
    "Infinity": lambda good: _with_number(good, b"Infinity"),
    "a number of 10^400": lambda good: _with_number(good, b"1e400"),
    "a number of 10^999999999": lambda good: _with_number(good, b"1e999999999999999999999"),
    "a number of 5,000 digits": lambda good: _with_number(good, b"9" * 5000),
    "a number with a zero before it": lambda good: _with_number(good, b"01"),
    "null": lambda good: good.replace(TITLE, b'"language":null,' + TITLE),
    "a comma too many": lambda good: good.replace(TITLE, b"," + TITLE),
}


def _with_number(good: bytes, number: bytes) -> bytes:
    return good.replace(b"{", b'{"extension":[{"url":"urn:x","valueDecimal":' + number + b"}],", 1)


@pytest.mark.parametrize("name", LARGE)
def test_a_large_json_bomb(site: Site, laboratory: Holder, name: str) -> None:
    with unchanged(site):
        refused_call(laboratory.ask("POST", "/fhir", LARGE[name](), FHIR), 400)


@pytest.fixture(scope="module")
def patient(record: Record) -> Holder:
    return record.holder()


@pytest.mark.parametrize("name", SMALL)
def test_hostile_json(site: Site, laboratory: Holder, patient: Holder, name: str) -> None:
    callers = {"/fhir": laboratory, "/fhir/DocumentReference": laboratory, "/fhir/Consent": patient}
    with unchanged(site):
        for path, caller in callers.items():
            refused_call(caller.ask("POST", path, SMALL[name], FHIR), 400)


def test_the_body_that_is_made_ambiguous_is_good(laboratory: Holder, record: Record) -> None:
    good = json.dumps(simplified(record, record.document("hostile").data), separators=(",", ":")).encode()
    assert laboratory.ask("POST", "/fhir/DocumentReference", _with_number(good, b"1.50")).status == 201


@pytest.mark.parametrize("name", TWO_READINGS)
def test_a_publication_that_two_readers_would_read_differently(
    site: Site, laboratory: Holder, record: Record, name: str
) -> None:
    good = json.dumps(simplified(record, record.document("hostile").data), separators=(",", ":")).encode()
    bad = TWO_READINGS[name](good)
    assert bad != good
    with unchanged(site):
        refused_call(laboratory.ask("POST", "/fhir/DocumentReference", bad, FHIR), 400)


def test_json_bombs_inside_a_publication(site: Site, laboratory: Holder, record: Record) -> None:
    """Where a resource of the right type has room for anything: extensions, contained resources, parameters."""
    wide = [{"url": f"urn:x:{number}", "valueInteger": number} for number in range(300_000)]
    good = simplified(record, record.document("hostile").data)
    variants: list[bytes] = []
    for name, value in (("extension", [None]), ("contained", [None]), ("identifier", [None])):
        body = copy.deepcopy(good)
        body[name] = value
        shell = json.dumps(body).encode()
        nested = b'{"extension":[' * 5000 + b'{"url":"x"}' + b"]}" * 5000
        variants.append(shell.replace(b"[null]", b"[" + nested + b"]"))
    variants.append(
        json.dumps({**good, "extension": wide, "contained": [{"resourceType": "Patient", "id": "p"}] * 2}).encode()
    )
    with unchanged(site):
        for data in variants:
            answer = laboratory.ask("POST", "/fhir/DocumentReference", data)
            assert answer.status in CLIENT_MISTAKES, answer.data[:200]
            refused_call(answer, answer.status)


# --- too much of everything -----------------------------------------------------------------------------------------


def sent_whole(site: Site, path: str, headers: Iterable[tuple[str, str]], pieces: Iterable[bytes]) -> tuple[int, bytes]:
    """Send a body piece by piece, and read the answer although the server stops listening before the end."""
    context = ssl.create_default_context(cafile=str(site.live.folder.authority))
    connection = http.client.HTTPSConnection("localhost", port_of(site.origin), context=context, timeout=10)
    try:
        connection.putrequest("POST", path)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        with suppress(OSError):
            for piece in pieces:
                connection.send(piece)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path", ["/fhir", "/fhir/DocumentReference", "/fhir/DocumentReference/_search", "/oauth/token"]
)
def test_a_body_of_a_byte_over_the_limit(site: Site, laboratory: Holder, path: str) -> None:
    headers = [*laboratory.headers("POST", path, FHIR).items(), ("Content-Length", str(LIMIT + 1))]
    with unchanged(site):
        status, text = sent_whole(site, path, headers, [b" " * (LIMIT + 1)])
    assert status == 413
    assert str(LIMIT) in json.loads(text)["issue"][0]["diagnostics"]


def test_a_body_of_just_the_limit_is_read(site: Site, laboratory: Holder) -> None:
    with unchanged(site):
        refused_call(laboratory.ask("POST", "/fhir", b" " * LIMIT, FHIR), 400)


def test_a_chunked_body_that_does_not_end(site: Site, laboratory: Holder) -> None:
    """No length is declared: what comes is counted, and the answer does not wait for the rest."""
    headers = [*laboratory.headers("POST", "/fhir", FHIR).items(), ("Transfer-Encoding", "chunked")]
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with unchanged(site):
        status, _ = sent_whole(site, "/fhir", headers, [chunk] * 20)
    assert status == 413


def test_a_body_that_is_declared_larger_than_any_disk(site: Site, laboratory: Holder) -> None:
    sent = laboratory.headers("POST", "/fhir", FHIR)
    lines = ["POST /fhir HTTP/1.1", "Host: localhost", "Content-Length: 10000000000000", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in sent.items()]
    with unchanged(site):
        received = site.raw("\r\n".join([*lines, "", ""]).encode() + b"{")
    assert received.split(b" ", 2)[1] == b"413"


def test_a_compressed_bomb_is_not_unpacked(site: Site, laboratory: Holder) -> None:
    packed = gzip.compress(b" " * 50_000_000, 1)
    with unchanged(site):
        answer = laboratory.ask("POST", "/fhir", packed, {**FHIR, "Content-Encoding": "gzip"})
        assert answer.status in (400, 415)


def test_a_query_of_too_many_parameters(site: Site, physician: Holder) -> None:
    with unchanged(site):
        for number in (41, 201, 2000):
            query = "&".join(f"type=a{n}" for n in range(number))
            answer = physician.ask("GET", f"/fhir/DocumentReference?patient={physician.record}&{query}", None, FHIR)
            assert answer.status in (400, 414)
            form = f"patient={physician.record}&{query}".encode()
            refused_call(physician.ask("POST", "/fhir/DocumentReference/_search", form, FORM), 400)
        alternatives = ",".join("a" for _ in range(1500))
        refused_call(physician.get(f"/fhir/DocumentReference?patient={physician.record}&type={alternatives}"), 400)


@pytest.mark.parametrize(
    "header",
    [
        "".join(f"X-Flood-{number}: {'a' * 100}\r\n" for number in range(2000)),
        f"X-Flood: {'a' * 2_000_000}\r\n",
        "".join("Accept: */*;q=0.1\r\n" for _ in range(2000)),
        f"Cookie: {'a=b; ' * 400_000}\r\n",
    ],
    ids=["many", "long", "one name", "cookies"],
)
def test_a_flood_of_headers(site: Site, physician: Holder, header: str) -> None:
    path = f"/fhir/DocumentReference?patient={physician.record}"
    proof = physician.proof("GET", path)
    start = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: DPoP {physician.token}\r\nDPoP: {proof}\r\n"
    received = b""
    with suppress(OSError):  # it may hang up on us
        received = site.raw((start + header + "Connection: close\r\n\r\n").encode())
    if received:
        assert int(received.split(b" ", 2)[1]) in CLIENT_MISTAKES
    assert b"DocumentReference" not in received


@pytest.mark.parametrize(
    "accept",
    ["a/b," * 1500, "*/*;q=" + "9" * 5000, "application/fhir+json;q=nan", ";;;,,,", "application/fhir+json" * 300],
    ids=["many", "a long weight", "no number", "marks", "long"],
)
def test_a_hostile_accept_header(physician: Holder, accept: str) -> None:
    answer = physician.get(f"/fhir/DocumentReference?patient={physician.record}&_count=1", Accept=accept)
    assert answer.status in (200, 406)


def test_two_lengths_and_two_framings_are_not_both_believed(site: Site, laboratory: Holder) -> None:
    """What an attacker hides behind one framing of the body must not run as a request of its own."""
    hidden = b"GET /healthz/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
    sent = laboratory.headers("POST", "/fhir", FHIR)
    base = "POST /fhir HTTP/1.1\r\nHost: localhost\r\n" + "".join(f"{n}: {v}\r\n" for n, v in sent.items())
    framings = (
        f"Content-Length: 5\r\nContent-Length: {5 + len(hidden)}\r\n\r\n",
        f"Content-Length: {5 + len(hidden)}\r\nContent-Length: 5\r\n\r\n",
        "Content-Length: +5\r\n\r\n",
        "Content-Length: 0x5\r\n\r\n",
        "Content-Length: 5, 6\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n",
    )
    with unchanged(site):
        for framing in framings:
            received = b""
            with suppress(OSError):
                received = site.raw((base + "Connection: close\r\n" + framing).encode() + b"hello" + hidden)
            assert received.count(b"HTTP/1.1 ") <= 1, framing
            assert b" 200 " not in received.partition(b"\r\n")[0]


# --- values that are legal, and would make a record unreadable ------------------------------------------------------

ENDS = [
    ("2020", "9999-12-31"),
    ("2020", "9999"),
    ("2020", "9999-12-31T23:59:59.999Z"),
    ("2020", "9999-12-31T23:59:59-14:00"),
    ("9999-12-31T23:59:59-14:00", None),
    ("9999", "9999"),
    ("0001", "9999"),
    ("1970-01-01T00:00:00+14:00", "2999"),
    (None, "9999-12-31T23:59:59Z"),
]


@pytest.mark.parametrize(("start", "end"), ENDS)
def test_an_authorisation_to_the_ends_of_the_calendar_leaves_the_record_readable(
    site: Site, start: str | None, end: str | None
) -> None:
    record = Record(site, "dune")
    patient = record.holder()
    grant = bodies.consent_grant(record.patient, STRUCTURES["hospital"])
    grant["provision"]["period"] = {name: text for name, text in (("start", start), ("end", end)) if text}
    answer = patient.ask("POST", "/fhir/Consent", grant)
    assert answer.status in (200, 201, 422), answer.data
    assert patient.get("/fhir/Consent").status == 200
    assert record.physician().get(f"/fhir/DocumentReference?patient={patient.record}").status in (200, 403)


def test_documents_from_the_ends_of_the_calendar_leave_the_record_searchable(site: Site, laboratory: Holder) -> None:
    record = Record(site, "dune")
    record.grant("hospital")
    for when in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999999Z"):
        body = simplified(record, record.document("hostile").data)
        body["date"] = body["content"][0]["attachment"]["creation"] = when
        body["context"]["period"] = {"start": when, "end": when}
        answer = laboratory.ask("POST", "/fhir/DocumentReference", body)
        assert answer.status in (201, 400, 422), answer.data
    physician = record.physician()
    for question in (
        "_count=1",
        "_sort=date&_count=1",
        "_sort=-period,creation",
        "date=ap2026",
        "period=ge9999",
        "creation=lt1970",
    ):
        answer = physician.get(f"/fhir/DocumentReference?patient={physician.record}&{question}")
        assert answer.status == 200, question
        for link in body_of(answer)["link"]:
            assert physician.get(link["url"].removeprefix(site.origin)).status == 200
