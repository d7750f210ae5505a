"""The request that an event keeps: as it came, but for the patient's identity and secrets.

BALP and IUA want the raw request in the event. Events are sealed, but they outlive everything else and are shown to
others than the caller, so what identifies the patient is replaced by `[redacted]` all the same: the event's patient
entity says whose record it was. Parameters that are not touched keep their bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote_plus

from sceau.audit.facts import Request

REDACTED = "[redacted]"
LARGEST_PART = 16 * 1024
"""Characters that an event keeps of a query string, and of a form. What is longer is cut, and says so."""

_KeptPair = Callable[[str, str | None], str]  # from a parameter's name and value, as they came; None: without "="

_CUT = "[cut]"
_DEEPEST_ESCAPE = 4
# An INS alone or inside something, also written in groups: 13 characters (2A or 2B for Corsica), or 15 with the key.
_SPACE = r"[\s_-]?"
_INS = re.compile(
    rf"(?<![0-9A-Za-z.])\d(?:{_SPACE}\d){{4}}{_SPACE}(?:\d{_SPACE}\d|2{_SPACE}[ABab])(?:{_SPACE}\d){{6}}"
    rf"(?:(?:{_SPACE}\d){{2}})?(?![0-9A-Za-z.])"
)
_INS_SYSTEM = re.compile(r"1\.2\.250\.1\.213\.1\.4\.[0-9]{1,2}\s*\|")
_WHOLE_INS_SYSTEM = re.compile(r"urn:oid:1\.2\.250\.1\.213\.1\.4\.[0-9]{1,2}")
# `patient`, `subject`, and all that is chained to them or to a reference to a patient.
_PATIENT_PARAMETER = re.compile(r"(?:patient|subject)(?:[.:].*)?|.*:patient(?:\..*)?", re.IGNORECASE)
_NAME_PARAMETER = re.compile(r"(?:.*\.)?(?:name|given|family|birthdate|phonetic)(?::.*)?", re.IGNORECASE)
_RECORD_REFERENCE = re.compile(r"(?:[^?|]*/)?[a-z2-7]{26}")
_PARAMETER_NAME = re.compile(r"[a-z_]{1,40}")
_TOKEN_REQUEST_KEPT = frozenset(
    {
        "audience",
        "client_assertion_type",
        "client_id",
        "connexion_secrete",
        "grant_type",
        "hors_etat_d_exprimer_sa_volonte",
        "mode_acces",
        "requested_token_type",
        "resource",
        "risque_immediat",
        "scope",
        "subject_token_type",
        "actor_token_type",
        "token_type_hint",
    }
)


def kept_search(request: Request, origin: str) -> bytes:
    """The bytes to keep of a search: no INS, and nothing of the parameters that identify a patient or name a person.

    A name typed into another text parameter (`title`) can't be told from other text, and stays.
    """
    of_patients = "/Patient" in request.target.partition("?")[0]

    def kept_pair(name: str, value: str | None) -> str:
        kept_name = _plain(name)
        if value is None:
            return kept_name
        return f"{kept_name}={_search_value(_decoded(name), value, of_patients=of_patients)}"

    return _kept(request, origin, kept_pair)


def kept_token_request(request: Request, origin: str) -> bytes:
    """The bytes to keep of a request to the token endpoint: only parameters known to be neither secret nor identity."""
    return _kept(request, origin, _token_pair)


def hide_ins(text: str) -> str:
    """`text` with each INS in it replaced."""
    return _INS.sub(REDACTED, text)


def _kept(request: Request, origin: str, kept_pair: _KeptPair) -> bytes:
    path, mark, query = request.target.partition("?")
    kept_path = _plain(path) if len(path) <= LARGEST_PART else REDACTED
    text = f"{request.method} {origin}{kept_path}{mark}{_parameters(query, kept_pair)}"
    if request.form:
        text += "\n\n" + _parameters(request.form[: LARGEST_PART + 1].decode("latin-1"), kept_pair)
    return text.encode("utf-8", "replace")


def _parameters(query: str, kept_pair: _KeptPair) -> str:
    pairs = query[: LARGEST_PART + 1].split("&")
    if len(query) > LARGEST_PART:
        pairs[-1] = _CUT  # the last one may be a part of something that would have been replaced
    split = (pair.partition("=") for pair in pairs)
    return "&".join(kept_pair(name, value if equals else None) for name, equals, value in split)


def _search_value(name: str, value: str, *, of_patients: bool) -> str:
    decoded = _decoded(value)
    if _NAME_PARAMETER.fullmatch(name):
        return REDACTED
    identifies = _PATIENT_PARAMETER.fullmatch(name) or (of_patients and name.partition(":")[0] == "identifier")
    if (identifies and not _RECORD_REFERENCE.fullmatch(decoded)) or _INS_SYSTEM.search(decoded):
        return _but_system(decoded)
    return _plain(value)


def _token_pair(name: str, value: str | None) -> str:
    """A body that isn't a form may be a secret as a whole, and looks like a name without value, or with one."""
    if value is None:
        return REDACTED if name else ""
    if name in _TOKEN_REQUEST_KEPT:
        return f"{name}={_plain(value)}"
    return f"{name if _PARAMETER_NAME.fullmatch(name) else REDACTED}={REDACTED}"


def _but_system(decoded: str) -> str:
    """Of `system|value` the system, when it is one of the INS: what kind of number was sent is worth knowing."""
    system, bar, _ = decoded.partition("|")
    return f"{system}|{REDACTED}" if bar and _WHOLE_INS_SYSTEM.fullmatch(system) else REDACTED


def _plain(text: str) -> str:
    """`text` as it came, unless an INS shows when it is decoded."""
    decoded = _decoded(text)
    return hide_ins(decoded) if decoded == REDACTED or _INS.search(decoded) else text


def _decoded(text: str) -> str:
    """`text` without percent-encoding, also where that was done more than once."""
    for _ in range(_DEEPEST_ESCAPE):
        decoded = unquote_plus(text)
        if decoded == text:
            return text
        text = decoded
    return REDACTED  # no honest client encodes so often
