"""Attacks on the XML parser: each is refused or harmless, in bounded time and memory, and nothing is ever fetched."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.ports import free_port
from sceau.cli.samples import AUTHORS, PATIENTS, STRUCTURES, make_cda
from sceau.fhir import cda
from sceau.fhir.cda import MAX_BYTES, MAX_MARKUP, CdaError, NotCda, UnsafeXml, check_concerns, read_header
from sceau.fhir.codes import LOINC

PATIENT = PATIENTS["amarante"]
CDA = make_cda(
    "biology",
    patient=PATIENT,
    author=AUTHORS["biologist"],
    structure=STRUCTURES["laboratory"],
    document_id="1.2.250.1.99.1",
    when=datetime(2026, 3, 1, tzinfo=UTC),
)
DECLARATION, _, ROOT = CDA.partition(b"\n")
SECONDS = 2.0  # generous: each takes a few hundredths on one core
SECRET = "le-contenu-d-un-fichier-du-serveur"


def in_body(content: bytes) -> bytes:
    return CDA.replace(b"</structuredBody>", content + b"</structuredBody>", 1)


def with_prolog(prolog: bytes, root: bytes = ROOT) -> bytes:
    return DECLARATION + b"\n" + prolog + root


def refused(data: bytes, error: type[CdaError] = UnsafeXml) -> CdaError:
    start = time.process_time()
    with pytest.raises(error) as caught:
        read_header(data)
    assert time.process_time() - start < SECONDS
    assert SECRET not in str(caught.value)
    return caught.value


def accepted(data: bytes) -> None:
    start = time.process_time()
    header = read_header(data)
    assert time.process_time() - start < SECONDS
    check_concerns(header, PATIENT.ins_system, PATIENT.ins_value, LOINC, "11502-2")


class Listener:
    """A server on the loopback that notes every connection: none may come."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", free_port()))
        self.port: int = self.server.getsockname()[1]
        self.connections = 0
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self.server.accept()
            with connection:
                if connection.recv(4) == b"stop":
                    return
                self.connections += 1

    def stop(self) -> int:
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"stop")
        self.thread.join()
        self.server.close()
        return self.connections


@pytest.fixture
def listener() -> Iterator[Listener]:
    held = Listener()
    yield held
    assert held.stop() == 0, "the parser fetched something"


def test_the_sample_that_the_attacks_start_from_is_accepted() -> None:
    accepted(CDA)
    accepted(in_body(b"<component/>"))


def test_billion_laughs_is_refused() -> None:
    levels = b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 30))
    refused(with_prolog(b'<!DOCTYPE a [<!ENTITY l0 "ha">' + levels + b"]>", ROOT.replace(b"<title>", b"<title>&l29;")))


def test_quadratic_blowup_is_refused() -> None:
    prolog = b'<!DOCTYPE a [<!ENTITY a "' + b"a" * 100_000 + b'">]>'
    refused(with_prolog(prolog, ROOT.replace(b"<title>", b"<title>" + b"&a;" * 10_000)))


@pytest.mark.parametrize(
    "prolog",
    [
        b"<!DOCTYPE ClinicalDocument>",
        b"<!DOCTYPE ClinicalDocument []>",
        b'<!DOCTYPE ClinicalDocument SYSTEM "x.dtd">',
        b'<!DOCTYPE ClinicalDocument PUBLIC "-//x" "x.dtd">',
        b"\n\t<!-- a comment --> <?pi ?>\r\n<!DOCTYPE ClinicalDocument>",
        b"<!-- <a> --><!DOCTYPE ClinicalDocument>",
        b"<!----><!DOCTYPE ClinicalDocument>",
        b'<?xml-stylesheet href="x"?><!DOCTYPE ClinicalDocument>',
        b"<?a <b> ?><!DOCTYPE ClinicalDocument>",
        b"<!doctype ClinicalDocument>",
        b'<!ENTITY a "b">',
    ],
)
def test_a_doctype_is_refused_wherever_it_may_stand(prolog: bytes) -> None:
    refused(with_prolog(prolog))
    refused(prolog.lstrip() + ROOT)
    refused(b"\xef\xbb\xbf" + with_prolog(prolog))


def test_a_doctype_in_cdata_or_a_comment_is_only_text() -> None:
    accepted(in_body(b"<component><![CDATA[<!DOCTYPE html>]]></component>"))
    accepted(with_prolog(b"<!-- <!DOCTYPE a> -->"))


def test_a_doctype_after_the_root_is_not_well_formed() -> None:
    refused(CDA + b"<!DOCTYPE a>", NotCda)


