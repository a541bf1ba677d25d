"""What the extension module does not convert itself (api/python/arrays.h).

A value is described to it as (type, shape, buffer of the elements), (STRING, shape, list of str or
bytes) or (SEQUENCE, OPTIONAL or MAP, list of descriptions), by ONNX's numbers of types.
"""

import numpy as np

from .errors import InvalidArgumentError, UnsupportedError

STRING, SEQUENCE, OPTIONAL, MAP = 8, 29, 30, 31

_NUMBERS = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7,
    "bool": 9, "float16": 10, "float64": 11, "uint32": 12, "uint64": 13, "complex64": 14,
    "complex128": 15, "bfloat16": 16, "float8_e4m3fn": 17, "float8_e4m3fnuz": 18, "float8_e5m2": 19,
    "float8_e5m2fnuz": 20, "uint4": 21, "int4": 22, "float4_e2m1fn": 23, "float8_e8m0fnu": 24,
    "uint2": 25, "int2": 26,
}  # fmt: skip
_NAMES = {number: name for name, number in _NUMBERS.items()}
_BITS = {
    21: 4,
    22: 4,
    23: 4,
    25: 2,
    26: 2,
}  # of those that are packed, the first in the lowest bits


def dtype(number):
    """numpy's dtype for an element type; of ml_dtypes where numpy has none."""
    name = _NAMES[number]
    try:
        return np.dtype(name)
    except TypeError:
        pass
    try:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    except (ImportError, AttributeError):
        raise UnsupportedError(
            f"numpy has no {name}: install ml_dtypes, a version that has it"
        ) from None


