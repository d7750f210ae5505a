"""ECDSA signatures of P-256 in their two forms: DER (X9.62), and raw (r then s, 32 bytes each: JWS, PKCS #11)."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

RAW_BYTES: Final = 64
_NUMBER_BYTES: Final = 32


def raw_of_der(signature: bytes) -> bytes:
    """The raw form. Raises ValueError for what is no DER signature of P-256's size."""
    r, s = decode_dss_signature(signature)
    try:
        return r.to_bytes(_NUMBER_BYTES, "big") + s.to_bytes(_NUMBER_BYTES, "big")
    except OverflowError:
        raise ValueError("a signature with numbers too large, or negative") from None


def is_p256(spki: bytes) -> bool:
    """Whether a DER SubjectPublicKeyInfo holds a key of the curve P-256."""
    try:
        public = load_der_public_key(spki)
    except ValueError:
        return False
    return isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1)
