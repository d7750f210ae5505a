"""What acts ask of key services when content and dossiers are in the custody of two (issue 5): twice, and no more."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from benchmarks.functions import functions_of
from benchmarks.https import RAW
from benchmarks.records import PEOPLE, RecordWriter
from benchmarks.stage import make_stage, quiet_log
from fakes.keys import PolicingKeys
from fakes.objects import PolicingStore
from sceau.keys.custody import CustodyKeyService
from sceau.keys.keyfile import create_key_file
from sceau.keys.local import LocalKeyService
from sceau.keys.ports import KeyName
from unit.http.test_calls_per_act import World, counted


def test_in_custody_each_call_for_content_and_dossier_is_made_twice_and_no_other(tmp_path: Path) -> None:
    """`single`: the record was written before the stage moved into custody; its dossier moves with the first act."""
    local = make_stage(tmp_path / "stage")
    create_key_file(tmp_path / "second.json", clock=lambda: datetime.now(UTC))
    first, second = PolicingKeys(local.stage.keys()), PolicingKeys(LocalKeyService(tmp_path / "second.json"))
    both = CustodyKeyService(first, second, {KeyName.CONTENT, KeyName.DOSSIER}, single=True)
    store = PolicingStore(local.stage.store())
    with quiet_log(), functions_of(local, store=store, keys=both) as functions:
        record = RecordWriter(local.stage).write(PEOPLE["dominique"], 12)
        laboratory, physician = functions.session("laboratory"), functions.session("hospital-physician")
        world = World(functions, store, first, record, laboratory, physician)
        published = world.publish(1)
        world.begin()
        second.calls.clear()

        world.publish(1)
        world.search()
        world.act(physician, "GET", f"/fhir/Binary/{published}", RAW)
        functions.session("hospital-physician")
        each = {"unwrap dossier": 3, "wrap content": 1, "wrap dossier": 1, "unwrap content": 1}
        assert counted(first) == {**each, "sign tokens": 1}
        assert counted(second) == each
        assert {call.key for call in second.calls} == {KeyName.CONTENT, KeyName.DOSSIER}
