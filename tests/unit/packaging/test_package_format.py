"""The package's own files, byte for byte: docs/formats/package.md. A change of what is pinned needs another format."""

from __future__ import annotations

from iac.packaging.build import Artefact, Package
from iac.packaging.signing import digest_list
from iac.packaging.tree import File, Folder, Link, Tree

PINNED_MANIFEST = b"""{
 "format": 1,
 "stage": "s",
 "kind": "lambda",
 "artefacts": [
  {
   "name": "layer",
   "sha256": "00",
   "packed_bytes": 1,
   "unpacked_bytes": 2,
   "file": "layer.zip",
   "role": "layer",
   "runtime": "python3.13",
   "architecture": "x86_64"
  },
  {
   "name": "upkeep",
   "sha256": "01",
   "packed_bytes": 3,
   "unpacked_bytes": 4,
   "function": "upkeep",
   "handler": "app.upkeep",
   "memory_mb": 512,
   "timeout_seconds": 300,
   "schedule": "rate(1 hour)",
   "file": "upkeep.zip",
   "role": "function"
  }
 ]
}
"""

PINNED_LIST = b"""\
ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  Z/a
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a.zip
"""


def test_the_manifest_is_frozen() -> None:
    layer = {"file": "layer.zip", "role": "layer", "runtime": "python3.13", "architecture": "x86_64"}
    upkeep = {
        "function": "upkeep",
        "handler": "app.upkeep",
        "memory_mb": 512,
        "timeout_seconds": 300,
        "schedule": "rate(1 hour)",
        "file": "upkeep.zip",
        "role": "function",
    }
    artefacts = (Artefact("layer", "00", 1, 2, 9, layer), Artefact("upkeep", "01", 3, 4, 9, upkeep))
    assert Package("s", "lambda", {}, artefacts, (), (), {}).manifest() == PINNED_MANIFEST


def test_the_digest_list_is_frozen() -> None:
    files: Tree = {"a.zip": File(b""), "Z/a": File(b"a", executable=True), "b": Link("a.zip"), "c": Folder()}
    assert digest_list(files) == PINNED_LIST
