"""What an object store may answer instead of doing what was asked."""


class ObjectStoreError(Exception):
    """Base of the family. Messages name objects (never content); object names carry no patient data."""


class ObjectAbsent(ObjectStoreError):
    """No object has this name."""


class ObjectExists(ObjectStoreError):
    """A create found the name taken. Nothing was written."""


class ObjectChanged(ObjectStoreError):
    """A compare-and-swap found another version than the expected one. Nothing was written."""


class ObjectLocked(ObjectStoreError):
    """The object is under retention: it can't be deleted, replaced or have its retention shortened. Nothing changed."""


class InvalidObjectName(ObjectStoreError, ValueError):
    """The name is outside the grammar of `ports.check_name`. Nothing was written.

    Also: the store can't hold the name beside others that are there (on a file system, x beside x/y).
    """


class ObjectRightDenied(ObjectStoreError):
    """This function was not granted the operation on the name. Nothing reached the store."""


class ObjectStoreUnavailable(ObjectStoreError):
    """The store failed or did not answer in time.

    `maybe_written` tells whether the operation may have taken effect all the same. `reason` is one word for the log,
    of a closed set or the store's own error code: no name, no content.
    """

    def __init__(self, message: str, *, maybe_written: bool, reason: str = "") -> None:
        super().__init__(message)
        self.maybe_written = maybe_written
        self.reason = reason
