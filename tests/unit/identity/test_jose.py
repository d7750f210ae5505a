"""The strict front check of compact JWS, and the keys that may verify one."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st
from joserfc.jwk import ECKey, RSAKey

from sceau.identity import jose
from sceau.identity.client import SigningKey
from sceau.identity.errors import JwsRefused, KeyRefused

KEY = SigningKey.generate()
PUBLIC = jose.public_jwk(KEY.registered_jwk(), algorithms=("ES256",))


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def token(**header: Any) -> str:
    return KEY.sign({"kid": KEY.thumbprint, "typ": "at+jwt", **header}, {"sub": "x"})


def accept(text: str, *, keys: tuple[jose.PublicJwk, ...] = (PUBLIC,), **changed: Any) -> dict[str, Any]:
    read = jose.read(text, **{"algorithms": ("ES256",), "types": ("at+jwt",), **changed})
    jose.verify(read, keys)
    return jose.claims(read)


def test_a_good_token_is_read_and_verified() -> None:
    assert accept(token()) == {"sub": "x"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: t + ".", id="four parts"),
        pytest.param(lambda t: t.rpartition(".")[0], id="two parts"),
        pytest.param(lambda t: t.rpartition(".")[0] + ".", id="empty signature"),
        pytest.param(lambda t: t + "=", id="padding"),
        pytest.param(lambda t: t + "\n", id="line end"),
        pytest.param(lambda t: " " + t, id="leading space"),
        pytest.param(lambda t: t.replace(".", "..", 1), id="empty part"),
        pytest.param(lambda t: t[:-1] + "+", id="character of plain base64"),
        pytest.param(lambda t: t[:-1] + "é", id="character beyond ASCII"),
        pytest.param(
            lambda t: json.dumps(dict(zip(("protected", "payload", "signature"), t.split("."), strict=True))),
            id="JSON form",
        ),
    ],
)
def test_a_token_of_another_form_is_refused_before_any_key_is_looked_at(change: Any) -> None:
    with pytest.raises(JwsRefused):
        accept(change(token()), keys=())


def test_unused_bits_of_a_part_must_be_zero() -> None:
    text = token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(text[-1]) ^ 1]  # 64 bytes leave 4 unused bits in the last character
    with pytest.raises(JwsRefused, match="canonical"):
        accept(text[:-1] + other)


def test_an_oversized_token_is_refused_unread() -> None:
    with pytest.raises(JwsRefused, match="too large"):
        accept("A" * (jose.MAX_CHARS + 1))


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS256", "ES384", "es256", 7, None, ["ES256"]])
def test_another_algorithm_than_the_listed_ones_is_refused(algorithm: object) -> None:
    text = token()
    header = {"alg": algorithm, "kid": KEY.thumbprint, "typ": "at+jwt"}
    with pytest.raises(JwsRefused, match="algorithm"):
        accept(".".join([part(header), *text.split(".")[1:]]))


@pytest.mark.parametrize("kind", [None, "JWT", "dpop+jwt", "AT+JWT", "application/at+jwt", 1, ["at+jwt"]])
def test_another_type_than_the_listed_ones_is_refused(kind: object) -> None:
    header = {"alg": "ES256", "kid": KEY.thumbprint, "typ": kind}
    with pytest.raises(JwsRefused, match="type"):
        accept(".".join([part(header), part({}), part(b"\0" * 64)]))


@pytest.mark.parametrize("header", [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"b64": True}, {"b64": False}])
def test_critical_header_parameters_are_refused(header: dict[str, Any]) -> None:
    head = {"alg": "ES256", "typ": "at+jwt", **header}
    with pytest.raises(JwsRefused, match="critical"):
        accept(".".join([part(head), part({}), part(b"\0" * 64)]))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"alg":"ES256","alg":"ES256","typ":"at+jwt"}',
        b'["alg"]',
        b'"alg"',
        b"null",
        b'{"alg":"ES256","typ":"at+jwt","x":NaN}',
        b'{"alg":"ES256","typ":"at+jwt","x":"\\ud800"}',
        b'{"alg":"ES256","typ":"at+jwt","x":' + b"[" * 4000 + b"]" * 4000 + b"}",
        b'{"alg":"ES256","typ":"at+jwt"} {}',
        '{"alg":"ES256","typ":"at+jwt"}'.encode("utf-16"),
        b'{"alg":"ES256","typ":"at+jwt","x":"\xff"}',
        b"",
    ],
)
def test_a_header_or_payload_that_is_no_plain_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(JwsRefused):
        accept(".".join([part(raw), part({}), part(b"\0" * 64)]))
    with pytest.raises(ValueError, match=r".*"):
        jose.strict_object(raw)


def test_an_escaped_surrogate_pair_is_ordinary_text() -> None:
    assert jose.strict_object(b'{"x":"\\ud83d\\ude00"}') == {"x": "😀"}


def test_a_payload_with_a_duplicate_member_is_refused_although_its_signature_is_right() -> None:
    from joserfc import jws

    private = ECKey.import_key(KEY.private_jwk())
    text = jws.serialize_compact({"alg": "ES256", "typ": "at+jwt"}, b'{"sub":"a","sub":"b"}', private)
    with pytest.raises(JwsRefused, match="duplicate"):
        accept(text)


def test_a_changed_bit_anywhere_is_refused() -> None:
    head, payload, signature = token().split(".")
    raw = bytearray(base64.urlsafe_b64decode(payload + "=="))
    raw[8] ^= 1
    with pytest.raises(JwsRefused):
        accept(f"{head}.{part(bytes(raw))}.{signature}")


def test_a_key_that_the_header_brings_is_never_used() -> None:
    thief = SigningKey.generate()
    text = thief.sign({"typ": "at+jwt", "jwk": thief.public_jwk(), "kid": KEY.thumbprint}, {"sub": "x"})
    with pytest.raises(JwsRefused, match="verify"):
        accept(text)


def test_a_token_without_key_id_needs_the_one_key_that_could_have_made_it() -> None:
    text = KEY.sign({"typ": "at+jwt"}, {})
    other = jose.public_jwk(SigningKey.generate().registered_jwk(), algorithms=("ES256",))
    assert accept(text) == {}
    with pytest.raises(JwsRefused, match="several"):
        accept(text, keys=(PUBLIC, other))
    with pytest.raises(JwsRefused, match="no key"):
        accept(token(), keys=(other,))


def test_a_key_for_another_algorithm_of_the_token_is_refused() -> None:
    narrowed = jose.PublicJwk(PUBLIC.kid, frozenset({"ES384"}), PUBLIC.thumbprint, PUBLIC.key)
    with pytest.raises(JwsRefused, match="algorithm"):
        accept(token(), keys=(narrowed,))


def rsa(bits: int = 2048) -> dict[str, Any]:
    return dict(RSAKey.generate_key(bits).as_dict(private=False))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"d": "AAAA"}, id="private member"),
        pytest.param({"k": "AAAA"}, id="symmetric member"),
        pytest.param({"kty": "oct"}, id="symmetric"),
        pytest.param({"kty": None}, id="no type"),
        pytest.param({"crv": "P-224"}, id="unknown curve"),
        pytest.param({"crv": "secp256k1"}, id="curve of bitcoin"),
        pytest.param({"crv": "P-384"}, id="other curve"),
        pytest.param({"crv": ["P-256"]}, id="curve of another type"),
        pytest.param({"x": "AA"}, id="short coordinate"),
        pytest.param(
            {"x": part(b"\0" + jose.decode_part(KEY.public_jwk()["x"]))}, id="coordinate with a zero in front"
        ),
        pytest.param({"x": None}, id="no coordinate"),
        pytest.param({"y": KEY.public_jwk()["x"]}, id="point off the curve"),
        pytest.param({"x": KEY.public_jwk()["x"] + "="}, id="padded coordinate"),
        pytest.param({"use": "enc"}, id="for encryption"),
        pytest.param({"key_ops": ["sign"]}, id="for other operations"),
        pytest.param({"key_ops": "verify"}, id="operations of another type"),
        pytest.param({"alg": "ES384"}, id="for another algorithm"),
        pytest.param({"alg": ["ES256"]}, id="algorithm of another type"),
        pytest.param({"kid": 1}, id="id of another type"),
        pytest.param({"kid": "a b"}, id="id with a space"),
    ],
)
def test_a_key_that_can_not_be_trusted_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(KeyRefused):
        jose.public_jwk({**KEY.registered_jwk(), **change}, algorithms=("ES256", "ES384"))


def test_a_weak_rsa_key_is_refused() -> None:
    with pytest.warns(Warning, match="2048"):
        small = rsa(1024)
    with pytest.raises(KeyRefused, match="2048"):
        jose.public_jwk(small, algorithms=("RS256",))
    good = rsa()
    assert jose.public_jwk(good, algorithms=("RS256",)).algorithms == {"RS256"}
    for exponent in ("AQ", "Aw", "AQAAAAE"):
        with pytest.raises(KeyRefused, match="65537"):
            jose.public_jwk({**good, "e": exponent}, algorithms=("RS256",))


def test_an_rsa_key_of_a_faulty_chip_is_refused() -> None:
    """ROCA (CVE-2017-15361): such moduli are powers of 65537 modulo a product of small primes."""
    product = math.prod(prime for prime, _ in jose._ROCA)
    modulus = pow(65537, 12345, product) + product * ((1 << 2047) // product + 1)
    assert modulus.bit_length() == 2048
    value = {"kty": "RSA", "e": "AQAB", "n": part(modulus.to_bytes(256))}
    with pytest.raises(KeyRefused, match="ROCA"):
        jose.public_jwk(value, algorithms=("RS256",))


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    """RFC 7638, section 3.1."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3ok"
        "njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu"
        "6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8a"
        "wapJzKnqDKgw"
    )
    key = jose.public_jwk({"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256"}, algorithms=("RS256",))
    assert key.thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_key_set_keeps_what_serves_and_leaves_out_the_rest() -> None:
    value = {"keys": [KEY.registered_jwk(), {"kty": "OKP", "crv": "Ed25519", "x": "AA"}, {**rsa(), "use": "enc"}]}
    assert [key.kid for key in jose.key_set(value, algorithms=("ES256", "RS256"))] == [KEY.thumbprint]


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"keys": {}},
        {"keys": [1]},
        {"keys": [{"kty": "EC"}] * (jose.MAX_KEYS + 1)},
        {"keys": [KEY.private_jwk()]},
        {"keys": [{"kty": "oct", "k": "AAAA"}]},
        {"keys": [KEY.registered_jwk(), KEY.registered_jwk()]},
    ],
)
def test_a_key_set_that_can_not_be_trusted_is_refused_whole(value: dict[str, Any]) -> None:
    with pytest.raises(KeyRefused):
        jose.key_set(value, algorithms=("ES256",))