def test_an_external_entity_reads_no_file(tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.write_text(SECRET)
    prolog = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{held.as_uri()}">]>'.encode()
    refused(with_prolog(prolog, ROOT.replace(b"<title>", b"<title>&x;")))
    parameter = f'<!DOCTYPE a [<!ENTITY % x SYSTEM "{held.as_uri()}"> %x;]>'.encode()
    refused(with_prolog(parameter))


def test_nothing_is_fetched(listener: Listener) -> None:
    url = f"http://127.0.0.1:{listener.port}/x"
    for prolog in (
        f'<!DOCTYPE a SYSTEM "{url}">',
        f'<!DOCTYPE a PUBLIC "-//x" "{url}">',
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "{url}">]>',
        f'<!DOCTYPE a [<!ENTITY % x SYSTEM "{url}"> %x;]>',
    ):
        refused(with_prolog(prolog.encode(), ROOT.replace(b"<title>", b"<title>&x;")))
    accepted(with_prolog(f'<?xml-stylesheet type="text/xsl" href="{url}"?>'.encode()))
    accepted(
        in_body(
            f'<component xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{url}"/></component>'.encode()
        )
    )
    accepted(
        CDA.replace(
            b'xmlns="urn:hl7-org:v3"',
            f'xmlns="urn:hl7-org:v3" xsi:schemaLocation="urn:hl7-org:v3 {url}" xml:base="{url}"'.encode(),
            1,
        )
    )


def test_the_listener_would_have_seen_a_fetch() -> None:
    held = Listener()
    with socket.create_connection(("127.0.0.1", held.port)) as one:
        one.sendall(b"GET ")
    assert held.stop() == 1


def test_an_xinclude_reads_no_file(tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.write_text(SECRET)
    include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{held.as_uri()}" parse="text"/>'.encode()
    header = read_header(CDA.replace(b"<title>", b"<title>" + include))
    assert SECRET not in (header.title or "")


def test_stylesheets_and_other_processing_instructions_are_allowed_and_ignored() -> None:
    accepted(with_prolog(b'<?xml-stylesheet type="text/xsl" href="../CDA-FO.xsl"?><?oxygen SCHSchema="x.sch"?>'))
    accepted(CDA.replace(b"<title>", b'<?php system("x") ?><title>'))


def test_an_undeclared_entity_is_not_well_formed() -> None:
    refused(CDA.replace(b"<title>", b"<title>&x;"), NotCda)
    refused(in_body(b'<component a="&x;"/>'), NotCda)


DOCTYPE_TEXT = '<?xml version="1.0"{}?><!DOCTYPE a [<!ENTITY x "y">]>' + ROOT.decode()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "cp037"])
def test_a_doctype_can_not_hide_in_another_encoding(encoding: str) -> None:
    for declared in ("", f' encoding="{encoding}"', ' encoding="UTF-8"'):
        refused(DOCTYPE_TEXT.format(declared).encode(encoding), NotCda if encoding == "cp037" else UnsafeXml)


@pytest.mark.parametrize(
    "name", ["UTF-7", "utf-7", "UTF-16", "UTF-32", "EBCDIC-CP-FR", "ISO-2022-JP", "UTF-8-x", "GB18030"]
)
def test_a_declared_encoding_that_can_hide_markup_is_refused(name: str) -> None:
    refused(CDA.replace(b"UTF-8", name.encode(), 1))
    refused(CDA.replace(b"'UTF-8'", f' \n"{name}"'.encode(), 1))


def test_markup_written_in_utf_7_stays_text() -> None:
    """`+ADw-` is `<` in UTF-7: a reader that guessed UTF-7 would see a DOCTYPE in what we and every other call text."""
    hidden = b"+ADwAIQ-DOCTYPE a+AD4-"
    refused(DECLARATION.replace(b"UTF-8", b"UTF-7") + hidden + ROOT)
    refused(b"+/v8-" + hidden + ROOT, CdaError)
    refused(with_prolog(hidden), NotCda)


def test_were_a_declared_encoding_to_slip_past_us_the_parser_would_not_obey_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cda, "_encoding", lambda data: "utf-8")
    data = CDA.replace(b"UTF-8", b"UTF-7", 1).replace(b"<title>", b"<title>+ADw-", 1)
    assert (read_header(data).title or "").startswith("+ADw-")


def test_a_byte_order_mark_and_another_declared_encoding_is_refused() -> None:
    refused(b"\xef\xbb\xbf" + CDA.replace(b"UTF-8", b"ISO-8859-1", 1))


