"""The header of a CDA R2 document, read safely, and whether the document concerns a given patient and type.

XML from outside is an attack until shown otherwise. What is refused, and by whom:

* anything but an ASCII-compatible encoding of the list below: by us, before the parser sees a byte (a DOCTYPE written
  in UTF-16 or UTF-7 would pass a search for one), and the parser is told the encoding instead of guessing;
* any DOCTYPE: by us, at the only place where one can stand; so no entity, no expansion, no external subset;
* depth over 256, a text, comment or attribute over 10,000,000 bytes, a name over 50,000: by libxml2 (`huge_tree` off);
* more than MAX_BYTES, or more than MAX_MARKUP of `<` and `=`: by us; each element costs a `<` and each attribute a `=`,
  so this bounds the tree's memory (about 0.25 kB each at worst) before it is built.

Nothing is ever fetched: no network, no DTD, no XInclude; `xml-stylesheet` and `xsi:schemaLocation` occur in real files
and stay what they are, names. The whole document is parsed, since it must be well-formed; only the root's children are
walked. The bytes are stored and served as they came: nothing here rewrites them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NoReturn

from lxml import etree

from sceau.fhir.codes import canonical_system
from sceau.fhir.ins import INS_SYSTEMS

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_MARKUP: Final = 500_000  # the densest real document seen has 5,700 in 161 kB

_V3: Final = "{urn:hl7-org:v3}"
_BOM: Final = b"\xef\xbb\xbf"
_OTHER_BOMS: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00", b"\x2b\x2f\x76")  # UTF-16, UTF-32, UTF-7
_ENCODINGS: Final = frozenset({"utf-8", "us-ascii", "iso-8859-1", "iso-8859-15"})
_DECLARED: Final = re.compile(rb"""\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']""")
_BLANKS: Final = re.compile(rb"[ \t\r\n]+")
_LIMIT_ERRORS: Final = frozenset({etree.ErrorTypes.ERR_RESOURCE_LIMIT, etree.ErrorTypes.ERR_NAME_TOO_LONG})
_UNFINISHED: Final = frozenset(  # libxml2 says these of a truncated document, and of a section over its limit
    {
        etree.ErrorTypes.ERR_CDATA_NOT_FINISHED,
        etree.ErrorTypes.ERR_COMMENT_NOT_FINISHED,
        etree.ErrorTypes.ERR_PI_NOT_FINISHED,
    }
)
_SECTION_LIMIT: Final = 10_000_000  # bytes, libxml2's XML_MAX_TEXT_LENGTH
_ONCE: Final = frozenset(
    {
        "id",
        "code",
        "title",
        "effectiveTime",
        "languageCode",
        "setId",
        "versionNumber",
        "recordTarget",
        "custodian",
        "component",
    }
)
_REQUIRED: Final = ("id", "code", "recordTarget", "component")

PATIENT_ID: Final = "ClinicalDocument.recordTarget.patientRole.id"
TYPE_CODE: Final = "ClinicalDocument.code"


class CdaError(ValueError):
    """A document refused. The message is for the sender and holds nothing of the document's content.

    `element` names the place in the document (dotted path), where there is one.
    """

    def __init__(self, text: str, element: str | None = None) -> None:
        super().__init__(text)
        self.element = element


class UnsafeXml(CdaError):
    """XML that we won't parse: a DOCTYPE, an encoding that hides one, or a size beyond the limits."""


class NotCda(CdaError):
    """Not well-formed, not a ClinicalDocument, or without the header elements that every CDA has."""


class CdaMismatch(CdaError):
    """A CDA, but of another patient or type than its document entry says."""


@dataclass(frozen=True, slots=True)
class InstanceId:
    """An HL7 instance identifier (II): an OID or UUID, and most often a value under it."""

    root: str
    extension: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """An act that the document tells of. Times are HL7 timestamps as written (`20191203133000+0100`)."""

    code: str | None
    code_system: str | None
    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class CdaHeader:
    """What the header says, as written: OIDs bare, times as HL7 timestamps, None where absent or nullFlavor."""

    document_id: InstanceId
    set_id: InstanceId | None
    version_number: int | None
    type_code: str | None
    type_system: str | None
    confidentiality_codes: tuple[str, ...]
    effective_time: str | None
    language: str | None
    title: str | None = field(repr=False)  # may name the patient
    patient_ids: tuple[InstanceId, ...] = field(repr=False)
    author_ids: tuple[InstanceId, ...]
    custodian_ids: tuple[InstanceId, ...]
    service_events: tuple[ServiceEvent, ...]
    template_ids: tuple[str, ...]


