"""What Plica raises. The message says where and what; the class, what kind of failure it is."""


class Error(Exception):
    """Of everything that Plica raises itself."""

    code = "internal"


class InvalidModelError(Error):
    """The model breaks the ONNX specification."""

    code = "invalid_model"


class UnsupportedError(Error):
    """Valid, but Plica does not do it; all operators that it lacks are named at once."""

    code = "unsupported"


class InvalidArgumentError(Error, ValueError):
    """The caller's: a wrong name, type, shape or option."""

    code = "invalid_argument"


class IoError(Error, OSError):
    """A file could not be read or written."""

    code = "io"


class LimitError(Error, MemoryError):
    """A limit of memory would be passed."""

    code = "limit"


class CancelledError(Error):
    """Somebody cancelled the run, or its time was over."""

    code = "cancelled"


class InternalError(Error):
    """A bug of Plica's."""

    code = "internal"
