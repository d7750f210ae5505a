"""Whether a document's bytes are what its media type says (api.md "Rules on documents").

A document is kept and served as it came, under the type that was declared: so the declaration must be true, and the
bytes must not be a second thing as well. The checks read structure, not only the first bytes: a PDF and an RTF end
where they should, the segments of a JPEG and the chunks of a PNG follow each other, XML is a CDA, JSON is a FHIR
document. A file that other readers would take for a PDF or for a ZIP archive, too, is refused. This doesn't render or
disinfect anything: a well-formed PDF may still be hostile to its reader, and a payload inside a stream stays hidden.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sceau.fhir.acts import NO_ACTS, Acts, read_acts
from sceau.fhir.care_history import TYPE as CARE_HISTORY, CareHistory, read_care_history
from sceau.fhir.cda import CdaHeader, header_of, parse_xml

Kind = Literal["cda", "pdf", "fhir-document", "jpeg", "png", "tiff", "rtf", "text"]

MAX_JSON_VALUES: Final = 1_000_000  # bounds the memory of a parsed FHIR document

KINDS: Final[dict[str, Kind]] = {
    "application/xml": "cda",
    "text/xml": "cda",
    "application/pdf": "pdf",
    "application/fhir+json": "fhir-document",
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/tiff": "tiff",
    "application/rtf": "rtf",
    "text/rtf": "rtf",
    "text/plain": "text",
}
_CHARSETS: Final = frozenset({"utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252"})

_WORD: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_MEDIA_TYPE: Final = re.compile(rf"({_WORD}/{_WORD})((?:[ \t]*;[ \t]*{_WORD}=(?:{_WORD}|\"[^\"\\]*\"))*)[ \t]*")
_PARAMETER: Final = re.compile(rf";[ \t]*({_WORD})=({_WORD}|\"[^\"\\]*\")")
_LONGEST_DECLARATION: Final = 200  # characters

_BLANKS: Final = b" \t\r\n\f\x00"
_PDF_SEARCHED: Final = 1024  # bytes at each end in which PDF readers look for the header and the trailer
_MAX_PARTS: Final = 100_000  # segments of a JPEG, chunks of a PNG


class MediaError(ValueError):
    """Content refused for its media type. The message is for the sender and holds nothing of the content."""


class UnknownMediaType(MediaError):
    """The declared media type is malformed, or none that a document may have."""


class EmptyContent(MediaError):
    """There are no bytes, or only blanks."""


class MediaMismatch(MediaError):
    """The bytes are not, or not only, what was declared."""


@dataclass(frozen=True, slots=True)
class Media:
    """What a document is: `type` in lower case without parameters, and its kind.

    `charset` is set for text only; `header` and `acts` for a CDA only, so that it need not be parsed twice;
    `care_history` for one of that type.
    """

    type: str
    kind: Kind
    charset: str | None = None
    header: CdaHeader | None = field(default=None, repr=False)
    acts: Acts = NO_ACTS
    care_history: CareHistory | None = field(default=None, repr=False)

    @property
    def content_type(self) -> str:
        """The Content-Type to serve the bytes under."""
        return f"{self.type}; charset={self.charset}" if self.charset else self.type


def check_media(declared: str, data: bytes) -> Media:
    """Return what the document is, having checked that `data` is of the declared media type.

    Parameters are accepted; only the charset of text means something (absent: UTF-8), an XML's encoding is what its own
    declaration says. Raises UnknownMediaType, EmptyContent, MediaMismatch; for XML also UnsafeXml and NotCda (cda.py).
    """
    media_type, parameters = _parse(declared)
    kind = KINDS.get(media_type)
    if kind is None:
        raise UnknownMediaType("a document's media type is one of " + ", ".join(KINDS))
    if not data.strip(_BLANKS):
        raise EmptyContent("the document has no content")
    if kind != "pdf" and b"%PDF-" in data[:_PDF_SEARCHED]:
        raise MediaMismatch(f"the document is declared as {media_type} but is, or is also, a PDF")
    if _is_zip(data):
        raise MediaMismatch(f"the document is declared as {media_type} but is, or is also, a ZIP archive")
    if kind == "cda":
        root = parse_xml(data)
        header = header_of(root)
        care = read_care_history(root) if header.type_code == CARE_HISTORY else None
        return Media(media_type, kind, header=header, acts=read_acts(root), care_history=care)
    if kind == "text":
        charset = parameters.get("charset", "utf-8").lower()
        _check_text(data, charset)
        return Media(media_type, kind, charset)
    if not _CHECKS[kind](data):
        raise MediaMismatch(f"the document is declared as {media_type} but its bytes are not: {_EXPECTED[kind]}")
    return Media(media_type, kind)


def _parse(declared: str) -> tuple[str, dict[str, str]]:
    matched = _MEDIA_TYPE.fullmatch(declared) if len(declared) <= _LONGEST_DECLARATION else None
    if matched is None:
        raise UnknownMediaType("the media type is malformed")
    parameters: dict[str, str] = {}
    for name, value in _PARAMETER.findall(matched[2]):
        if name.lower() in parameters:
            raise UnknownMediaType("the media type has the same parameter twice")
        parameters[name.lower()] = value.strip('"')
    return matched[1].lower(), parameters


def _is_pdf(data: bytes) -> bool:
    """A header at the very start, and a trailer after which nothing follows."""
    tail = data[-_PDF_SEARCHED * 2 :].rstrip(_BLANKS)
    return (
        re.match(rb"%PDF-[12]\.[0-9]", data) is not None
        and tail.endswith(b"%%EOF")
        and b"startxref" in tail[-_PDF_SEARCHED:]
    )


def _is_jpeg(data: bytes) -> bool:
    """Segments from the start of the image to its scan, a frame among them, and the end-of-image marker last."""
    at, framed = 2, False
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    for _ in range(_MAX_PARTS):
        marker, length = data[at : at + 2], int.from_bytes(data[at + 2 : at + 4], "big")
        if len(marker) < 2 or marker[0] != 0xFF or length < 2:  # noqa: PLR2004 - ITU-T T.81 B.1.1
            return False
        if marker == b"\xff\xff":  # a fill byte
            at += 1
            continue
        if marker == b"\xff\xda":
            return framed and data.rstrip(b"\x00").endswith(b"\xff\xd9")
        if b"\xff\xc0" <= marker <= b"\xff\xcf" and marker not in {b"\xff\xc4", b"\xff\xc8", b"\xff\xcc"}:
            framed = True
        at += 2 + length
    return False


def _is_png(data: bytes) -> bool:
    """The signature, IHDR first, each chunk where the one before says, IEND last and nothing after it."""
    at = 8
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or data[at + 4 : at + 8] != b"IHDR":
        return False
    for _ in range(_MAX_PARTS):
        head = data[at : at + 8]
        at += 12 + int.from_bytes(head[:4], "big")
        if len(head) < 8 or at > len(data):  # noqa: PLR2004 - length and type
            return False
        if head[4:] == b"IEND":
            return at == len(data)
    return False


def _is_tiff(data: bytes) -> bool:
    """A header in either byte order, and a first directory with entries inside the file."""
    orders: dict[bytes, Literal["little", "big"]] = {b"II*\x00": "little", b"MM\x00*": "big"}
    order = orders.get(data[:4])
    if order is None:
        return False
    directory = int.from_bytes(data[4:8], order)
    entries = int.from_bytes(data[directory : directory + 2], order)
    return directory >= 8 and entries > 0 and directory + 2 + 12 * entries + 4 <= len(data)  # noqa: PLR2004 - TIFF 6.0


def _is_rtf(data: bytes) -> bool:
    """One group, from the first byte to the last."""
    return data.startswith(b"{\\rtf") and data.rstrip(_BLANKS).endswith(b"}")


def _is_fhir_document(data: bytes) -> bool:
    """A JSON object that is a Bundle of type document, its Composition first; no name twice, so one reading only."""
    if data.count(b",") + data.count(b"{") + data.count(b"[") > MAX_JSON_VALUES:
        raise MediaMismatch(f"a FHIR document has at most {MAX_JSON_VALUES} values here")
    try:
        bundle = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    match bundle:
        case {
            "resourceType": "Bundle",
            "type": "document",
            "entry": [{"resource": {"resourceType": "Composition"}}, *_],
        }:
            return True
        case _:
            return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def _no_constant(_: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


def _is_zip(data: bytes) -> bool:
    """An end of central directory that closes the file: readers of archives start there, whatever stands before."""
    at = data.rfind(b"PK\x05\x06", max(0, len(data) - 22 - 0xFFFF))
    return at >= 0 and at + 22 + int.from_bytes(data[at + 20 : at + 22], "little") == len(data)


_OTHER_TEXT: Final = (b"<?xml", b"<!doctype", b"<html", b"<svg", b"<script", b"<clinicaldocument", b"{\\rtf")
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def _check_text(data: bytes, charset: str) -> None:
    if charset not in _CHARSETS:
        raise UnknownMediaType("the charset of text is one of " + ", ".join(sorted(_CHARSETS)))
    if _CONTROLS.search(data):
        raise MediaMismatch("the document is declared as text/plain but holds control characters")
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip(_BLANKS)[:20].lower()
    if start.startswith(_OTHER_TEXT):
        raise MediaMismatch("the document is declared as text/plain but is XML, HTML or RTF")
    try:
        data.decode(charset)
    except UnicodeDecodeError:
        raise MediaMismatch(f"the document is declared as text/plain but is not valid {charset}") from None


_CHECKS: Final[dict[Kind, Callable[[bytes], bool]]] = {
    "pdf": _is_pdf,
    "fhir-document": _is_fhir_document,
    "jpeg": _is_jpeg,
    "png": _is_png,
    "tiff": _is_tiff,
    "rtf": _is_rtf,
}
_EXPECTED: Final[dict[Kind, str]] = {
    "pdf": "a PDF starts with its version and ends with its trailer, nothing before or after",
    "fhir-document": "a FHIR document is a Bundle of type document in JSON, its Composition first",
    "jpeg": "a JPEG has a frame and ends with its end-of-image marker",
    "png": "a PNG is its signature and chunks, IHDR first, IEND last",
    "tiff": "a TIFF has a header and a first directory",
    "rtf": "an RTF is one group from the first byte to the last",
}
