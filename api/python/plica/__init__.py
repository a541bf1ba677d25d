"""Plica runs ONNX models on CPUs through oneDNN, and folds batch normalization out of them first.

    import plica

    model = plica.Model("net.onnx")
    print(model.optimize())                   # what was folded, and why the rest was not
    model.save("net.folded.onnx")
    session = plica.Session(model)            # or plica.Session("net.onnx")
    y = session.run({"input": pixels})["output"]

plica.ort has the names of onnxruntime, plica.backend is an onnx.backend.
"""

import os as _os


def _load():
    # The threads of GCC's OpenMP spin for milliseconds while they wait for one another, unless told
    # otherwise when the library is loaded. The environment stays as it was.
    name = "GOMP_SPINCOUNT"
    limit = name not in _os.environ and "OMP_WAIT_POLICY" not in _os.environ
    if limit:
        _os.environ[name] = "1000"
    try:
        from . import _plica
    finally:
        if limit:
            del _os.environ[name]
    return _plica


_load()

from ._plica import (  # noqa: E402
    BatchNorm,
    CancelToken,
    Finding,
    HealthFinding,
    Model,
    Plan,
    Profile,
    Report,
    Session,
    SessionMemory,
    Step,
    StepRun,
    Summary,
    TensorInfo,
    default_threads,
    onednn_version,
    version,
)
from .errors import (  # noqa: E402
    CancelledError,
    Error,
    InternalError,
    InvalidArgumentError,
    InvalidModelError,
    IoError,
    LimitError,
    UnsupportedError,
)

__version__: str = version()

__all__ = [
    "BatchNorm",
    "CancelToken",
    "CancelledError",
    "Error",
    "Finding",
    "HealthFinding",
    "InternalError",
    "InvalidArgumentError",
    "InvalidModelError",
    "IoError",
    "LimitError",
    "Model",
    "Plan",
    "Profile",
    "Report",
    "Session",
    "SessionMemory",
    "Step",
    "StepRun",
    "Summary",
    "TensorInfo",
    "UnsupportedError",
    "__version__",
    "default_threads",
    "onednn_version",
    "version",
]
