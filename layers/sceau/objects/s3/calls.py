"""One call of the store: sent, sent again while it may help and time is left, and what is known of it at the end.

An attempt ends in one of four ways: an answer; a refusal, which is final and changed nothing; a failure before anything
was done; a failure after which nobody knows. After one of the last kind the call stays uncertain: a later refusal may
then be the echo of our own first attempt, and whoever asked is told so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError as BotoConnectionError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ParamValidationError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from sceau.objects.deadline import time_left
from sceau.objects.errors import ObjectStoreUnavailable
from sceau.objects.s3.client import WrongAddress

CALL_SECONDS: Final = 12.0
"""The most that one call takes, repetitions included, when its caller has set no nearer deadline."""

ATTEMPT_SECONDS: Final = 5.0
"""How long one attempt waits for the store to say something: half a call at most, so that it can be asked again."""

MOST_ATTEMPTS: Final = 6

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds; doubled each time, and a random share of it is taken
_HEARD_FOR_SECONDS = 300.0
_PIECE_BYTES = 256 * 1024

_attempt_seconds: ContextVar[float] = ContextVar("attempt_seconds", default=ATTEMPT_SECONDS)

_SERVER_ERROR = 500
_BUSY_NOT_DONE = frozenset({"ConditionalRequestConflict", "OperationAborted", "RequestTimeout"})
"""Refused for now, with nothing done: another write of the same name is under way, or our body came too slowly."""
_MAY_PASS = frozenset({"ExistingObjectIsDirectory"})
"""Refused, with nothing done, for good or only now: versitygw also says so when another deletes a folder's last object.
Asked again; what is still refused then is a refusal."""
_ABSENT = frozenset({"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed", "405"})
"""Codes of an object that is not there; HEAD has the status in their place. 405: a deletion mark is."""
_BUSY = frozenset({"SlowDown", "TooManyRequests", "Throttling", "ThrottlingException", "RequestLimitExceeded"})

_SENTENCES = {
    "NoSuchBucket": "a bucket of the store does not exist",
    "AccessDenied": "the store refuses what this function must be allowed to do",
    "AllAccessDisabled": "the store is closed",
    "InvalidAccessKeyId": "the store does not know the credentials",
    "XAdminUserNotFound": "the store does not know the credentials",  # versitygw
    "SignatureDoesNotMatch": "the store's credentials are wrong",
    "ExpiredToken": "the store's credentials have expired",
    "InvalidToken": "the store's credentials are not valid",
    "RequestTimeTooSkewed": "the store's clock and ours differ too much",
    "AuthorizationHeaderMalformed": "the store is signed for as being in another region than it is",
    "PermanentRedirect": "a bucket of the store is in another region",
    "InsufficientStorage": "the store's disk is full",
    "XMinioStorageFull": "the store's disk is full",
    "QuotaExceeded": "the store's quota is used up",
}


class Refused(Exception):
    """The store said no. `uncertain`: an earlier attempt of the same call may have been done all the same."""

    def __init__(self, status: int, code: str, headers: dict[str, str], *, uncertain: bool) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.headers = headers
        self.uncertain = uncertain

    @property
    def precondition(self) -> bool:
        """Whether a condition of ours did not hold."""
        return self.status == 412  # noqa: PLR2004 - Precondition Failed

    @property
    def absent(self) -> bool:
        """Whether the object is not there. Not every 404 says so: a missing bucket, or a user nobody knows, is one."""
        return self.code in _ABSENT

    def as_unavailable(self, name: str) -> ObjectStoreUnavailable:
        """What the port says of a refusal that no caller expects."""
        sentence = _SENTENCES.get(self.code, f"the store refused ({self.status} {self.code})")
        return ObjectStoreUnavailable(f"{name}: {sentence}", maybe_written=self.uncertain, reason=self.code)


@dataclass(frozen=True, slots=True)
class _Failure:
    """An attempt that got no answer. `done`: it may have taken effect. `again`: another attempt may help.

    `refused`: what the store said, if that stands when no attempt helped.
    """

    reason: str
    done: bool
    again: bool = True
    refused: Refused | None = None


class Calls:
    """Makes calls on a client of `make_client`. Safe under threads.

    `random_fraction` gives numbers in [0, 1[ for the pauses; `sleep` and `monotonic` count in seconds; `clock` is
    ours (aware), with which the store's is compared.
    """

    def __init__(
        self,
        client: Any,
        *,
        random_fraction: Callable[[], float],
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        attempt_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self._client = client
        self._random_fraction = random_fraction
        self._sleep = sleep
        self._monotonic = monotonic
        self._clock = clock
        self._attempt_seconds = attempt_seconds
        self._heard: tuple[float, timedelta] | None = None
        # The time that an attempt has travels with its request: botocore takes a read time-out from there.
        client.meta.events.register_last("before-call.s3", _prepare, unique_id="sceau-attempt")

    def read(self, operation: str, name: str, **parameters: Any) -> dict[str, Any]:
        """Ask without changing anything. A body comes whole, as bytes under "Body".

        Raises Refused, ObjectStoreUnavailable. `name` is what errors call it.
        """
        return self._send(operation, name, parameters, changes=False)

    def change(self, operation: str, name: str, **parameters: Any) -> dict[str, Any]:
        """Change something. Raises Refused, ObjectStoreUnavailable."""
        return self._send(operation, name, parameters, changes=True)

    def time(self, ask: Callable[[], object]) -> datetime:
        """The store's time: by the Date of its last answer, 5 minutes old at most; `ask` makes it answer."""
        heard = self._heard
        if heard is None or self._monotonic() - heard[0] > _HEARD_FOR_SECONDS:
            ask()
            heard = self._heard
        if heard is None:
            raise ObjectStoreUnavailable("the store does not tell the time", maybe_written=False, reason="no Date")
        return self._clock() + heard[1]

    def _hear(self, answer: Mapping[str, Any]) -> None:
        """Keep the difference between the store's clock and ours, as this answer shows it."""
        told = server_time(answer)
        if told is not None:
            self._heard = self._monotonic(), told - self._clock()

    def _send(self, operation: str, name: str, parameters: dict[str, Any], *, changes: bool) -> dict[str, Any]:
        end = self._monotonic() + time_left(CALL_SECONDS)
        uncertain, reason, last = False, "deadline", None
        for number in count(1):
            left = end - self._monotonic()
            if left <= 0:
                break
            outcome = self._attempt(operation, parameters, min(left, self._attempt_seconds), uncertain=uncertain)
            if not isinstance(outcome, _Failure):
                return outcome
            uncertain, reason = uncertain or (outcome.done and changes), outcome.reason
            last = outcome.refused
            if not outcome.again or number == MOST_ATTEMPTS:
                break
            pause = self._random_fraction() * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**number)
            if pause >= end - self._monotonic():
                break
            self._sleep(pause)
        if last is not None:
            raise last
        sentence = _SENTENCES.get(reason, "the store did not answer")
        raise ObjectStoreUnavailable(f"{name}: {sentence} ({reason})", maybe_written=uncertain, reason=reason)

    def _attempt(
        self, operation: str, parameters: dict[str, Any], seconds: float, *, uncertain: bool
    ) -> dict[str, Any] | _Failure:
        token = _attempt_seconds.set(seconds)
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
            self._hear(answer)
            if "Body" in answer:
                answer["Body"] = self._whole(answer, self._monotonic() + seconds)
        except ClientError as error:
            self._hear(error.response)
            return _of_refusal(error, uncertain=uncertain)
        except (BotoCoreError, ResponseParserError, WrongAddress, OSError) as error:
            return _of_failure(error)
        finally:
            _attempt_seconds.reset(token)
        return answer

    def _whole(self, answer: dict[str, Any], end: float) -> bytes:
        """The body, of the length that was announced; a store that sends it drop by drop is not waited for."""
        data = bytearray()
        with closing(answer["Body"]) as body:
            while piece := body.read(_PIECE_BYTES):
                data += piece
                if self._monotonic() > end:
                    raise ReadTimeoutError(endpoint_url="")
        if len(data) != answer.get("ContentLength", len(data)):
            raise IncompleteReadError(actual_bytes=len(data), expected_bytes=answer["ContentLength"])
        return bytes(data)


def server_time(answer: Mapping[str, Any]) -> datetime | None:
    """When the store says that it answered (Date); None if it does not say."""
    try:
        return parsedate_to_datetime(str(answer["ResponseMetadata"]["HTTPHeaders"]["date"])).astimezone(UTC)
    except (KeyError, ValueError):
        return None


def _prepare(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    """Set the attempt's time. Send the body at once: botocore would ask first, and wait for 100 Continue."""
    context["read_timeout"] = _attempt_seconds.get()
    params["headers"].pop("Expect", None)


def _of_refusal(error: ClientError, *, uncertain: bool) -> _Failure:
    """Raise Refused, or say why the attempt may be repeated."""
    metadata = error.response.get("ResponseMetadata", {})
    status, code = int(metadata.get("HTTPStatusCode", 0)), str(error.response.get("Error", {}).get("Code", ""))
    if code in _BUSY_NOT_DONE:
        return _Failure(code, done=False)
    if status >= _SERVER_ERROR or code in _BUSY or status == 429:  # noqa: PLR2004 - Too Many Requests
        return _Failure(code or str(status), done=True)
    refused = Refused(status, code, metadata.get("HTTPHeaders", {}), uncertain=uncertain)
    if code in _MAY_PASS:
        return _Failure(code, done=False, refused=refused)
    raise refused from None


def _of_failure(error: Exception) -> _Failure:
    match error:
        case WrongAddress():
            return _Failure("another address", done=False, again=False)
        case SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return _Failure("certificate", done=False, again=False)
        case EndpointConnectionError() | ConnectTimeoutError():
            return _Failure("no connection", done=False)
        case ReadTimeoutError() | TimeoutError():
            return _Failure("time-out", done=True)
        case BotoConnectionError() | HTTPClientError() | ResponseStreamingError() | OSError() | IncompleteReadError():
            return _Failure("connection lost", done=True)
        case ResponseParserError():
            return _Failure("unreadable answer", done=True)
        case ParamValidationError():
            raise error  # a mistake of ours
    # What botocore refuses before it sends anything: no credentials, or such as can't be had or refreshed.
    return _Failure(f"not sent: {type(error).__name__}", done=False, again=False)