def test_overlong_and_broken_utf_8_is_not_well_formed() -> None:
    for sequence in (b"\xc0\xbc", b"\xe0\x80\xbc", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x00", b"\x0b", b"\xff"):
        refused(CDA.replace(b"<title>", b"<title>" + sequence), NotCda)


def test_nesting_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        return in_body(b"<component>" * depth + b"</component>" * depth)

    accepted(nested(200))
    refused(nested(300))
    refused(nested(100_000))
    refused(in_body(b"<component>" * 400_000))  # never closed
    refused(b"<a>" * 400_000)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda: b"<component>" + b"A" * 11_000_000 + b"</component>", id="text"),
        pytest.param(lambda: b"<component><![CDATA[" + b"A" * 11_000_000 + b"]]></component>", id="cdata"),
        pytest.param(lambda: b"<!--" + b"A" * 11_000_000 + b"-->", id="comment"),
        pytest.param(lambda: b"<?p " + b"A" * 11_000_000 + b"?>", id="processing instruction"),
        pytest.param(lambda: b'<component a="' + b"A" * 11_000_000 + b'"/>', id="attribute"),
        pytest.param(lambda: b"<" + b"A" * 11_000_000 + b"/>", id="name"),
        pytest.param(lambda: b"<component/>" * (MAX_MARKUP // 2 + 1) * 2, id="many elements"),
        pytest.param(
            lambda: b"<component " + b" ".join(b'a%d=""' % n for n in range(MAX_MARKUP)) + b"/>", id="attributes"
        ),
        pytest.param(lambda: b"A" * MAX_BYTES, id="16 MiB of text"),
    ],
)
def test_what_is_too_large_is_refused(content: Callable[[], bytes]) -> None:
    refused(in_body(content()))


def test_sixteen_mebibytes_of_text_in_pieces_are_read_in_bounded_time() -> None:
    piece = b"<component>" + b"A" * 4_000_000 + b"</component>"
    data = in_body(piece * 4)
    assert 16_000_000 < len(data) < MAX_BYTES
    accepted(data)
    accepted(in_body(b"<component>" + b"&#65;" * 1_000_000 + b"</component>"))


@pytest.mark.parametrize(
    "prolog",
    [
        pytest.param(lambda: b" " * 9_000_000, id="blanks"),
        pytest.param(lambda: b"<?a?>" * 490_000, id="processing instructions"),
        pytest.param(lambda: b"<!---->" * 490_000, id="comments"),
    ],
)
def test_a_long_prolog_costs_little(prolog: Callable[[], bytes]) -> None:
    accepted(with_prolog(prolog()))


def test_a_long_declaration_costs_little() -> None:
    refused(b"<?xml version='1.0' " + b"encoding " * 1_000_000 + b"?>" + ROOT, NotCda)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(
            b"<component " + b" ".join(b'xmlns:a%d="u:%d"' % (n, n) for n in range(100_000)) + b"/>", id="namespaces"
        ),
        pytest.param(b"<component " + b" ".join(b'a%d="x"' % n for n in range(200_000)) + b"/>", id="attributes"),
        pytest.param(b"".join(b"<a%d/>" % n for n in range(200_000)), id="names"),
        pytest.param(b"<component/> " * 240_000, id="elements"),
    ],
)
def test_as_much_markup_as_is_allowed_takes_bounded_time(content: bytes) -> None:
    accepted(in_body(content))


def test_the_worst_that_is_allowed_takes_bounded_memory() -> None:
    """In a process of its own, since a process's peak never goes down."""
    script = """
import resource, sys
from sceau.fhir import cda
from sceau.fhir.cda import MAX_MARKUP, NotCda, read_header
flat = b"<a xmlns='urn:hl7-org:v3'>" + b"<b/> " * (MAX_MARKUP - 4) + b"</a>"
wide = b"<a xmlns='urn:hl7-org:v3' " + b" ".join(b'a%d="x"' % n for n in range(MAX_MARKUP - 4)) + b"/>"
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for data in (flat, wide):
    try:
        read_header(data)
    except NotCda:
        continue
    sys.exit("accepted")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(sys.path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) < 200_000  # kB


def test_duplicate_attributes_and_unbound_prefixes_are_not_well_formed() -> None:
    refused(in_body(b'<component a="1" a="2"/>'), NotCda)
    refused(in_body(b'<component xmlns:a="u" xmlns:b="u" a:x="1" b:x="2"/>'), NotCda)
    refused(in_body(b"<x:component/>"), NotCda)


@pytest.mark.parametrize(
    "prolog",
    [
        '<!DOCTYPE a SYSTEM "{url}">',
        '<!DOCTYPE a PUBLIC "-//x" "{url}">',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "{url}">]>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "{url}"> %p;]>',
    ],
)
def test_were_a_doctype_to_slip_past_us_the_parser_would_read_nothing(
    prolog: str, tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file would break the document if it were read; and whatever is fetched, the listener notes."""
    held = tmp_path / "held"
    held.write_text(f"<!ENTITY {SECRET}")
    monkeypatch.setattr(cda, "_refuse_doctype", lambda data: None)
    for url in (held.as_uri(), str(held), f"http://127.0.0.1:{listener.port}/x"):
        accepted(with_prolog(prolog.replace("{url}", url).encode()))
