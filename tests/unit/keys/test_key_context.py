"""The canonical encoding of an encryption context."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from sceau.keys.context import canonical

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
contexts = st.dictionaries(texts, texts, max_size=6)
# A small alphabet, so that borders between names and values get confused if they can be.
close_contexts = st.dictionaries(st.text("ab\0\x01", max_size=3), st.text("ab\0\x01", max_size=3), max_size=3)


def decoded(encoded: bytes) -> tuple[dict[str, str], bytes]:
    """The inverse, written from `docs/formats/wrapped-data-key.md`; with what follows."""
    assert encoded[0] == 1
    count, rest = int.from_bytes(encoded[1:3], "big"), encoded[3:]
    found = []
    for _ in range(2 * count):
        length = int.from_bytes(rest[:2], "big")
        found.append(rest[2 : 2 + length].decode())
        rest = rest[2 + length :]
    return dict(zip(found[::2], found[1::2], strict=True)), rest


def test_pinned_bytes() -> None:
    context = {"record": "a7", "purpose": "document", "é": "", "format": "1"}
    assert canonical(context) == bytes.fromhex(
        "01 0004"
        "0006 666f726d6174 0001 31"
        "0007 707572706f7365 0008 646f63756d656e74"
        "0006 7265636f7264 0002 6137"
        "0002 c3a9 0000"
    )
    assert canonical({}) == bytes.fromhex("01 0000")


def test_names_are_sorted_by_their_utf8_bytes() -> None:
    # By UTF-16 units the second one would come first.
    high, higher = "\uffff", "\U00010000"
    assert (
        canonical({higher: "", high: ""}) == b"\x01\x00\x02\x00\x03\xef\xbf\xbf\x00\x00\x00\x04\xf0\x90\x80\x80\x00\x00"
    )


@given(contexts, st.binary(max_size=8))
def test_it_can_be_read_back_whatever_follows(context: dict[str, str], follows: bytes) -> None:
    assert decoded(canonical(context) + follows) == (context, follows)


@given(close_contexts, close_contexts)
def test_two_contexts_have_the_same_bytes_only_if_equal(one: dict[str, str], other: dict[str, str]) -> None:
    assert (canonical(one) == canonical(other)) == (one == other)


@given(contexts, st.randoms())
def test_order_does_not_matter(context: dict[str, str], random: object) -> None:
    pairs = list(context.items())
    random.shuffle(pairs)  # type: ignore[attr-defined]  # Hypothesis types it as object
    assert canonical(dict(pairs)) == canonical(context)


def test_the_longest_texts_are_encoded_and_longer_ones_refused() -> None:
    longest = "x" * 0xFFFF
    assert decoded(canonical({longest: longest})) == ({longest: longest}, b"")
    for context in ({longest + "x": ""}, {"": longest + "x"}, {"": "é" * 0x8000}):
        with pytest.raises(ValueError, match="too long"):
            canonical(context)
    with pytest.raises(ValueError, match="too many"):
        canonical({str(number): "" for number in range(0x10000)})


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        canonical({"name": "\ud800"})
