"""Whether bytes are what their media type says, and only that."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from sceau.cli.samples import AUTHORS, PATIENTS, STRUCTURES, make_cda, make_pdf
from sceau.fhir.cda import CdaError, NotCda, UnsafeXml
from sceau.fhir.media import KINDS, EmptyContent, MediaError, MediaMismatch, UnknownMediaType, check_media

CDA = make_cda(
    "biology",
    patient=PATIENTS["amarante"],
    author=AUTHORS["biologist"],
    structure=STRUCTURES["laboratory"],
    document_id="1.2.250.1.99.1",
    when=datetime(2026, 3, 1, tzinfo=UTC),
)
PDF = make_pdf("Compte rendu (exemple)")
FHIR = json.dumps(
    {
        "resourceType": "Bundle",
        "type": "document",
        "entry": [{"resource": {"resourceType": "Composition"}}, {"resource": {"resourceType": "Patient"}}],
    }
).encode()
RTF = b"{\\rtf1\\ansi Bonjour}\r\n"
TEXT = "Bonjour, reçu à l'hôpital.\n".encode()


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


IHDR = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
PNG = b"\x89PNG\r\n\x1a\n" + IHDR + png_chunk(b"IDAT", zlib.compress(b"\x00\x00")) + png_chunk(b"IEND", b"")
APP0 = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
SOF0 = b"\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00"
SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x37\xff\xd9"
JPEG = b"\xff\xd8" + APP0 + SOF0 + SCAN
TIFF = b"II*\x00" + struct.pack("<IH", 8, 1) + struct.pack("<HHII", 256, 3, 1, 1) + struct.pack("<I", 0)
TIFF_BIG = b"MM\x00*" + struct.pack(">IH", 8, 1) + struct.pack(">HHII", 256, 3, 1, 1 << 16) + struct.pack(">I", 0)

GOOD: dict[str, bytes] = {
    "application/xml": CDA,
    "text/xml": CDA,
    "application/pdf": PDF,
    "application/fhir+json": FHIR,
    "image/jpeg": JPEG,
    "image/png": PNG,
    "image/tiff": TIFF,
    "application/rtf": RTF,
    "text/rtf": RTF,
    "text/plain": TEXT,
}


def refused(declared: str, data: bytes, error: type[Exception] = MediaMismatch) -> None:
    with pytest.raises(error) as caught:
        check_media(declared, data)
    assert "hôpital" not in str(caught.value)


def test_every_accepted_type_has_a_good_example() -> None:
    assert GOOD.keys() == KINDS.keys()
    for declared, data in GOOD.items():
        media = check_media(declared, data)
        assert (media.type, media.kind) == (declared, KINDS[declared])
        assert (media.header is not None) == (media.kind == "cda")


@pytest.mark.parametrize("declared", sorted(GOOD))
@pytest.mark.parametrize("actual", sorted(GOOD))
def test_bytes_of_another_kind_are_refused(declared: str, actual: str) -> None:
    if KINDS[declared] == KINDS[actual] or (declared, actual) == ("text/plain", "application/fhir+json"):
        check_media(declared, GOOD[actual])  # JSON is text, too: it may be called so
    else:
        with pytest.raises((MediaMismatch, CdaError)):
            check_media(declared, GOOD[actual])


@pytest.mark.parametrize(
    ("declared", "normal", "served"),
    [
        ("application/pdf", "application/pdf", "application/pdf"),
        ("Application/PDF", "application/pdf", "application/pdf"),
        ("application/pdf ; x=y", "application/pdf", "application/pdf"),
        ("text/plain", "text/plain", "text/plain; charset=utf-8"),
        ("text/plain;charset=UTF-8", "text/plain", "text/plain; charset=utf-8"),
        ('text/plain; charset="utf-8" ', "text/plain", "text/plain; charset=utf-8"),
        ("application/xml;charset=utf-8", "application/xml", "application/xml"),
        ("application/fhir+json; fhirVersion=4.0", "application/fhir+json", "application/fhir+json"),
    ],
)
def test_parameters_and_letter_case_are_normalised(declared: str, normal: str, served: str) -> None:
    media = check_media(declared, GOOD[normal])
    assert (media.type, media.content_type) == (normal, served)


@pytest.mark.parametrize(
    "declared",
    [
        "",
        "pdf",
        "application/",
        "/pdf",
        "application/pdf;",
        "application/pdf; x",
        "application/pdf, text/plain",
        "application/pdf\r\nX-Injected: 1",
        "application/pdf\n",
        "text/plain; charset=utf-8; charset=iso-8859-1",
        "text/plain; charset=utf-7",
        "text/plain; charset=utf-16",
        "text/plain; charset=rot13",
        "text/html",
        "image/svg+xml",
        "application/json",
        "application/fhir+xml",
        "application/zip",
        "application/octet-stream",
        "application/dicom",
        "*/*",
        "application/pdf" + "; a=b" * 100,
    ],
)
def test_an_unknown_or_malformed_type_is_refused(declared: str) -> None:
    refused(declared, PDF if declared.startswith("application/pdf") else TEXT, UnknownMediaType)


@pytest.mark.parametrize("declared", sorted(GOOD))
@pytest.mark.parametrize("data", [b"", b" ", b"\n\t \r\n", b"\x00" * 10])
def test_empty_content_is_refused(declared: str, data: bytes) -> None:
    refused(declared, data, EmptyContent)


@pytest.mark.parametrize("declared", sorted(GOOD.keys() - {"text/plain"}))
def test_a_truncated_document_is_refused(declared: str) -> None:
    data = GOOD[declared].rstrip()
    for end in {len(data) // 2, len(data) - 1}:
        with pytest.raises((MediaMismatch, CdaError)):
            check_media(declared, data[:end])


@pytest.mark.parametrize("declared", ["application/pdf", "image/jpeg", "image/png", "application/rtf"])
@pytest.mark.parametrize("extra", [b"<script>alert(1)</script>", b"MZ\x90", PDF[:200]])
def test_bytes_appended_to_a_document_are_refused(declared: str, extra: bytes) -> None:
    refused(declared, GOOD[declared] + extra)


@pytest.mark.parametrize("declared", ["application/pdf", "image/jpeg", "image/png", "image/tiff", "application/rtf"])
def test_bytes_before_a_document_are_refused(declared: str) -> None:
    refused(declared, b"GIF89a" + GOOD[declared])
    refused(declared, b"\n" + GOOD[declared])


def archive(comment: bytes = b"") -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        made.writestr("payload.exe", b"MZ")
        made.comment = comment
    return held.getvalue()


@pytest.mark.parametrize("declared", sorted(GOOD))
def test_a_document_that_is_also_an_archive_is_refused(declared: str) -> None:
    both = GOOD[declared] + archive()
    assert zipfile.is_zipfile(io.BytesIO(both))
    with pytest.raises(MediaMismatch, match="ZIP"):
        check_media(declared, both)


def test_a_pdf_that_hides_an_archive_behind_its_trailer_as_a_comment_is_refused() -> None:
    both = archive(comment=b"%%EOF")
    polyglot = PDF[: PDF.rindex(b"%%EOF")] + both
    assert zipfile.is_zipfile(io.BytesIO(polyglot))
    assert polyglot.endswith(b"%%EOF")
    with pytest.raises(MediaMismatch, match="ZIP"):
        check_media("application/pdf", polyglot)


@pytest.mark.parametrize(
    ("declared", "data"),
    [
        ("application/xml", CDA.replace(b"?>", b"?><!-- %PDF-1.4 -->", 1)),
        ("text/plain", b"%PDF-1.4 is how it starts"),
        ("application/rtf", b"{\\rtf1 %PDF-1.4}"),
        ("image/jpeg", b"\xff\xd8" + b"\xff\xfe\x00\x0a%PDF-1.4" + SOF0 + SCAN),
        ("image/png", PNG[:8] + IHDR + png_chunk(b"tEXt", b"%PDF-1.4") + PNG[8 + len(IHDR) :]),
        ("application/fhir+json", FHIR.replace(b"{", b'{"x": "%PDF-1.4", ', 1)),
    ],
)
def test_a_document_that_is_also_a_pdf_is_refused(declared: str, data: bytes) -> None:
    with pytest.raises(MediaMismatch, match="PDF"):
        check_media(declared, data)


@pytest.mark.parametrize(
    "data",
    [
        PDF.replace(b"%PDF-1.4", b"%PDF-9.4"),
        PDF.replace(b"%PDF-1.4", b"%PDF-x.y"),
        PDF.replace(b"startxref", b"startyref"),
        b"%PDF-1.4\n%%EOF",
    ],
)
def test_a_file_that_only_looks_like_a_pdf_is_refused(data: bytes) -> None:
    refused("application/pdf", data)


def test_a_pdf_may_end_with_blanks_and_be_large() -> None:
    check_media("application/pdf", PDF + b"\r\n \x00")
    large = make_pdf("grand", size=300_000)
    assert 300_000 <= len(large) < 301_000
    check_media("application/pdf", large)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + APP0 + SCAN,  # no frame
        b"\xff\xd8" + SOF0 + b"\x00" + SCAN,  # a segment that isn't where the one before says
        b"\xff\xd8" + SOF0 + b"\xff\xfe\x00\x01" + SCAN,  # a length below its own size
        b"\xff\xd8" + SOF0 + SCAN[:-1] + b"\xda",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + SOF0 + b"\xff\xfe\xff\xff",
        b"\xff\xd8\xff" + b"\xff" * 300_000,
    ],
)
def test_a_file_that_only_looks_like_a_jpeg_is_refused(data: bytes) -> None:
    refused("image/jpeg", data)


def test_a_jpeg_with_fill_bytes_and_padding_is_one() -> None:
    check_media("image/jpeg", b"\xff\xd8" + APP0 + b"\xff\xff" + SOF0 + SCAN + b"\x00\x00")


@pytest.mark.parametrize(
    "data",
    [
        PNG[:8] + PNG[8 + len(IHDR) :],  # IHDR isn't first
        PNG[:-12],  # no end
        PNG + b"\x00",
        PNG[:8] + b"\x7f" + PNG[9:],  # a chunk longer than the file
        PNG[:8] + IHDR + png_chunk(b"tEXt", b"") * 100_001 + png_chunk(b"IEND", b""),
    ],
)
def test_a_file_that_only_looks_like_a_png_is_refused(data: bytes) -> None:
    refused("image/png", data)


@pytest.mark.parametrize(
    "data",
    [
        b"II*\x00",
        b"II*\x00" + struct.pack("<I", 4) + bytes(100),  # the directory inside the header
        b"II*\x00" + struct.pack("<I", 10_000) + TIFF[8:],
        b"II*\x00" + struct.pack("<IH", 8, 0) + b"\x01" * 40,  # no entry
        b"II*\x00" + struct.pack("<IH", 8, 9) + TIFF[10:],  # entries beyond the end
        b"II+\x00" + TIFF[4:],  # BigTIFF
        b"MM*\x00" + TIFF[4:],
    ],
)
def test_a_file_that_only_looks_like_a_tiff_is_refused(data: bytes) -> None:
    refused("image/tiff", data)


def test_a_tiff_may_have_either_byte_order() -> None:
    assert check_media("image/tiff", TIFF_BIG).kind == "tiff"


@pytest.mark.parametrize("data", [b"{\\rtf1 never closed", b"\\rtf1 }", b"{\\rtx1 x}"])
def test_a_file_that_only_looks_like_an_rtf_is_refused(data: bytes) -> None:
    refused("application/rtf", data)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b"null",
        b'"Bundle"',
        FHIR.replace(b'"document"', b'"transaction"'),
        FHIR.replace(b'"Bundle"', b'"bundle"'),
        FHIR.replace(b'"Composition"', b'"Patient"'),
        b'{"resourceType": "Bundle", "type": "document"}',
        b'{"resourceType": "Bundle", "type": "document", "entry": []}',
        b'{"resourceType": "Bundle", "type": "document", "entry": {}}',
        b'{"resourceType": "Bundle", "type": "document", "entry": [{"resource": []}]}',
        FHIR.replace(b'"type"', b'"type": "transaction", "type"'),  # two readings
        FHIR.replace(b"{", b'{"x": NaN, ', 1),
        FHIR + b" x",
        b"\xef\xbb\xbf" + FHIR,
        FHIR.decode().encode("utf-16"),
        FHIR.replace(b"Patient", b"\xff"),
        FHIR[:-1] + b', "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        FHIR[:-1] + b', "number": ' + b"9" * 10_000 + b"}",
    ],
)
def test_json_that_is_no_fhir_document_is_refused(data: bytes) -> None:
    refused("application/fhir+json", data)


def test_json_of_too_many_values_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(MediaMismatch, match="values"):
        check_media("application/fhir+json", b"[" + b"{}," * 600_000 + b"{}]")


@pytest.mark.parametrize("charset", ["utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252"])
def test_text_is_read_in_its_charset(charset: str) -> None:
    text = "Bonjour" if charset == "us-ascii" else "Reçu à l'hôpital"
    media = check_media(f"text/plain; charset={charset}", text.encode(charset))
    assert media.charset == charset


def test_text_in_another_charset_than_declared_is_refused() -> None:
    refused("text/plain", "Reçu à l'hôpital".encode("iso-8859-1"))
    refused("text/plain; charset=us-ascii", TEXT)
    refused("text/plain; charset=windows-1252", b"a\x81b")


@pytest.mark.parametrize(
    "data",
    [
        b"a\x00b",
        b"a\x1b[2Jb",
        b"a\x07",
        b"a\x7f",
        "a".encode("utf-16"),
        b"<html><script>alert(1)</script></html>",
        b"  \n<!DOCTYPE html>",
        b"\xef\xbb\xbf <SCRIPT>",
        b"<?xml version='1.0'?><a/>",
        b"{\\rtf1 x}",
    ],
)
def test_text_with_control_characters_or_that_is_markup_is_refused(data: bytes) -> None:
    refused("text/plain", data)


def test_text_may_have_lines_tabs_pages_and_a_byte_order_mark() -> None:
    check_media("text/plain", b"\xef\xbb\xbfa\tb\r\nc\fd < e & {f}")


def test_xml_is_refused_for_the_reason_that_cda_gives() -> None:
    refused("application/xml", b"<a/>", NotCda)
    refused("text/xml", b"<!DOCTYPE a><a/>", UnsafeXml)


@given(st.sampled_from(sorted(GOOD)), st.binary(max_size=200))
def test_whatever_the_bytes_the_only_errors_are_ours(declared: str, data: bytes) -> None:
    try:
        check_media(declared, data)
    except (MediaError, CdaError) as error:
        assert str(error)


@given(st.sampled_from(sorted(GOOD)), st.integers(0, 10_000), st.binary(max_size=8))
def test_whatever_is_changed_inside_the_only_errors_are_ours(declared: str, at: int, inserted: bytes) -> None:
    data = GOOD[declared]
    at %= len(data)
    try:
        check_media(declared, data[:at] + inserted + data[at + len(inserted) :])
    except (MediaError, CdaError) as error:
        assert str(error)


@given(st.text(max_size=60))
def test_whatever_the_declaration_the_only_errors_are_ours(declared: str) -> None:
    try:
        check_media(declared, PDF)
    except MediaError as error:
        assert str(error)
