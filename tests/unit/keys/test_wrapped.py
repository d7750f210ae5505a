"""Reading which version a wrapped data key needs, without any key."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, strategies as st

from sceau.keys.wrapped import CUSTODY_HEAD, Form, WrappedUnder, custody_parts, wrapped_under

KEY_ID = uuid.UUID("0a8f1c52-1d2e-4f3a-8b4c-5d6e7f809a1b")
LOCAL = bytes.fromhex("01 00000007") + bytes(60)
KMS = b"\x04" + KEY_ID.bytes + b"opaque"


def in_custody(first: bytes, second: bytes) -> bytes:
    return CUSTODY_HEAD.pack(Form.CUSTODY, len(first)) + first + second


@pytest.mark.parametrize(
    ("wrapped", "told"),
    [
        (LOCAL, WrappedUnder(Form.LOCAL, "7", exact=True)),
        (b"\x02" + LOCAL[1:], WrappedUnder(Form.PKCS11_GCM, "7", exact=True)),
        (b"\x03" + LOCAL[1:], WrappedUnder(Form.PKCS11_CBC_HMAC, "7", exact=True)),
        (KMS, WrappedUnder(Form.AWS_KMS, str(KEY_ID), exact=False)),
        (b"\x05" + KMS[1:], WrappedUnder(Form.SCALEWAY, str(KEY_ID), exact=False)),
        (
            in_custody(b"\x02" + LOCAL[1:], LOCAL),
            WrappedUnder(Form.CUSTODY, "7 and 7", exact=True),
        ),
        (in_custody(KMS, LOCAL), WrappedUnder(Form.CUSTODY, f"{KEY_ID} and 7", exact=False)),
    ],
)
def test_each_form_tells_the_version_that_it_needs(wrapped: bytes, told: WrappedUnder) -> None:
    assert wrapped_under(wrapped) == told


@pytest.mark.parametrize(
    "wrapped",
    [
        b"",
        b"\x00" + LOCAL[1:],
        b"\x07" + LOCAL[1:],
        LOCAL[:4],
        KMS[:16],
        in_custody(LOCAL, b""),
        in_custody(b"", LOCAL),
        in_custody(LOCAL, LOCAL)[:40],
        in_custody(in_custody(LOCAL, LOCAL), LOCAL),
        in_custody(LOCAL, in_custody(LOCAL, LOCAL)),
        b"\x06",
    ],
)
def test_other_bytes_are_no_wrapped_key(wrapped: bytes) -> None:
    with pytest.raises(ValueError, match="not a wrapped data key"):
        wrapped_under(wrapped)


@given(st.binary(max_size=300))
def test_any_bytes_are_told_or_refused(wrapped: bytes) -> None:
    try:
        told = wrapped_under(wrapped)
    except ValueError:
        return
    assert told.form == wrapped[0]


@given(st.binary(min_size=1, max_size=200), st.binary(min_size=1, max_size=200))
def test_parts_in_custody_come_apart_as_they_were_put_together(first: bytes, second: bytes) -> None:
    if Form.CUSTODY in {first[0], second[0]}:
        return
    assert custody_parts(in_custody(first, second)) == (first, second)
