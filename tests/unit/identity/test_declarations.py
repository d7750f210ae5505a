"""Declarations of an emergency access: what makes one, and the handle by which it serves again."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, strategies as st

from sceau.access.model import ActorKind, Mode
from sceau.identity.emergency import LONGEST_REASON, Asked, Declarations, Entry, asked_mode, recorded
from sceau.identity.errors import OAuthError, OAuthRefusal, Reason
from sceau.identity.jose import decode_part, encode_part

NOW = datetime(2026, 6, 12, 10, 0, tzinfo=UTC)
EVENT = "01a20a72-08e3-73be-8000-0123456789ab"
WHOM = ("hospital", "urn:oid:1.2.250.1.71.4.2.1|899700000102", "urn:oid:1.2.250.1.71.4.2.2|1000000202", "a" * 26)
WHOLE = {
    "mode_acces": "bris_de_glace",
    "mode_acces_raison": "Arrêt cardiaque, aucun proche joignable",
    "hors_etat_d_exprimer_sa_volonte": "true",
    "risque_immediat": "true",
}
ENTRY = Entry(Mode.BRIS_DE_GLACE, 1781262000, None, True, True, True, EVENT)
KEY = bytes(range(32))


def declarations(key: bytes = KEY) -> Declarations:
    return Declarations(key, life=timedelta(minutes=60))


def refusal(form: dict[str, str], kind: ActorKind = ActorKind.PROFESSIONAL) -> Reason:
    with pytest.raises(OAuthRefusal) as refused:
        asked_mode(form, kind)
    assert refused.value.error is OAuthError.INVALID_REQUEST
    assert "Arrêt" not in refused.value.description
    return refused.value.reason


def test_without_a_mode_the_normal_one_is_asked_for() -> None:
    assert asked_mode({}, ActorKind.PROFESSIONAL) == asked_mode({"mode_acces": "normal"}, ActorKind.PROFESSIONAL)
    assert asked_mode({}, ActorKind.PATIENT).mode is Mode.NORMAL
    assert declarations().entry(Asked(Mode.NORMAL), WHOM, NOW) is None


def test_a_whole_declaration() -> None:
    asked = asked_mode(WHOLE, ActorKind.PROFESSIONAL)
    assert asked == Asked(Mode.BRIS_DE_GLACE, "Arrêt cardiaque, aucun proche joignable", True, True)
    entry = declarations().entry(asked, WHOM, NOW)
    assert entry == Entry(Mode.BRIS_DE_GLACE, 1781262000, WHOLE["mode_acces_raison"], True, True, True)
    assert "Arrêt" not in repr(asked) + repr(entry)


@pytest.mark.parametrize(
    "missing", [part for size in (1, 2, 3) for part in combinations([*WHOLE][1:], size)], ids=",".join
)
def test_a_declaration_without_one_of_its_parts(missing: tuple[str, ...]) -> None:
    assert refusal({name: value for name, value in WHOLE.items() if name not in missing}) is Reason.MODE_NOT_DECLARED


@pytest.mark.parametrize("name", ["hors_etat_d_exprimer_sa_volonte", "risque_immediat"])
def test_what_is_declared_to_be_false_is_not_declared(name: str) -> None:
    assert refusal({**WHOLE, name: "false"}) is Reason.MODE_NOT_DECLARED
    assert refusal({**WHOLE, name: "1"}) is Reason.MODE


@pytest.mark.parametrize(
    "reason", ["-", "..", "xx", "? ! ?", "a\u0000bc", "a" * (LONGEST_REASON + 1), "\u200bab\u200b"]
)
def test_a_reason_that_says_nothing_or_too_much(reason: str) -> None:
    assert refusal({**WHOLE, "mode_acces_raison": reason}) is Reason.MODE_NOT_DECLARED


def test_a_reason_is_kept_on_one_line() -> None:
    assert asked_mode({**WHOLE, "mode_acces_raison": " AVC \r\n aigu\t"}, ActorKind.PROFESSIONAL).reason == "AVC aigu"


def test_the_centre_15_needs_no_declaration_and_may_say_why() -> None:
    assert asked_mode({"mode_acces": "centre_15"}, ActorKind.PROFESSIONAL) == Asked(Mode.CENTRE_15)
    said = {"mode_acces": "centre_15", "mode_acces_raison": "Appel pour douleur"}
    assert asked_mode(said, ActorKind.PROFESSIONAL).reason == "Appel pour douleur"


@pytest.mark.parametrize(
    "form",
    [
        {"mode_acces": "secours"},
        {"mode_acces": "BRIS_DE_GLACE"},
        {"mode_acces_raison": "AVC"},
        {"mode_acces": "normal", "risque_immediat": "true"},
        {"declaration": "x"},
        {**WHOLE, "declaration": "x"},
        {"mode_acces": "bris_de_glace", "declaration": "x", "mode_acces_raison": "AVC"},
        {**WHOLE, "connexion_secrete": "true"},
    ],
)
def test_parameters_that_contradict_each_other(form: dict[str, str]) -> None:
    assert refusal(form) is Reason.MODE


@pytest.mark.parametrize("kind", [one for one in ActorKind if one is not ActorKind.PROFESSIONAL])
@pytest.mark.parametrize("form", [WHOLE, {"mode_acces": "centre_15"}, {"mode_acces": "normal"}, {"declaration": "x"}])
def test_nobody_but_a_professional_has_a_mode(kind: ActorKind, form: dict[str, str]) -> None:
    assert refusal(form, kind) is Reason.MODE


def test_the_bytes_of_a_handle_are_frozen() -> None:
    head = bytes.fromhex("0107000000006a2be6b001a20a7208e373be80000123456789ab")
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"sceau declaration 1").derive(KEY)
    covered = head + b"".join(len(part).to_bytes(4) + part.encode() for part in WHOM)
    handle = declarations().handle(ENTRY, WHOM)
    assert handle == encode_part(head + hmac.digest(key, covered, hashlib.sha256))
    assert handle == "AQcAAAAAaivmsAGiCnII43O-gAABI0VniavNikDs-sqB11yUQUCOlZpsBm89VbQZPlC-mldbjQBB9g"


def test_a_handle_brings_the_same_entry_back_until_it_ends() -> None:
    handle = declarations().handle(ENTRY, WHOM)
    asked = Asked(Mode.BRIS_DE_GLACE, handle=handle)
    for moment in (NOW, NOW + timedelta(minutes=60) - timedelta(milliseconds=1)):
        assert declarations().entry(asked, WHOM, moment) == ENTRY
    with pytest.raises(OAuthRefusal) as refused:
        declarations().entry(asked, WHOM, NOW + timedelta(minutes=60))
    assert (refused.value.reason, refused.value.error) == (Reason.DECLARATION_EXPIRED, OAuthError.INVALID_GRANT)


@pytest.mark.parametrize("position", range(4))
def test_a_handle_of_somebody_else(position: int) -> None:
    handle = declarations().handle(ENTRY, WHOM)
    others = tuple("other" if place == position else part for place, part in enumerate(WHOM))
    _refused_handle(handle, others)


def test_a_handle_for_another_mode_or_of_another_stage() -> None:
    _refused_handle(declarations().handle(ENTRY, WHOM), WHOM, mode=Mode.CENTRE_15)
    _refused_handle(declarations(b"x" * 32).handle(ENTRY, WHOM), WHOM)


def test_parts_of_a_name_can_not_move_from_one_to_the_next() -> None:
    handle = declarations().handle(ENTRY, ("ab", "c", "d", "e"))
    _refused_handle(handle, ("a", "bc", "d", "e"))


@given(st.integers(0, 8 * 58 - 1))
def test_a_handle_with_one_bit_changed(bit: int) -> None:
    raw = bytearray(decode_part(declarations().handle(ENTRY, WHOM)))
    raw[bit // 8] ^= 1 << bit % 8
    _refused_handle(encode_part(bytes(raw)), WHOM)


@pytest.mark.parametrize("handle", ["", "A", "AA", "é", "A" * 77, "A" * 100_000, "=" * 77])
def test_what_is_no_handle(handle: str) -> None:
    _refused_handle(handle, WHOM)


def test_no_handle_without_its_event() -> None:
    entry = Entry(Mode.CENTRE_15, 1781262000)
    with pytest.raises(ValueError, match="recorded"):
        declarations().handle(entry, WHOM)
    known = recorded(entry, EVENT)
    assert known.event == EVENT
    assert recorded(known, "another") == known
    again = Asked(Mode.CENTRE_15, handle=declarations().handle(known, WHOM))
    assert declarations().entry(again, WHOM, NOW) == known


def _refused_handle(handle: str, whom: tuple[str, ...], mode: Mode = Mode.BRIS_DE_GLACE) -> None:
    with pytest.raises(OAuthRefusal) as refused:
        declarations().entry(Asked(mode, handle=handle), whom, NOW)
    assert (refused.value.reason, refused.value.error) == (Reason.DECLARATION, OAuthError.INVALID_GRANT)