def read_header(data: bytes, *, max_bytes: int = MAX_BYTES) -> CdaHeader:
    """Return the header of a CDA document given as bytes.

    Raises UnsafeXml and NotCda (see the classes). Time grows with the size: 0.4 ms for 50 kB.
    """
    return header_of(parse_xml(data, max_bytes=max_bytes))


def header_of(root: etree._Element) -> CdaHeader:
    """Return the header of a document that `parse_xml` read. Raises NotCda."""
    if root.tag != _V3 + "ClinicalDocument":
        raise NotCda("the XML is not a CDA document: its root is not ClinicalDocument in urn:hl7-org:v3")
    children = _children(root)
    for name in _REQUIRED:
        if name not in children:
            raise NotCda(f"not a CDA document: it has no {name}", f"ClinicalDocument.{name}")
    document_ids = _ids(children["id"])
    if not document_ids:
        raise NotCda("the CDA document's id has no root", "ClinicalDocument.id")
    if len(_find(children["recordTarget"], "patientRole")) != 1:
        raise NotCda("a CDA document here is about exactly one patient", "ClinicalDocument.recordTarget.patientRole")
    version = _value(children, "versionNumber", "value")
    code, code_system = _code(children["code"][0])
    titles = children.get("title", [])
    return CdaHeader(
        document_id=document_ids[0],
        set_id=next(iter(_ids(children.get("setId", []))), None),
        version_number=int(version) if version and re.fullmatch("[0-9]{1,9}", version) else None,
        type_code=code,
        type_system=code_system,
        confidentiality_codes=tuple(c for e in children.get("confidentialityCode", []) if (c := _code(e)[0])),
        effective_time=_value(children, "effectiveTime", "value"),
        language=_value(children, "languageCode", "code"),
        title="".join(map(str, titles[0].itertext())).strip() or None if titles else None,
        patient_ids=_ids(_find(children["recordTarget"], "patientRole/id")),
        author_ids=_ids(_find(children.get("author", []), "assignedAuthor/id")),
        custodian_ids=_ids(
            _find(children.get("custodian", []), "assignedCustodian/representedCustodianOrganization/id")
        ),
        service_events=tuple(_event(e) for e in _find(children.get("documentationOf", []), "serviceEvent")),
        template_ids=tuple(i.root for i in _ids(children.get("templateId", []))),
    )


def check_concerns(header: CdaHeader, ins_system: str, ins_value: str, type_system: str, type_code: str) -> None:
    """Refuse a CDA of another patient or type than its document entry's (api.md "Rules on documents").

    `ins_system` is `urn:oid:…`, the type's system any name that `codes` knows. Among the patient's ids, one must be
    that INS; ids of other systems (the hospital's own) are not looked at, but one under another INS system must carry
    the same number: a document can't be filed under two people.
    Raises CdaMismatch; its message holds no value of either side.
    """
    ids = [i for i in header.patient_ids if f"urn:oid:{i.root}" in INS_SYSTEMS]
    if not any(f"urn:oid:{i.root}" == ins_system for i in ids):
        raise CdaMismatch("the CDA document does not identify its patient by an INS of the entry's system", PATIENT_ID)
    if any(i.extension != ins_value for i in ids):
        raise CdaMismatch("the CDA document's patient is not the patient of its entry", PATIENT_ID)
    if header.type_code is None or header.type_system is None:
        raise CdaMismatch("the CDA document's code has no code or no system", TYPE_CODE)
    if header.type_code != type_code or canonical_system(header.type_system) != canonical_system(type_system):
        raise CdaMismatch("the CDA document's code is not the type of its entry", TYPE_CODE)