def strings(shape, values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def unpack(number, shape, memory):
    """An array with a byte an element, which is how ml_dtypes has them."""
    bits = _BITS[number]
    packed = np.frombuffer(memory, dtype=np.uint8)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    count = int(np.prod(shape, dtype=np.int64))
    values = ((packed[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1)[:count]
    to = dtype(number)
    if to.name.startswith("int"):  # two's complement
        values = (values ^ (1 << (bits - 1))).astype(np.int8) - np.int8(1 << (bits - 1))
        return values.astype(to).reshape(shape)
    if to.name.startswith("uint"):
        return values.astype(to).reshape(shape)
    return values.view(to).reshape(shape)


def _pack(array, bits):
    values = array.reshape(-1).view(np.uint8) & ((1 << bits) - 1)
    per_byte = 8 // bits
    rows = np.zeros((-(-values.size // per_byte), per_byte), dtype=np.uint8)
    rows.reshape(-1)[: values.size] = values
    return np.bitwise_or.reduce(rows << np.arange(0, 8, bits, dtype=np.uint8), axis=1).astype(
        np.uint8
    )


def _is_text(array):
    return array.dtype.kind in "OUST"


def _describe_text(array, name):
    values = array.reshape(-1).tolist()
    for value in values:
        if not isinstance(value, (str, bytes)):
            raise InvalidArgumentError(
                f"input {name!r} takes strings, and has an element {value!r}"
            )
    return STRING, array.shape, values


def _describe_array(array, name, text):
    if _is_text(array):
        return _describe_text(array, name)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    number = _NUMBERS.get(array.dtype.name)
    if number is None:
        raise InvalidArgumentError(
            f"input {name!r} has dtype {array.dtype}, which ONNX does not have; "
            f"the model takes {text}"
        )
    shape = array.shape
    array = np.require(array, requirements=("C", "A"))
    if number in _BITS:
        return number, shape, _pack(array, _BITS[number])
    # Flat, since arrays of one dimension less have no views of another size.
    return number, shape, array.reshape(-1).view(np.uint8)


def _of_numbers(value, element, name, text):
    """Python's numbers and lists of them, in the model's type."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidArgumentError(f"input {name!r}: {error}; the model takes {text}") from None
    if array.size == 0 or _is_text(array) or element not in _NUMBERS:
        return (
            array.astype(dtype(_NUMBERS[element]))
            if array.size == 0 and element in _NUMBERS
            else array
        )
    to = dtype(_NUMBERS[element])
    kinds = "biufc"
    if to.kind in kinds and kinds.index(array.dtype.kind.replace("u", "i")) > kinds.index(
        to.kind.replace("u", "i")
    ):
        raise InvalidArgumentError(
            f"input {name!r} has numbers of {array.dtype}; the model takes {text}"
        )
    with np.errstate(all="ignore"):
        out = array.astype(to)
    if to.kind in "iu" and not np.array_equal(out, array):
        raise InvalidArgumentError(
            f"input {name!r} has numbers that {element} can't hold; the model takes {text}"
        )
    return out


def _as_array(value, element, name, text):
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    if hasattr(value, "__array__"):
        return np.asarray(value)
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError) as error:
            raise InvalidArgumentError(
                f"input {name!r} can't be taken by DLPack: {error}"
            ) from None
    if isinstance(value, (str, bytes)):
        return np.asarray(value, dtype=object)
    if element == "string":
        return np.asarray(value, dtype=object)
    if isinstance(value, (bytearray, memoryview)):
        return np.asarray(value)
    if isinstance(value, (bool, int, float, complex, list, tuple)):
        return _of_numbers(value, element, name, text)
    try:
        return np.asarray(memoryview(value))
    except TypeError:
        raise InvalidArgumentError(
            f"input {name!r} is a {type(value).__name__}; the model takes {text}"
        ) from None


def _inner(text):
    return text[text.index("(") + 1 : -1]


def convert(value, text, name):
    """Describes the value of an input whose type is `text`."""
    if text.startswith("optional("):
        return OPTIONAL, [] if value is None else [convert(value, _inner(text), name)]
    if value is None:
        raise InvalidArgumentError(f"input {name!r} is None; the model takes {text}")
    if text.startswith("sequence("):
        if not isinstance(value, (list, tuple)):
            raise InvalidArgumentError(
                f"input {name!r} is a {type(value).__name__}, not a list; the model takes {text}"
            )
        return SEQUENCE, [convert(element, _inner(text), name) for element in value]
    if text.startswith("map("):
        if not isinstance(value, dict):
            raise InvalidArgumentError(
                f"input {name!r} is a {type(value).__name__}, not a dict; the model takes {text}"
            )
        key, _, inner = _inner(text).partition(", ")
        values = list(value.values())
        if "(" in inner:
            described = SEQUENCE, [convert(element, inner, name) for element in values]
        else:
            described = _describe_array(
                _as_array(values, inner.split("[")[0], name, text), name, text
            )
        return MAP, [
            _describe_array(_as_array(list(value), key, name, text), name, text),
            described,
        ]
    return _describe_array(_as_array(value, text.split("[")[0], name, text), name, text)


def writable(array):
    """(type, shape, bytes) of an array whose elements lie as Plica's do; else None."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"results are written into numpy arrays, not into a {type(array).__name__}")
    number = _NUMBERS.get(array.dtype.name)
    if number is None or number in _BITS or not array.dtype.isnative:
        return None
    if not (array.flags.c_contiguous and array.flags.writeable and array.flags.aligned):
        return None
    return number, array.shape, array.reshape(-1).view(np.uint8)


def fill(array, result, name):
    """Copies a result into an array that Plica could not write itself."""
    if not isinstance(array, np.ndarray) or not isinstance(result, np.ndarray):
        raise InvalidArgumentError(
            f"output {name!r} is a {type(result).__name__}: it can't be written into an array"
        )
    if not array.flags.writeable:
        raise InvalidArgumentError(f"the array given for output {name!r} may not be written")
    if array.shape != result.shape or (
        array.dtype != result.dtype and not (_is_text(array) and _is_text(result))
    ):
        raise InvalidArgumentError(
            f"output {name!r} is {result.dtype}{list(result.shape)}, "
            f"the array given for it {array.dtype}{list(array.shape)}"
        )
    array[...] = result
