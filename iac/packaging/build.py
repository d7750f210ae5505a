"""From the chalicefile and the locks to a stage's package, as a value: named files, their digests and their sizes."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from iac.container_host import compose, front
from iac.packaging import debian, image, sources, target
from iac.packaging.errors import BuildError
from iac.packaging.interpreter import Interpreter, write_tree
from iac.packaging.lock import Locked, chosen, read_lock
from iac.packaging.tree import Entry, File, Tree, below, merged, size, to_tar
from iac.packaging.wheels import Wheel, as_tree, fetch_wheels
from sceau_schemas.deployment import Chalicefile, FunctionSpec, read_chalicefile

ONLY_IN_CONTAINERS: Final = ("granian", "python-pkcs11")
"""What no Lambda needs: the server, and the way to an organisation's own HSM."""

MB: Final = 1_000_000
LARGEST_ZIPPED: Final = 30 * MB
"""A function's zip and its layer together: what a cold start has to fetch."""
LARGEST_UNZIPPED: Final = 250 * 1024 * 1024
"""Lambda's own limit for a function with its layers."""
LARGEST_IMAGE: Final = 120 * MB
"""The image's layers, compressed."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """One thing that is deployed. `facts` go into the manifest, for the templates that deploy it."""

    name: str
    sha256: str
    packed_bytes: int
    unpacked_bytes: int
    limit_bytes: int
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Package:
    """A stage's package: its files by name, and what they are."""

    stage: str
    kind: str
    files: Tree
    artefacts: tuple[Artefact, ...]
    wheels: tuple[Wheel, ...]
    debs: tuple[debian.Deb, ...]
    lock: Mapping[str, Locked]

    def manifest(self) -> bytes:
        """What is in the package, for machines: format 1."""
        artefacts = [
            {
                "name": one.name,
                "sha256": one.sha256,
                "packed_bytes": one.packed_bytes,
                "unpacked_bytes": one.unpacked_bytes,
                **one.facts,
            }
            for one in self.artefacts
        ]
        whole = {"format": 1, "stage": self.stage, "kind": self.kind, "artefacts": artefacts}
        return json.dumps(whole, indent=1).encode() + b"\n"


def build(root: Path, stage: str, cache: Path, base_lock: Path) -> Package:
    """Build a stage's package. Raises BuildError with one sentence, also when something is over its limit."""
    sources.refuse_strays(root)
    file = read_chalicefile(root / "chalicefile")
    spec = file.stages.get(stage)
    if spec is None:
        raise BuildError(f"the chalicefile declares no stage {stage!r}; it has {', '.join(sorted(file.stages))}")
    if spec.host == "local":
        raise BuildError(f"stage {stage} is a local stage: it runs from the checkout, and nothing is packaged for it")
    debs = debian.fetch_base(debian.read_base_lock(base_lock), cache)
    base = debian.unpacked(debs)
    lock = read_lock(root / "requirements" / "runtime.txt")
    with tempfile.TemporaryDirectory(prefix="sceau-base-") as folder:
        write_tree(base, Path(folder))
        maker = _Maker(root, stage, file, cache, lock, Interpreter(Path(folder)), base, tuple(debs))
        package = maker.lambdas() if spec.host == "aws" else maker.image()
    require_limits(package)
    return package


