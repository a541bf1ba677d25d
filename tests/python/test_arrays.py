import gc
import tracemalloc
import weakref

import numpy as np
import pytest
from onnx import TensorProto

import models
import plica

ml_dtypes = pytest.importorskip("ml_dtypes")

PLAIN = [
    "float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "uint64", "bool", "complex64", "complex128",
]  # fmt: skip
NUMBERS = {
    "bool": TensorProto.BOOL, "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE,
    "float8_e4m3fn": TensorProto.FLOAT8E4M3FN, "float8_e4m3fnuz": TensorProto.FLOAT8E4M3FNUZ,
    "float8_e5m2": TensorProto.FLOAT8E5M2, "float8_e5m2fnuz": TensorProto.FLOAT8E5M2FNUZ,
    "float4_e2m1fn": TensorProto.FLOAT4E2M1,
}  # fmt: skip
EXTRA = [
    "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "uint4",
    "int4", "float4_e2m1fn",
]  # fmt: skip


def session_of(name, shape=("N",)):
    return plica.Session(
        models.identity(NUMBERS.get(name) or getattr(TensorProto, name.upper()), shape),
        optimize=False,
    )


@pytest.mark.parametrize("name", PLAIN + EXTRA)
def test_every_type(name):
    dtype = np.dtype(name if name in PLAIN else getattr(ml_dtypes, name))
    values = [0, 1, 1, 0, 1, 1, 1] if name == "bool" else [0, 1, 2, 3, 4, 6, 1]
    if dtype.name.startswith("int") or "float" in name:
        values[1] = -1
    session = session_of(name)
    assert session.inputs[0].type == name
    for count in (7, 4, 1, 0):
        x = np.array(values[:count], np.float32).astype(dtype)
        y = session.run(x)["y"]
        assert y.dtype == dtype and y.shape == x.shape
        assert np.array_equal(y.astype(np.complex128), x.astype(np.complex128))
        into = np.zeros(count, dtype)
        assert session.run(x, {"y": into})["y"] is into
        assert np.array_equal(into.astype(np.complex128), x.astype(np.complex128))
    strided = np.array(values * 2, np.float32).astype(dtype)[::2]
    assert np.array_equal(
        session.run(strided)["y"].astype(np.complex128), strided.astype(np.complex128)
    )


def test_scalars_and_ranks():
    session = session_of("float32", None)
    for shape in [(), (1,), (2, 3), (0, 3), (1, 2, 3, 4, 5)]:
        x = np.ones(shape, np.float32)
        assert session.run(x)["y"].shape == shape
    assert session.run(np.float32(3))["y"].item() == 3


def test_any_memory_order():
    session = session_of("int32", None)
    x = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    misaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.int32).reshape(x.shape)
    frozen = x.copy()
    frozen.flags.writeable = False
    for array in (
        x.T,
        x[:, ::-1],
        x[..., 1:3],
        np.asfortranarray(x),
        x.astype(">i4"),
        misaligned,
        frozen,
        np.broadcast_to(np.int32(5), (2, 2)),
        memoryview(x),
    ):
        assert np.array_equal(session.run({"x": array})["y"], np.asarray(array))


def test_lists_and_numbers_take_the_models_type():
    floats, ints, bools = (
        session_of("float32", None),
        session_of("int8", None),
        session_of("bool", None),
    )
    assert floats.run({"x": [[1, 2.5], [3, 4]]})["y"].tolist() == [[1, 2.5], [3, 4]]
    assert floats.run(3)["y"].item() == 3 and floats.run(True)["y"].item() == 1
    assert floats.run({"x": []})["y"].shape == (0,)
    assert ints.run({"x": [1, -2]})["y"].tolist() == [1, -2]
    assert bools.run({"x": [True, False]})["y"].tolist() == [True, False]
    for session, value, words in [
        (ints, [1.5], "float64"),
        (ints, [300], "int8 can't hold"),
        (bools, [1], "int64"),
        (floats, [[1], [2, 3]], "inhomogeneous"),
        (floats, ["a"], "string"),
        (floats, 1j, "complex"),
    ]:
        with pytest.raises(plica.InvalidArgumentError, match=words):
            session.run({"x": value})


def test_what_has_an_array():
    class Wrapped:
        def __array__(self, dtype=None, copy=None):
            return np.array([1, 2], np.float32)

    assert session_of("float32").run({"x": Wrapped()})["y"].tolist() == [1, 2]


class ByDlpack:
    """An array that other packages can only get at by DLPack."""

    def __init__(self, array, device=None):
        self.array, self.device = array, device

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.device or self.array.__dlpack_device__()


@pytest.mark.parametrize("name", PLAIN)
def test_dlpack(name):
    x = np.array([0, 1, 1, 0], np.dtype(name))
    session = session_of(name)
    assert np.array_equal(session.run(ByDlpack(x))["y"], x)
    assert np.array_equal(session.run(ByDlpack(x[::2]))["y"], x[::2])
    assert np.array_equal(np.from_dlpack(session.run(x)["y"]), x)


