"""The part of onnxruntime's Python API that people use, on Plica.

    import plica.ort as onnxruntime

or, for packages that import onnxruntime themselves, before they do:

    import sys, plica.ort
    sys.modules["onnxruntime"] = plica.ort

Options that mean nothing here (arenas, providers' options, log levels) are kept and ignored; what
would change results or fail silently is refused. docs/python.md has the table of what does what.
"""

import plica

from ._options import (
    ExecutionMode,
    ExecutionOrder,
    GraphOptimizationLevel,
    RunOptions,
    SessionOptions,
)
from ._session import InferenceSession, IOBinding, ModelMetadata, NodeArg
from ._value import OrtDevice, OrtValue
from .capi import onnxruntime_pybind11_state

__version__ = plica.__version__

__all__ = [
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "OrtDevice",
    "OrtValue",
    "RunOptions",
    "SessionOptions",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_version_string",
    "onnxruntime_pybind11_state",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
]


def get_available_providers():
    return ["CPUExecutionProvider"]


get_all_providers = get_available_providers


def get_device():
    return "CPU"


def get_version_string():
    return __version__


def get_build_info():
    return f"Plica {__version__}, oneDNN {plica.onednn_version()}"


def set_default_logger_severity(severity):
    """Kept for its callers: Plica logs what a function is given for (plica.Session)."""


def set_default_logger_verbosity(verbosity):
    """As set_default_logger_severity."""


def disable_telemetry_events():
    """There are none."""


def enable_telemetry_events():
    """There are none."""
