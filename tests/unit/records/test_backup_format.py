"""The backup's format, on pinned bytes: docs/formats/backup.md. With another byte here, old backups can't be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sceau.objects.ports import check_name
from sceau.records.backup.format import (
    Copy,
    Erasure,
    RunEnd,
    content_name,
    decode_end,
    decode_marker,
    decode_part,
    encode_end,
    encode_marker,
    encode_part,
    end_name,
    parse_run_name,
    part_name,
    sha256_of,
)

WRITTEN = datetime(2026, 11, 26, 22, 57, 14, 250_000, tzinfo=UTC)
DIGEST = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", FIPS 180-4
NAME = "records/aaaqeayeaudaocajbifqydiob4/dossier"
COPIES = (
    Copy(NAME, DIGEST, 3, "9e107d9d372bb6826bd81d3542a419d6", WRITTEN),
    Copy("due/2026-11-26/x", None, 0, "", WRITTEN),
)
PART = (
    b'{"name":"records/aaaqeayeaudaocajbifqydiob4/dossier","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb41'
    b'0ff61f20015ad","size":3,"tag":"9e107d9d372bb6826bd81d3542a419d6","written":"2026-11-26T22:57:14.250Z"}\n'
    b'{"name":"due/2026-11-26/x","gone":"2026-11-26T22:57:14.250Z"}\n'
)
ERASURE = Erasure(NAME, DIGEST, WRITTEN)
ERASED = (
    b'{"name":"records/aaaqeayeaudaocajbifqydiob4/dossier","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb41'
    b'0ff61f20015ad","erased":"2026-11-26T22:57:14.250Z"}\n'
)
RUN = RunEnd(2, WRITTEN, WRITTEN, (DIGEST,), DIGEST, 1, 0)
END = (
    b'{"format":"sceau-backup/2","run":2,"began":"2026-11-26T22:57:14.250Z","ended":"2026-11-26T22:57:14.250Z",'
    b'"parts":["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],'
    b'"before":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","contents":1,"problems":0}\n'
)


def test_the_pinned_bytes() -> None:
    assert encode_marker("scaleway") == b'{"format":"sceau-backup/2","stage":"scaleway"}\n'
    assert encode_part(COPIES) == PART
    assert encode_part([ERASURE]) == ERASED
    assert encode_end(RUN) == END
    assert sha256_of(b"abc") == DIGEST


def test_what_was_written_is_read() -> None:
    assert decode_marker(encode_marker("scaleway")) == "scaleway"
    assert decode_part(PART) == COPIES
    assert decode_part(ERASED) == (ERASURE,)
    assert content_name(ERASURE.name, ERASURE.sha256) == COPIES[0].object_name
    assert decode_part(b"") == ()
    assert decode_end(END) == RUN


def test_what_format_1_wrote_is_read_and_bound_by_the_same_digest() -> None:
    """It has no erasures, and is else the same."""
    old = END.replace(b"sceau-backup/2", b"sceau-backup/1")
    end = decode_end(old)
    assert end == replace(RUN, format="sceau-backup/1")
    assert encode_end(end) == old
    assert decode_marker(b'{"format":"sceau-backup/1","stage":"scaleway"}\n') == "scaleway"
    for later in (b"sceau-backup/3", b"sceau-backup/"):
        with pytest.raises(ValueError, match="format"):
            decode_end(END.replace(b"sceau-backup/2", later))
        with pytest.raises(ValueError, match="format"):
            decode_marker(encode_marker("x").replace(b"sceau-backup/2", later))


def test_the_names() -> None:
    assert COPIES[0].object_name == f"objects/{NAME}.{DIGEST}"
    assert (part_name(2, 1), end_name(2)) == ("runs/00000002/000001", "runs/00000002/end")
    assert part_name(2, 999_999) < end_name(2) < part_name(3, 1)
    for name in (COPIES[0].object_name, part_name(2, 1), end_name(2), "sceau-backup"):
        check_name(name)
    assert parse_run_name(part_name(2, 1)) == (2, 1)
    assert parse_run_name(end_name(2)) == (2, None)
    with pytest.raises(ValueError, match="no content"):
        _ = COPIES[1].object_name


@pytest.mark.parametrize("name", ["runs/2/end", "runs/00000000/end", "runs/00000001/000000", "runs/00000001/x", "x"])
def test_other_names_are_none_of_a_run(name: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        parse_run_name(name)


@pytest.mark.parametrize(
    "data",
    [
        PART[:-1],
        PART.replace(b'"size":3', b'"size":-1'),
        PART.replace(b'"size":3', b'"size":true'),
        PART.replace(b'"size":3', b'"size":3,"more":1'),
        PART.replace(b'"tag":"9e107d9d372bb6826bd81d3542a419d6"', b'"tag":null'),
        PART.replace(b"ba7816", b"BA7816"),
        PART.replace(b"2026-11-26T22:57:14.250Z", b"yesterday"),
        PART.replace(b"due/2026-11-26/x", b"../x"),
        ERASED.replace(b'"erased"', b'"gone"'),
        ERASED.replace(b"ba7816", b"BA7816"),
        ERASED.replace(b"2026-11-26T22:57:14.250Z", b"2026"),
        b"[]\n",
        b"null\n",
        b"\xff\n",
        b'{"name":"x"}\n',
    ],
)
def test_a_part_out_of_its_form_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode_part(data)


@pytest.mark.parametrize(
    "data",
    [
        END.replace(b"sceau-backup/2", b"sceau-backup/3"),
        END.replace(b'"run":2', b'"run":"2"'),
        END.replace(b'"run":2', b'"run":-2'),
        END.replace(b'"parts":["ba', b'"parts":["BA'),
        END.replace(b'"before":"ba', b'"before":"za'),
        END.replace(b',"problems":0', b""),
        b"[]",
        b"",
    ],
)
def test_an_end_out_of_its_form_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode_end(data)


@pytest.mark.parametrize(
    "data", [b"{}", b"[]", b'{"format":"sceau-backup/3","stage":"x"}', b'{"format":"sceau-backup/1"}']
)
def test_another_marker_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode_marker(data)