def test_dlpack_is_not_copied():
    x = np.ones(4, np.float32)
    with pytest.raises(plica.InvalidArgumentError, match="overlaps an input"):
        session_of("float32").run(ByDlpack(x), {"y": x})


def test_types_that_onnx_does_not_have():
    for x in (
        np.array(["2020-01-01"], "datetime64[D]"),
        np.zeros(2, [("a", "f4")]),
        np.zeros(2, np.longdouble),
    ):
        with pytest.raises(
            plica.InvalidArgumentError, match="'x' has dtype .* the model takes float32"
        ):
            session_of("float32").run(x)


def test_strings():
    session = session_of("string", None)
    texts = ["", "a", "ä€😀", "with\0zero", "x" * 100]
    for x in (
        texts,
        np.array(texts, object),
        [t.encode() for t in texts],
        np.array(texts[1:3], str),
        np.array([b"ab", b"c"]),
        np.array([["a", "b"], ["c", "d"]], object),
        "alone",
        b"alone",
        np.str_("alone"),
        np.array("alone"),
        np.zeros((2, 0), object),
    ):
        y = session.run({"x": x})["y"]
        expected = np.asarray(x, object) if not isinstance(x, np.ndarray) else x.astype(object)
        assert y.dtype == object and y.shape == expected.shape
        assert y.reshape(-1).tolist() == [
            t.decode() if isinstance(t, bytes) else t for t in expected.reshape(-1).tolist()
        ]
    broken = session.run({"x": [b"\xff\xfe"]})["y"]  # no UTF-8 comes through, both ways
    assert session.run(broken)["y"][0].encode("utf-8", "surrogateescape") == b"\xff\xfe"
    into = np.zeros(2, object)
    assert session.run({"x": ["a", "b"]}, {"y": into})["y"].tolist() == ["a", "b"]
    with pytest.raises(plica.InvalidArgumentError, match="takes strings"):
        session.run({"x": np.array([1, "a"], object)})
    with pytest.raises(plica.InvalidArgumentError, match="string"):
        session.run({"x": np.zeros(2, np.float32)})


def test_sequences():
    session = plica.Session(models.sequences())
    a, b = np.zeros(2, np.float32), np.ones((3, 1), np.float32)
    y = session.run({"x": [a, b]})["y"]
    assert isinstance(y, list) and [e.shape for e in y] == [(3, 1), (2,)]
    assert [e.tolist() for e in session.run({"x": [[1.0], [[2.0]]]})["y"]] == [[[2]], [1]]
    with pytest.raises(plica.InvalidArgumentError, match="not a list"):
        session.run({"x": a})
    with pytest.raises(plica.InvalidArgumentError):
        session.run({"x": [a, b]}, {"y": np.zeros(1, np.float32)})


def test_optional():
    session = plica.Session(models.optional(), optimize=False)
    x = np.ones(2, np.float32)
    assert session.run({"x": x})["y"].tolist() == [1, 1] and session.run({"x": x})["has"].item()
    assert session.run({"x": None})["y"] is None and not session.run({"x": None})["has"].item()


def test_maps():
    y = plica.Session(models.zip_map()).run([[[0.25, 0.75], [1, 0]]])["y"]
    assert y == [{"a": 0.25, "b": 0.75}, {"a": 1, "b": 0}]
    assert plica.Session(models.dict_vectorizer()).run({"x": {"c": 3, "a": 1}})["y"].tolist() == [
        [1, 0, 3]
    ]
    with pytest.raises(plica.InvalidArgumentError, match="not a dict"):
        plica.Session(models.dict_vectorizer()).run({"x": [1]})


def test_nothing_is_copied_and_results_are_plicas_memory():
    session = plica.Session(models.one_node("Relu", [("x", ["N"])], [("y", ["N"])]))
    x = np.ones(1 << 20, np.float32)
    session.run(x)
    tracemalloc.start()
    y = session.run(x)["y"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000  # of 4 MB
    assert not y.flags.owndata and y.flags.writeable and y.ctypes.data % 64 == 0
    address = y.ctypes.data
    other = session.run(x)["y"]
    assert other.ctypes.data != address
    # What is dropped serves the next run.
    del y
    gc.collect()
    assert session.run(x)["y"].ctypes.data == address


def test_results_outlive_everything():
    session = session_of("float32")
    x = np.arange(1000, dtype=np.float32)
    y = session.run(x)["y"]
    part = y[10:20]
    assert not np.shares_memory(x, y)
    x[:] = 0
    del session, y, x
    gc.collect()
    assert part.tolist() == list(range(10, 20))


def test_inputs_are_let_go():
    class Array(np.ndarray):
        pass

    session = session_of("float32")
    x = np.zeros(10, np.float32).view(Array)
    alive = weakref.ref(x)
    y = session.run(x)
    del x
    gc.collect()
    assert alive() is None and y["y"].shape == (10,)
    x = np.zeros(10, np.float32)
    session.run(x)
    x.resize(20, refcheck=False)
