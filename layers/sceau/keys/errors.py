"""What a key service may answer instead of doing what was asked. Messages never carry key material or context."""


class KeyServiceError(Exception):
    """Base of the family."""


class UnknownKey(KeyServiceError):
    """The service has no key of this name, or not of the kind that the operation needs."""


class KeyVersionGone(KeyServiceError):
    """The wrapped key names a version that the service no longer has, or that is disabled."""


class UnwrapRefused(KeyServiceError):
    """The wrapped bytes are altered, of another key, or their associated data differs."""


class KeyRightDenied(KeyServiceError):
    """This function was not granted the operation on the key. Nothing reached the service."""


class KeyServiceUnavailable(KeyServiceError):
    """The service failed or did not answer in time."""


class KeyServiceNotUsable(KeyServiceUnavailable):
    """As it is set up, the key service can't be used at all. The message is a sentence for the operator."""
