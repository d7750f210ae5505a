"""Compact JWS, held to one strict form, and the public keys that verify it.

joserfc does the cryptography. This module adds what it leaves open (it accepts, for one, bad base64 padding:
Wycheproof JWS 367 and 370): three parts in canonical base64url, a bounded size, JSON objects without duplicate
members, an explicit list of algorithms and types, no `crit`, no key that the header itself brings (but in `dpop`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from sceau.identity.errors import JwsRefused, KeyRefused

MAX_CHARS: Final = 16_384
"""Largest compact JWS that is looked at."""

MAX_KEYS: Final = 50
"""Largest key set that is looked at."""

_PART = re.compile(r"[A-Za-z0-9_-]+")
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_CURVES: Final = {"P-256": (32, ("ES256",)), "P-384": (48, ("ES384",)), "P-521": (66, ("ES512",))}
_RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_RSA_BITS: Final = range(2048, 4097)
_RSA_EXPONENT: Final = 65_537
_ROCA: Final = tuple(
    (prime, frozenset(pow(_RSA_EXPONENT, power, prime) for power in range(prime - 1)))
    for prime in (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
)
"""Modulo each of these, a faulty chip's moduli are powers of 65,537: cards and TPMs of 2012 to 2017 made such keys."""
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_LATEST: Final = 1 << 40  # the year 36,812: a NumericDate beyond it is no date


@dataclass(frozen=True, slots=True)
class UnverifiedJws:
    """A JWS that has the right form. Nothing in it is true yet."""

    header: Mapping[str, Any]
    payload: bytes
    text: str

    def __repr__(self) -> str:
        return "UnverifiedJws(…)"


@dataclass(frozen=True, slots=True)
class PublicJwk:
    """A public key that may verify signatures: its id, its algorithms, its RFC 7638 thumbprint."""

    kid: str | None
    algorithms: frozenset[str]
    thumbprint: str
    key: ECKey | RSAKey = field(compare=False)  # joserfc's keys have no hash; the thumbprint says which one it is

    def as_dict(self) -> dict[str, Any]:
        """The public members only."""
        return dict(self.key.as_dict(private=False))


def decode_part(part: str) -> bytes:
    """Decode one part of a JWS: base64url without padding, with zero unused bits. Raises JwsRefused."""
    if not _PART.fullmatch(part) or len(part) % 4 == 1:
        raise JwsRefused("a part is not base64url")
    raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if encode_part(raw) != part:
        raise JwsRefused("a part is not canonical base64url")
    return raw


