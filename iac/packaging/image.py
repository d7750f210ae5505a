"""An OCI image, written as its specification says: three layers, a configuration, a manifest, an index.

Layers from what changes least to what changes most: Debian's packages, the locked wheels, our code.
https://github.com/opencontainers/image-spec/blob/v1.1.0/spec.md
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from iac.packaging.target import OCI_ARCHITECTURE
from iac.packaging.tree import File, Tree

NAME: Final = "sceau"
"""How the layout calls the image: there is one in it."""

USER: Final = 65532
PORT: Final = 8080
EPOCH: Final = "1970-01-01T00:00:00Z"
HOME: Final = "/opt/sceau"

_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"

ENVIRONMENT: Final = {
    "PATH": "/usr/bin",
    "LANG": "C.UTF-8",
    "PYTHONPATH": "/opt/python",
    "PYTHONSAFEPATH": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    "SCEAU_CHALICEFILE": f"{HOME}/chalicefile",
}
"""Where things are. Nothing of a stage: that is for the host to say."""

ENTRYPOINT: Final = ("/usr/bin/python3.13", "-m", "sceau.cli.container")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its tar, and the same compressed."""

    what: str
    tar: bytes
    compressed: bytes


@dataclass(frozen=True, slots=True)
class Image:
    """The image's layout as files, its digest, and what its layers weigh compressed."""

    layout: Tree
    digest: str
    compressed_bytes: int


def assembled(layers: Sequence[Layer]) -> Image:
    """The image of these layers."""
    blobs: dict[str, bytes] = {}

    def blob(media_type: str, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    config = blob(_CONFIG, _json(configuration(layers)))
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": config,
        "layers": [blob(_LAYER, layer.compressed) for layer in layers],
    }
    described = blob(_MANIFEST, _json(manifest))
    described["annotations"] = {"org.opencontainers.image.ref.name": NAME}
    described["platform"] = {"architecture": OCI_ARCHITECTURE, "os": "linux"}
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [described]}
    layout: Tree = {f"blobs/sha256/{digest}": File(data) for digest, data in blobs.items()}
    layout["index.json"] = File(_json(index))
    layout["oci-layout"] = File(_json({"imageLayoutVersion": "1.0.0"}))
    return Image(layout, described["digest"], sum(len(layer.compressed) for layer in layers))


def configuration(layers: Sequence[Layer]) -> dict[str, Any]:
    """How the image runs: not as root, by one command, told everything else by its environment."""
    return {
        "architecture": OCI_ARCHITECTURE,
        "os": "linux",
        "created": EPOCH,
        "config": {
            "User": f"{USER}:{USER}",
            "Env": [f"{name}={value}" for name, value in ENVIRONMENT.items()],
            "Entrypoint": list(ENTRYPOINT),
            "Cmd": ["serve"],
            "WorkingDir": HOME,
            "ExposedPorts": {f"{PORT}/tcp": {}},
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "sceau",
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(layer.tar).hexdigest()}" for layer in layers],
        },
        "history": [{"created": EPOCH, "created_by": layer.what} for layer in layers],
    }


def dockerfile(layers: Sequence[Layer]) -> str:
    """The same image for who has an engine: `docker build build/package/<stage>`. Nothing is fetched, nothing is run.

    An engine writes layers of its own, so the digest is another one; files and configuration are the same.
    """
    blobs = [f"image/blobs/sha256/{hashlib.sha256(layer.compressed).hexdigest()}" for layer in layers]
    return "\n".join(
        [
            "# Made by `make package`. `image/` is the image itself; this assembles it again with a container engine.",
            "FROM scratch",
            *(f"ADD {blob} /" for blob in blobs),
            *(f'ENV {name}="{value}"' for name, value in ENVIRONMENT.items()),
            f"USER {USER}:{USER}",
            f"WORKDIR {HOME}",
            f"EXPOSE {PORT}",
            "STOPSIGNAL SIGTERM",
            f"ENTRYPOINT {json.dumps(list(ENTRYPOINT))}",
            'CMD ["serve"]',
            "",
        ]
    )


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
