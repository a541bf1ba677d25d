"""The names of onnxruntime's exceptions, for `except` clauses: they are Plica's own."""

from plica.errors import Error, InvalidArgumentError, InvalidModelError, IoError, UnsupportedError

Fail = RuntimeException = EngineError = EPFail = ModelLoaded = NoModel = Error
InvalidArgument = InvalidArgumentError
InvalidGraph = InvalidProtobuf = InvalidModelError
NoSuchFile = IoError
NotImplemented = UnsupportedError
