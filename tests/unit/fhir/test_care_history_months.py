"""What is read of the insurer's care history: the days that it covers, and whose acts on which day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from sceau.access.model import Identifier
from sceau.cli.samples import AUTHORS, PATIENTS, STRUCTURES, make_cda
from sceau.fhir.care_history import CareHistory, person, read_care_history
from sceau.fhir.cda import parse_xml

WHEN = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
PERSONS, STRUCTURE = "urn:oid:1.2.250.1.71.4.2.1", "urn:oid:1.2.250.1.71.4.2.2"
DOCTOR, PRACTICE = Identifier(PERSONS, "899700000105"), Identifier(STRUCTURE, "1000000404")


def sample(when: datetime = WHEN) -> bytes:
    return make_cda(
        "care-history",
        patient=PATIENTS["dune"],
        author=AUTHORS["insurer"],
        structure=STRUCTURES["insurer"],
        document_id="urn:oid:2.25.1",
        when=when,
    )


def read(data: bytes) -> CareHistory | None:
    return read_care_history(parse_xml(data))


def test_the_days_that_a_history_covers() -> None:
    found = read(sample())
    assert found is not None
    assert (found.start, found.end) == (date(2024, 3, 1), date(2026, 3, 1))
    leap = read(sample(datetime(2028, 2, 29, 10, tzinfo=UTC)))
    assert leap is not None
    assert leap.start == date(2026, 2, 28)


def test_the_acts_of_a_history_are_of_who_did_them_on_the_day() -> None:
    found = read(sample())
    assert found is not None
    days = {WHEN.date() - timedelta(days=30 * number) for number in range(3)}
    assert found.acts == {(day, who) for day in days for who in (DOCTOR, PRACTICE)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'<low value="20240301103000+0000"/>', b""),
        (b'<high value="20260301103000+0000"/>', b'<high nullFlavor="UNK"/>'),
        (b'value="20240301103000+0000"', b'value="202403"'),
        (b'value="20240301103000+0000"', b'value="20240231"'),
        (b'value="20240301103000+0000"', b'value="hier"'),
    ],
)
def test_a_history_that_does_not_say_which_days_it_covers(old: bytes, new: bytes) -> None:
    data = sample()
    assert old in data
    assert read(data.replace(old, new)) is None


ACT = (
    '<entry><supply classCode="SPLY" moodCode="EVN">{before}<performer>{time}<assignedEntity>{who}</assignedEntity>'
    "</performer>{author}</supply></entry></section>"
)
ID = '<id root="1.2.250.1.71.4.2.1" extension="{}"/>'


def with_entry(entry: str) -> frozenset[tuple[date, Identifier]]:
    """The acts of a sample with one more entry, less those of the sample."""
    data, found = sample(), read(sample())
    assert found is not None
    at = data.rindex(b"</section>")
    more = read(data[:at] + entry.encode() + data[at + len(b"</section>") :])
    assert more is not None
    return more.acts - found.acts


def act(*, before: str = "", time: str = "", who: str = ID.format("10101451689"), author: str = "") -> str:
    return ACT.format(before=before, time=time, who=who, author=author)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (act(time='<time value="20260105"/>'), {(date(2026, 1, 5), person("10101451689"))}),
        (act(before='<effectiveTime value="20260106"/>'), {(date(2026, 1, 6), person("10101451689"))}),
        (
            act(before='<effectiveTime><low value="20260107083000+0100"/></effectiveTime>'),
            {(date(2026, 1, 7), person("10101451689"))},
        ),
        # Its own day comes before that of the statement around it.
        (
            act(before='<effectiveTime value="20260106"/>', time='<time value="20260105"/>'),
            {(date(2026, 1, 5), person("10101451689"))},
        ),
        # Who prescribed it counts as who did it.
        (
            act(
                who='<id nullFlavor="UNK"/>',
                author='<author><time value="20260108094914+0100"/><assignedAuthor>'
                + ID.format("899700000105")
                + "</assignedAuthor></author>",
            ),
            {(date(2026, 1, 8), DOCTOR)},
        ),
        (act(), set()),  # no day
        (act(time='<time value="20261332"/>'), set()),
        (act(time='<time value="20260105"/>', who='<id root="1.2.3" extension="899700000105"/>'), set()),
        (act(time='<time value="20260105"/>', who='<id root="1.2.250.1.71.4.2.1"/>'), set()),
    ],
)
def test_an_act_has_a_day_and_somebody(entry: str, expected: set[tuple[date, Identifier]]) -> None:
    assert with_entry(entry) == expected


def test_a_bare_rpps_is_the_national_id_without_its_first_digit() -> None:
    assert person("99700000105") == DOCTOR == person("899700000105")
    assert person("697121458706").value == "697121458706"
    assert person("1234567890a").value == "1234567890a"


def test_a_history_of_endless_acts_is_read_in_part() -> None:
    many = "".join(
        '<entry><act classCode="ACT" moodCode="EVN"><effectiveTime value="20260105"/>'
        f"<performer><assignedEntity>{ID.format(800_000_000_000 + n)}</assignedEntity></performer></act></entry>"
        for n in range(20_010)
    )
    assert 19_000 < len(with_entry(many + "</section>")) <= 20_000


def test_the_published_example(shared: Path) -> None:
    found = read((shared / "corpus" / "cda" / "CNAM-HR_2021.01.xml").read_bytes())
    assert found is not None
    assert (found.start, found.end) == (date(2019, 1, 1), date(2019, 7, 1))
    assert {
        (date(2019, 2, 8), person("10101451689")),
        (date(2019, 2, 8), Identifier(STRUCTURE, "1750051211")),
        (date(2019, 5, 26), Identifier(PERSONS, "697121458706")),
        (date(2019, 5, 28), Identifier(STRUCTURE, "1750300550")),
    } <= found.acts