@dataclass(frozen=True, slots=True)
class _Maker:
    root: Path
    stage: str
    file: Chalicefile
    cache: Path
    lock: Mapping[str, Locked]
    interpreter: Interpreter
    base: Tree
    debs: tuple[debian.Deb, ...]

    def lambdas(self) -> Package:
        """A zip for each function that the stage deploys, and the layer that they share."""
        wheels = self._wheels(ONLY_IN_CONTAINERS)
        ours = sources.layer_sources(self.root, container=False)
        layer_tar = self._compiled(below("python", merged(as_tree(wheels), ours)), target.LAMBDA_LAYER_ROOT)
        layer = self.interpreter.run(layer_tar, "zip")
        files: Tree = {"layer.zip": File(layer)}
        layer_facts = {
            "file": "layer.zip",
            "role": "layer",
            "runtime": target.LAMBDA_RUNTIME,
            "architecture": target.LAMBDA_ARCHITECTURE,
        }
        artefacts = [
            Artefact("layer", _digest(layer), len(layer), len(layer_tar), LARGEST_ZIPPED, layer_facts),
        ]
        for name, function in self.file.deployed(self.file.stages[self.stage]).items():
            tree = sources.function_sources(self.root, name)
            data = self.interpreter.run(self._compiled(tree, target.LAMBDA_TASK_ROOT), "zip")
            files[f"{name}.zip"] = File(data)
            facts = _function_facts(name, function) | {"file": f"{name}.zip", "role": "function"}
            artefacts.append(Artefact(name, _digest(data), len(data), size(tree), LARGEST_ZIPPED, facts))
        return Package(self.stage, "lambda", files, tuple(artefacts), tuple(wheels), (), self.lock)

    def image(self) -> Package:
        """One image for all functions: the environment may switch one on that the file has off."""
        wheels = self._wheels(())
        names = list(self.file.functions)
        ours = merged(
            below("opt/python", sources.layer_sources(self.root, container=True)),
            below("opt/sceau", sources.home_sources(self.root, names)),
        )
        parts: dict[str, Mapping[str, Entry]] = {
            "Debian's packages, by base.lock": self.base | debian.system_files(image.USER),
            "wheels, by requirements/runtime.txt": below("opt/python", as_tree(wheels)),
            "sceau": ours,
        }
        layers = []
        for what, tree in parts.items():
            tar = self._compiled(tree, "")
            layers.append(image.Layer(what, tar, self.interpreter.run(tar, "gzip")))
        made = image.assembled(layers)
        facts = {
            "file": "image",
            "role": "image",
            "digest": made.digest,
            "platform": f"linux/{target.OCI_ARCHITECTURE}",
            "port": image.PORT,
            "user": image.USER,
            "functions": [_function_facts(name, function) for name, function in self.file.functions.items()],
        }
        unpacked = sum(len(layer.tar) for layer in layers)
        digest = made.digest.removeprefix("sha256:")
        artefact = Artefact("image", digest, made.compressed_bytes, unpacked, LARGEST_IMAGE, facts)
        files: Tree = {"Dockerfile": File(image.dockerfile(layers).encode())}
        files |= below("image", made.layout) | below("container-host", self._container_host(made.digest))
        return Package(self.stage, "image", files, (artefact,), tuple(wheels), self.debs, self.lock)

    def _container_host(self, digest: str) -> Tree:
        """What a host of one's own needs beside the image: the front's configuration, and a compose file."""
        spec = self.file.stages[self.stage]
        functions = self.file.deployed(spec)
        return {
            compose.TEMPLATE: File(front.nginx_template(functions, spec).encode()),
            compose.COMPOSE: File(compose.compose_file(self.stage, digest, functions, spec).encode()),
        }

    def _wheels(self, without: tuple[str, ...]) -> list[Wheel]:
        return fetch_wheels(chosen(dict(self.lock), without), self.cache)

    def _compiled(self, tree: Mapping[str, Entry], prefix: str) -> bytes:
        return self.interpreter.run(to_tar(tree), "compile", prefix)


def _function_facts(name: str, function: FunctionSpec) -> dict[str, Any]:
    return {
        "function": name,
        "handler": "app.app" if function.routes else f"app.{name}",
        "memory_mb": function.memory_mb,
        "timeout_seconds": function.timeout_seconds,
        "schedule": function.schedule.text if function.schedule else None,
        "on_demand": function.on_demand,
    }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def require_limits(package: Package) -> None:
    """Raise BuildError for what is over its limit. A function is fetched and unpacked together with its layer."""
    layers = [one for one in package.artefacts if one.facts["role"] == "layer"]
    for one in package.artefacts:
        with_layers = [one, *layers] if one.facts["role"] == "function" else [one]
        named = f"{one.name} with its layer" if len(with_layers) > 1 else one.name
        packed = sum(part.packed_bytes for part in with_layers)
        unpacked = sum(part.unpacked_bytes for part in with_layers)
        if packed > one.limit_bytes:
            raise BuildError(f"{named} is {packed} bytes packed, over the limit of {one.limit_bytes}")
        if package.kind == "lambda" and unpacked > LARGEST_UNZIPPED:
            raise BuildError(f"{named} is {unpacked} bytes unpacked, over Lambda's {LARGEST_UNZIPPED}")
