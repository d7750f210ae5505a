"""A stage on AWS: packages under their digests, then the three stacks by change sets, in their order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from iac.aws.functions import KEY_IDS
from iac.deploying.errors import OUTPUTS, DeployRefused

STACKS: Final = ("network", "journal", "service")
"""In the order in which they are applied; `journal` by the journal's administrator."""

_LARGEST_BODY: Final = 51_200
"""Bytes of a template that a request may carry; a larger one is read from the bucket of packages."""

_SAME: Final = ("didn't contain changes", "No updates are to be performed")
"""How CloudFormation says that there is nothing to change."""

Clients = Callable[[str, str], Any]
"""A client of an AWS service (`s3`, `cloudformation`) with the credentials of who applies a stack."""


def upload(manifest: Path, bucket: str, s3: Any) -> Iterator[str]:
    """Put what was packaged into the bucket, each file under its SHA-256. Raises DeployRefused."""
    for artefact in json.loads(manifest.read_text("utf-8"))["artefacts"]:
        data = (manifest.parent / artefact["file"]).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest != artefact["sha256"]:
            raise DeployRefused(f"{artefact['file']} is not what was packaged: run `make package` again")
        if put(s3, bucket, f"{digest}.zip", data):
            yield f"{artefact['name']} was uploaded, {len(data)} bytes"


def put(s3: Any, bucket: str, key: str, data: bytes) -> bool:
    """Put an object that is named by its digest, unless it is there. Whether it was put."""
    with _told(f"bucket {bucket}"):
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey", "NotFound"):
                raise
        else:
            return False
        s3.put_object(Bucket=bucket, Key=key, Body=data, ChecksumAlgorithm="SHA256")
    return True


def apply(folder: Path, prefix: str, artifacts: str, clients: Clients) -> Iterator[str]:
    """Each stack by a change set: what is not there is made, what differs is changed. Raises DeployRefused."""
    known: dict[str, str] = {}
    for name in STACKS:
        data = (folder / f"{name}.template.json").read_bytes()
        stack = _Stack(clients("cloudformation", name), f"{prefix}-{name}")
        source = {"TemplateBody": data.decode()}
        if len(data) > _LARGEST_BODY:
            key = f"{hashlib.sha256(data).hexdigest()}.template.json"
            put(clients("s3", name), artifacts, key, data)
            source = {"TemplateURL": f"https://{artifacts}.s3.eu-west-3.amazonaws.com/{key}"}
        with _told(f"stack {stack.name}"):
            yield f"stack {stack.name}: {stack.bring_to(source, json.loads(data), known)}"
            known |= stack.outputs()
    made = {"key_ids": {"value": json.loads(known[KEY_IDS])}}
    (folder / OUTPUTS).write_text(json.dumps(made, indent=1) + "\n", "utf-8")


class _Stack:
    def __init__(self, cloudformation: Any, name: str) -> None:
        self._cloud = cloudformation
        self.name = name

    def status(self) -> str | None:
        """What CloudFormation says of it; None where it is not."""
        try:
            [found] = self._cloud.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                return None
            raise
        return str(found["StackStatus"])

    def outputs(self) -> dict[str, str]:
        """Its outputs, which later stacks take as parameters."""
        [found] = self._cloud.describe_stacks(StackName=self.name)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}

    def bring_to(self, source: Mapping[str, str], template: Mapping[str, Any], known: Mapping[str, str]) -> str:
        """Make a change set, and execute it; what was done."""
        parameters = list(template.get("Parameters", {}))
        missing = [name for name in parameters if name not in known]
        if missing:
            raise DeployRefused(f"stack {self.name} needs {missing[0]}, which no stack before it gave")
        is_new = self.status() in (None, "REVIEW_IN_PROGRESS")
        body = json.dumps([source, {name: known[name] for name in parameters}], sort_keys=True)
        change = f"sceau-{hashlib.sha256(body.encode()).hexdigest()[:16]}"
        try:
            made = self._cloud.create_change_set(
                StackName=self.name,
                ChangeSetName=change,
                ChangeSetType="CREATE" if is_new else "UPDATE",
                Parameters=[{"ParameterKey": name, "ParameterValue": known[name]} for name in parameters],
                Capabilities=["CAPABILITY_NAMED_IAM"],
                **source,
            )
        except ClientError as error:
            if _SAME[1] in str(error):
                return "nothing to change"
            raise
        try:
            self._cloud.get_waiter("change_set_create_complete").wait(ChangeSetName=made["Id"], StackName=self.name)
        except WaiterError:
            told = self._cloud.describe_change_set(ChangeSetName=made["Id"], StackName=self.name)
            reason = str(told.get("StatusReason", ""))
            self._cloud.delete_change_set(ChangeSetName=made["Id"], StackName=self.name)
            if any(words in reason for words in _SAME):
                return "nothing to change"
            raise DeployRefused(f"stack {self.name}: {reason or 'its change set could not be made'}") from None
        changes = len(self._cloud.describe_change_set(ChangeSetName=made["Id"], StackName=self.name)["Changes"])
        self._cloud.execute_change_set(ChangeSetName=made["Id"], StackName=self.name)
        self._cloud.get_waiter("stack_create_complete" if is_new else "stack_update_complete").wait(StackName=self.name)
        return f"{'made' if is_new else 'changed'}, {changes} changes"

    def delete(self) -> str:
        """Take it down; what guards data is retained by its template."""
        if self.status() is None:
            return "was not there"
        self._cloud.delete_stack(StackName=self.name)
        self._cloud.get_waiter("stack_delete_complete").wait(StackName=self.name)
        return "deleted; buckets, keys and logs stay, and are for a person to delete"


def take_down(prefix: str, clients: Clients) -> Iterator[str]:
    """The service and its network, not the journal: that is another administrator's. Raises DeployRefused."""
    for name in ("service", "network"):
        stack = _Stack(clients("cloudformation", name), f"{prefix}-{name}")
        with _told(f"stack {stack.name}"):
            yield f"stack {stack.name}: {stack.delete()}"


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn the host's refusals into a sentence without what was sent."""
    try:
        yield
    except ClientError as error:
        told = error.response["Error"]
        raise DeployRefused(f"{what}: AWS refused {error.operation_name} ({told.get('Code')})") from None
    except WaiterError:
        raise DeployRefused(f"{what}: it did not come to be: see its events in CloudFormation") from None
    except BotoCoreError as error:
        raise DeployRefused(f"{what}: AWS was not reached ({type(error).__name__})") from None