@pytest.mark.parametrize("value", [None, "", "a b", "é", "x" * 129, 7, ["x"], "a\n"])
def test_what_is_no_short_text_is_no_id(value: object) -> None:
    with pytest.raises(JwsRefused):
        jose.short_id(value)


@pytest.mark.parametrize("value", [None, 0, -1, 1.5, True, "1", 1 << 40])
def test_what_is_no_whole_number_of_seconds_is_no_time(value: object) -> None:
    with pytest.raises(JwsRefused):
        jose.instant(value)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(JwsRefused):
        jose.read(text, algorithms=("ES256",), types=("at+jwt",))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "jwk", "x"]), json_values))
def test_any_json_header_is_read_or_refused(header: dict[str, Any]) -> None:
    text = ".".join([part(header), part({}), part(b"\0" * 64)])
    try:
        read = jose.read(text, algorithms=frozenset({"ES256"}), types=frozenset({"at+jwt", None}))
    except JwsRefused:
        return
    assert read.header["alg"] == "ES256"
    with pytest.raises(JwsRefused):
        jose.verify(read, [PUBLIC])


members = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "use", "key_ops", "alg", "kid", "d"])


@given(st.dictionaries(members, json_values | st.sampled_from(["EC", "RSA", "P-256", "sig", "AQAB", "ES256"])))
def test_any_json_key_is_imported_or_refused(value: dict[str, Any]) -> None:
    with pytest.raises(KeyRefused):
        jose.public_jwk(value, algorithms=("ES256", "RS256"))


@given(st.binary(min_size=1, max_size=100))
def test_parts_are_encoded_in_the_one_form_that_is_decoded(raw: bytes) -> None:
    assert jose.decode_part(jose.encode_part(raw)) == raw
