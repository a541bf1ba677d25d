"""OrtValue, OrtDevice, and how onnxruntime writes types."""

import ctypes

import numpy as np

import plica
from plica import _arrays

_ELEMENTS = {
    "float32": "float", "float64": "double", "float8_e4m3fn": "float8e4m3fn",
    "float8_e4m3fnuz": "float8e4m3fnuz", "float8_e5m2": "float8e5m2",
    "float8_e5m2fnuz": "float8e5m2fnuz", "float4_e2m1fn": "float4e2m1",
    "float8_e8m0fnu": "float8e8m0",
}  # fmt: skip


def type_text(text):
    """ "tensor(float)" for "float32[N, 3]", and so on."""
    for name, theirs in (("sequence(", "seq("), ("optional(", "optional(")):
        if text.startswith(name):
            return theirs + type_text(text[len(name) : -1]) + ")"
    if text.startswith("map("):
        key, _, value = text[len("map(") : -1].partition(", ")
        return f"map({_ELEMENTS.get(key, key)},{type_text(value)})"
    if text.startswith("sparse "):
        return "sparse_" + type_text(text[len("sparse ") :])
    element = text.split("[")[0]
    return f"tensor({_ELEMENTS.get(element, element)})"


def dtype_of(element_type):
    """numpy's dtype for one, for ONNX's number, or for a numpy type."""
    if isinstance(element_type, int):
        return np.dtype(object) if element_type == _arrays.STRING else _arrays.dtype(element_type)
    return np.dtype(element_type)


def array_at(address, dtype, shape):
    """An array over memory that the caller keeps."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return np.ndarray(tuple(shape), dtype, (ctypes.c_char * max(size, 1)).from_address(address))


def check_device(device_type):
    if device_type not in ("cpu", "cpu_pinned"):
        raise plica.UnsupportedError(f"Plica runs on CPUs: there is no device {device_type!r}")


class OrtDevice:
    """A place for values: the CPU's memory."""

    def __init__(self, device_type="cpu", device_id=0):
        check_device(device_type)
        self._id = device_id

    @staticmethod
    def make(name, device_id):
        return OrtDevice(name, device_id)

    def device_type(self):
        return "cpu"

    def device_id(self):
        return self._id


class OrtValue:
    """A tensor or a list of them. Tensors are numpy arrays, whose memory they share."""

    def __init__(self, value):
        self._value = value

    @staticmethod
    def ortvalue_from_numpy(array, device_type="cpu", device_id=0):
        check_device(device_type)
        return OrtValue(np.asarray(array, order="C"))

    @staticmethod
    def ortvalue_from_numpy_with_onnx_type(array, onnx_element_type):
        to = dtype_of(onnx_element_type)
        return OrtValue(array if array.dtype == to else array.view(to))

    @staticmethod
    def ortvalue_from_shape_and_type(
        shape, element_type=np.float32, device_type="cpu", device_id=0
    ):
        check_device(device_type)
        return OrtValue(np.zeros(tuple(shape), dtype_of(element_type)))

    def numpy(self):
        if not self.is_tensor():
            raise plica.InvalidArgumentError("the value is no tensor")
        return self._value

    def has_value(self):
        return self._value is not None

    def is_tensor(self):
        return isinstance(self._value, np.ndarray)

    def is_tensor_sequence(self):
        return isinstance(self._value, list)

    def is_sparse_tensor(self):
        return False

    def shape(self):
        return list(self.numpy().shape)

    def element_type(self):
        array = self.numpy()
        return _arrays.STRING if array.dtype.kind in "OUST" else _arrays._NUMBERS[array.dtype.name]

    def data_type(self):
        if self.is_tensor_sequence():
            return (
                f"seq({OrtValue(self._value[0]).data_type() if self._value else 'tensor(float)'})"
            )
        array = self.numpy()
        return type_text("string" if array.dtype.kind in "OUST" else array.dtype.name)

    def device_name(self):
        return "cpu"

    def data_ptr(self):
        return self.numpy().ctypes.data

    def tensor_size_in_bytes(self):
        return self.numpy().nbytes

    def update_inplace(self, array):
        self.numpy()[...] = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.numpy(), dtype=dtype)

    def __dlpack__(self, **kwargs):
        return self.numpy().__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.numpy().__dlpack_device__()