def encode_part(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def strict_object(raw: bytes) -> dict[str, Any]:
    """Parse a JSON object in UTF-8. Raises ValueError: not one, a duplicate member, NaN, a lone surrogate, too deep."""
    try:
        text = raw.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("JSON too deep") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one error for every malformed text
    if "\\ud" in text.lower():
        # An escaped lone surrogate is legal JSON, but no text that can be hashed, compared or stored.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a JSON object has a duplicate member")
    return found


def _no_constant(_: str) -> Any:
    raise ValueError("not a JSON number")


def read(
    text: str, *, algorithms: Collection[str], types: Collection[str | None], max_chars: int = MAX_CHARS
) -> UnverifiedJws:
    """Check the form of a compact JWS: the strict front check, before any key is looked at. Raises JwsRefused.

    `types` lists the accepted `typ` values exactly; None in it accepts a header without `typ`.
    """
    if len(text) > max_chars:
        raise JwsRefused("the JWS is too large")
    parts = text.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        raise JwsRefused("a compact JWS has three parts")
    payload, _ = (decode_part(part) for part in parts[1:])
    header = header_of(parts[0])
    if "crit" in header or "b64" in header:
        raise JwsRefused("critical header parameters are not understood here")
    algorithm, kind, kid = header.get("alg"), header.get("typ"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise JwsRefused("the algorithm is not accepted here")
    if not (kind is None or isinstance(kind, str)) or kind not in types:
        raise JwsRefused("the type is not accepted here")
    if kid is not None and not (isinstance(kid, str) and _ID.fullmatch(kid)):
        raise JwsRefused("the key id is not a short text")
    return UnverifiedJws(header, payload, text)


@lru_cache(maxsize=256)
def header_of(part: str) -> Mapping[str, Any]:
    """The header that the first part of a JWS holds, not to be changed. Raises JwsRefused.

    Kept by its text: a client's proofs all have the same header, and so have all tokens of ours.
    """
    try:
        return strict_object(decode_part(part))
    except ValueError:
        raise JwsRefused("the header is not a JSON object without duplicate members") from None


def claims(token: UnverifiedJws) -> dict[str, Any]:
    """The payload as a JSON object. Raises JwsRefused. Not verified by this: see `verify`."""
    try:
        return strict_object(token.payload)
    except ValueError:
        raise JwsRefused("the payload is not a JSON object without duplicate members") from None


def verify(token: UnverifiedJws, keys: Sequence[PublicJwk]) -> None:
    """Verify the signature under the one key of `keys` that the header names. Raises JwsRefused.

    With a `kid`, exactly one key must have it; without, exactly one key must serve the algorithm.
    """
    key = select(token, keys)
    algorithm = token.header["alg"]
    if algorithm not in key.algorithms:
        raise JwsRefused("the key is not for this algorithm")
    try:
        jws.deserialize_compact(token.text, key.key, registry=_registry(algorithm))
    except (JoseError, ValueError):
        raise JwsRefused("the signature does not verify") from None


def select(token: UnverifiedJws, keys: Sequence[PublicJwk]) -> PublicJwk:
    """The key that the header names. Raises JwsRefused when there is none, or more than one."""
    kid, algorithm = token.header.get("kid"), token.header["alg"]
    found = [key for key in keys if (key.kid == kid if kid is not None else algorithm in key.algorithms)]
    if len(found) != 1:
        raise JwsRefused("no key, or several, could have made the signature")
    return found[0]


@cache
def _registry(algorithm: str) -> JWSRegistry:
    # strict_check_header=False: unknown header parameters are ignored, as RFC 7515 (section 4) wants.
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = MAX_CHARS
    return registry


def public_jwk(value: Mapping[str, Any], *, algorithms: Collection[str]) -> PublicJwk:
    """Import one public key that serves at least one of `algorithms`. Raises KeyRefused.

    EC: P-256, P-384, P-521, coordinates at their full length. RSA: 2,048 to 4,096 bits, public exponent 65,537.
    """
    if not _PRIVATE_MEMBERS.isdisjoint(value):
        raise KeyRefused("a private or symmetric key has no place here")
    operations = value.get("key_ops", ["verify"])
    if value.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise KeyRefused("the key is not for signatures")
    kid = value.get("kid")
    if kid is not None and not (isinstance(kid, str) and _ID.fullmatch(kid)):
        raise KeyRefused("the key id is not a short text")
    match value.get("kty"):
        case "EC":
            key, able = _ec_key(value)
        case "RSA":
            key, able = _rsa_key(value)
        case _:
            raise KeyRefused("the key is of no accepted type")
    usable = frozenset(able) & frozenset(algorithms)
    if "alg" in value:
        usable &= {value["alg"]} if isinstance(value["alg"], str) else frozenset[str]()
    if not usable:
        raise KeyRefused("the key serves no accepted algorithm")
    return PublicJwk(kid, usable, key.thumbprint(), key)


def _ec_key(value: Mapping[str, Any]) -> tuple[ECKey | RSAKey, Iterable[str]]:
    curve = value.get("crv")
    if not isinstance(curve, str) or curve not in _CURVES:
        raise KeyRefused("the key is on no accepted curve")
    size, algorithms = _CURVES[curve]
    if any(len(_member(value, name)) != size for name in ("x", "y")):
        raise KeyRefused("a coordinate has another length than its curve's")
    try:
        return ECKey.import_key({name: value[name] for name in ("kty", "crv", "x", "y")}), algorithms
    except (JoseError, ValueError):
        raise KeyRefused("the point is not on its curve") from None


def _rsa_key(value: Mapping[str, Any]) -> tuple[ECKey | RSAKey, Iterable[str]]:
    modulus, exponent = _member(value, "n"), _member(value, "e")
    if int.from_bytes(modulus, "big").bit_length() not in _RSA_BITS or modulus[0] == 0:
        raise KeyRefused(f"an RSA key has {_RSA_BITS.start} to {_RSA_BITS.stop - 1} bits")
    if int.from_bytes(exponent, "big") != _RSA_EXPONENT:
        raise KeyRefused("an RSA key has the public exponent 65537")
    if all(int.from_bytes(modulus, "big") % prime in powers for prime, powers in _ROCA):
        raise KeyRefused("an RSA key of a faulty chip (ROCA, CVE-2017-15361): anybody can find its private half")
    try:
        return RSAKey.import_key({name: value[name] for name in ("kty", "n", "e")}), _RSA_ALGORITHMS
    except (JoseError, ValueError):
        raise KeyRefused("not an RSA key") from None


def _member(value: Mapping[str, Any], name: str) -> bytes:
    text = value.get(name)
    if not isinstance(text, str):
        raise KeyRefused("a member of the key is missing")
    try:
        return decode_part(text)
    except JwsRefused:
        raise KeyRefused("a member of the key is not canonical base64url") from None


def key_set(value: Mapping[str, Any], *, algorithms: Collection[str]) -> tuple[PublicJwk, ...]:
    """The usable keys of a JWK set; keys for other uses or of unknown types are left out (RFC 7517, section 5).

    Raises KeyRefused for what is no key set, for one that gives out a private key, or for a `kid` used twice.
    """
    members = value.get("keys")
    if not isinstance(members, list) or len(members) > MAX_KEYS or not all(isinstance(one, dict) for one in members):
        raise KeyRefused("not a JSON Web Key Set")
    found: list[PublicJwk] = []
    for one in members:
        if not _PRIVATE_MEMBERS.isdisjoint(one):
            raise KeyRefused("a private or symmetric key has no place here")
        try:
            found.append(public_jwk(one, algorithms=algorithms))
        except KeyRefused:
            continue
    kids = [key.kid for key in found if key.kid is not None]
    if len(set(kids)) != len(kids):
        raise KeyRefused("two keys have the same id")
    return tuple(found)


def short_id(value: object) -> str:
    """A `jti` or similar: 1 to 128 printable ASCII characters without space. Raises JwsRefused."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise JwsRefused("an identifier is missing or not a short text")
    return value


def instant(value: object) -> int:
    """A NumericDate, in whole seconds (we take no fractions). Raises JwsRefused."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _LATEST:
        raise JwsRefused("a time is missing or not a whole number of seconds")
    return value