def parse_xml(data: bytes, *, max_bytes: int = MAX_BYTES) -> etree._Element:
    """Return the root of XML read safely (see the module), whatever it is. Raises UnsafeXml and NotCda."""
    if len(data) > max_bytes:
        raise UnsafeXml(f"an XML document has at most {max_bytes} bytes here")
    if data.count(b"<") + data.count(b"=") > MAX_MARKUP:
        raise UnsafeXml(f"an XML document has at most {MAX_MARKUP} tags and attributes here")
    encoding = _encoding(data)
    _refuse_doctype(data)
    # Not `collect_ids=False`, however harmless it sounds: it sets libxml2's `loadsubset`, and then external subsets and
    # parameter entities are read from files, whatever the other settings say.
    parser = etree.XMLParser(
        encoding=encoding,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        # The parser's own message may quote the document; its position doesn't.
        line, column = error.position
        code = getattr(error, "code", None)  # lxml sets it; its stubs don't know it
        if code in _LIMIT_ERRORS or (code in _UNFINISHED and len(data) > _SECTION_LIMIT):
            where = f"at line {line}, column {column}"
            raise UnsafeXml(f"the XML is nested too deeply or has too large a part {where}") from None
        raise NotCda(f"the XML is not well-formed at line {line}, column {column}") from None


def _encoding(data: bytes) -> str:
    if data.startswith(_OTHER_BOMS) or b"\x00" in data[:4]:
        raise UnsafeXml("the XML is not in UTF-8")
    start = len(_BOM) if data.startswith(_BOM) else 0
    declared = None
    if data.startswith(b"<?xml", start):
        end = data.find(b"?>", start)
        if end < 0:
            raise NotCda("the XML declaration does not end")
        declared = _DECLARED.search(data[start:end])
    encoding = declared[1].decode("ascii").lower() if declared else "utf-8"
    if encoding not in _ENCODINGS or (start and encoding != "utf-8"):
        raise UnsafeXml("the XML declares an encoding that is not accepted: use UTF-8")
    return encoding


def _refuse_doctype(data: bytes) -> None:
    """Walk over what may precede the root (processing instructions, comments, blanks) to the first tag.

    A document type declaration can stand nowhere else, so a search of the whole would only refuse innocent CDATA.
    """
    at = len(_BOM) if data.startswith(_BOM) else 0
    while True:
        if blanks := _BLANKS.match(data, at):
            at = blanks.end()
        if data.startswith(b"<?", at):
            at = _after(data, b"?>", at)
        elif data.startswith(b"<!--", at):
            at = _after(data, b"-->", at + 4)
        elif data.startswith(b"<!", at):
            raise UnsafeXml("the XML has a DOCTYPE, which is never accepted")
        elif data.startswith(b"<", at):
            return
        else:
            _not_xml()


def _after(data: bytes, end: bytes, start: int) -> int:
    found = data.find(end, start)
    if found < 0:
        _not_xml()
    return found + len(end)


def _not_xml() -> NoReturn:
    raise NotCda("the document is not XML")


def _children(root: etree._Element) -> dict[str, list[etree._Element]]:
    """Return the root's children in HL7's namespace, by name. Raises NotCda when one stands twice that may not."""
    children: dict[str, list[etree._Element]] = {}
    for child in root:
        namespace, _, name = child.tag.rpartition("}")
        if namespace + "}" != _V3:
            continue
        # A second patient or code would let two readers see two documents.
        if name in _ONCE and name in children:
            raise NotCda(f"not a CDA document: {name} stands twice", f"ClinicalDocument.{name}")
        children.setdefault(name, []).append(child)
    return children


def _find(parents: list[etree._Element], path: str) -> list[etree._Element]:
    steps = "/".join(_V3 + step for step in path.split("/"))
    return [found for parent in parents for found in parent.iterfind(steps)]


def _ids(elements: list[etree._Element]) -> tuple[InstanceId, ...]:
    """Return the identifiers that say something: an II with a nullFlavor, or without root, identifies nothing."""
    return tuple(
        InstanceId(root, element.get("extension"))
        for element in elements
        if (root := element.get("root")) and element.get("nullFlavor") is None
    )


def _code(element: etree._Element) -> tuple[str | None, str | None]:
    if element.get("nullFlavor") is not None:
        return None, None
    return element.get("code") or None, element.get("codeSystem") or None


def _value(children: dict[str, list[etree._Element]], name: str, attribute: str) -> str | None:
    elements = children.get(name)
    return elements[0].get(attribute) if elements else None


def _event(element: etree._Element) -> ServiceEvent:
    code = element.find(_V3 + "code")
    low, high = (element.find(f"{_V3}effectiveTime/{_V3}{side}") for side in ("low", "high"))
    whole = element.find(_V3 + "effectiveTime")
    single = whole.get("value") if whole is not None else None
    return ServiceEvent(
        *(_code(code) if code is not None else (None, None)),
        low=low.get("value") if low is not None else single,
        high=high.get("value") if high is not None else single,
    )
