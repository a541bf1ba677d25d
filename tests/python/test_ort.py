import importlib
import json
import sys
import threading

import numpy as np
import pytest
from onnx import TensorProto

import models
import plica
import plica.ort as ort

X = np.arange(4, dtype=np.float32)
Y = X + np.array([1, 2, 3, 4], np.float32)


def test_run(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(models.add())
    for source in (path, str(path), models.add()):
        session = ort.InferenceSession(source, providers=["CPUExecutionProvider"])
        for names in (None, [], ["y"]):
            (y,) = session.run(names, {"x": X})
            assert np.array_equal(y, Y)
    two = ort.InferenceSession(models.two_outputs())
    assert [v.tolist() for v in two.run(None, {"a": X})] == [(X + 2).tolist(), (X * 2).tolist()]
    assert two.run(["p"], {"a": X, "b": np.array([3], np.float32)})[0].tolist() == (X * 3).tolist()


def test_information():
    session = ort.InferenceSession(models.batch_norms())
    (x,) = session.get_inputs()
    assert (x.name, x.type, x.shape) == ("x", "tensor(float)", ["N", 3, 16, 16])
    assert repr(x) == "NodeArg(name='x', type='tensor(float)', shape=['N', 3, 16, 16])"
    assert [o.name for o in session.get_outputs()] == ["y"]
    meta = session.get_modelmeta()
    assert meta.custom_metadata_map == {"author": "me"} and meta.producer_name == "tests"
    assert (
        meta.graph_name == "a graph"
        and meta.version == 0
        and meta.description == ""
        and meta.domain == ""
    )
    assert session.get_providers() == ["CPUExecutionProvider"]
    two = ort.InferenceSession(models.two_outputs())
    assert [i.name for i in two.get_inputs()] == ["a"]
    assert [i.name for i in two.get_overridable_initializers()] == ["b"]


@pytest.mark.parametrize(
    "source, theirs",
    [
        (models.identity(TensorProto.DOUBLE), "tensor(double)"),
        (models.identity(TensorProto.INT64), "tensor(int64)"),
        (models.identity(TensorProto.FLOAT16), "tensor(float16)"),
        (models.identity(TensorProto.STRING), "tensor(string)"),
        (models.identity(TensorProto.BOOL), "tensor(bool)"),
        (models.identity(TensorProto.FLOAT8E4M3FN), "tensor(float8e4m3fn)"),
        (models.sequences(), "seq(tensor(float))"),
        (models.optional(), "optional(tensor(float))"),
        (models.dict_vectorizer(), "map(string,tensor(int64))"),
    ],
)
def test_types(source, theirs):
    assert ort.InferenceSession(source).get_inputs()[0].type == theirs


def test_options(tmp_path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    options.add_free_dimension_override_by_name("N", 2)
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    session = ort.InferenceSession(
        models.batch_norms(), options, [("CPUExecutionProvider", {"a": 1})]
    )
    assert session.get_inputs()[0].shape == [2, 3, 16, 16]
    assert session.get_session_options() is options
    assert session.get_provider_options() == {"CPUExecutionProvider": {"a": "1"}}
    assert plica.Model(tmp_path / "optimized.onnx").summarize().batch_norms == 1
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "same.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    ort.InferenceSession(models.batch_norms(), options)
    assert plica.Model(tmp_path / "same.onnx").summarize().batch_norms == 2
    with pytest.raises(plica.UnsupportedError, match="built for ONNX Runtime"):
        options.register_custom_ops_library("libops.so")


def test_other_providers_are_warned_of():
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        session = ort.InferenceSession(
            models.add(), providers=["CUDAExecutionProvider", "CPUExecutionProvider"]
        )
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert ort.get_available_providers() == ["CPUExecutionProvider"] and ort.get_device() == "CPU"


def test_errors(tmp_path):
    state = ort.capi.onnxruntime_pybind11_state
    with pytest.raises(state.NoSuchFile):
        ort.InferenceSession(str(tmp_path / "nothing.onnx"))
    with pytest.raises(state.InvalidProtobuf):
        ort.InferenceSession(b"no protobuf")
    session = ort.InferenceSession(models.add())
    for feed in ({}, {"z": X}, {"x": X.astype(np.float64)}, {"x": X[:2]}):
        with pytest.raises(state.InvalidArgument):
            session.run(None, feed)
    with pytest.raises(ValueError):
        session.run(None, {})
    with pytest.raises(state.Fail):
        session.run(["z"], {"x": X})


def test_terminate():
    options = ort.RunOptions()
    options.terminate = True
    session = ort.InferenceSession(models.loop())
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.Fail):
        session.run(None, models.forever(), options)
    options.terminate = False
    threading.Timer(0.1, setattr, (options, "terminate", True)).start()
    with pytest.raises(plica.CancelledError):
        session.run(None, models.forever(), options)


def test_values():
    value = ort.OrtValue.ortvalue_from_numpy(X)
    assert (
        value.is_tensor()
        and value.has_value()
        and not value.is_tensor_sequence()
        and not value.is_sparse_tensor()
    )
    assert (
        value.shape() == [4] and value.data_type() == "tensor(float)" and value.element_type() == 1
    )
    assert value.device_name() == "cpu" and value.data_ptr() == X.ctypes.data and value.numpy() is X
    assert value.tensor_size_in_bytes() == 16
    other = ort.OrtValue.ortvalue_from_shape_and_type([4], np.float32)
    other.update_inplace(X)
    assert np.array_equal(np.asarray(other), X) and np.array_equal(np.from_dlpack(other), X)
    assert (
        ort.OrtValue.ortvalue_from_shape_and_type([2], TensorProto.INT64).data_type()
        == "tensor(int64)"
    )
    with pytest.raises(plica.UnsupportedError, match="cuda"):
        ort.OrtValue.ortvalue_from_numpy(X, "cuda", 0)
    session = ort.InferenceSession(models.add())
    (y,) = session.run_with_ort_values(None, {"x": value})
    assert np.array_equal(y.numpy(), Y)


def test_io_binding():
    session = ort.InferenceSession(models.two_outputs())
    binding = session.io_binding()
    binding.bind_cpu_input("a", X)
    binding.bind_output("p")
    binding.bind_output("s", "cpu")
    session.run_with_iobinding(binding)
    p, s = binding.get_outputs()
    assert p.numpy().tolist() == (X * 2).tolist() and s.numpy().tolist() == (X + 2).tolist()
    assert [v.tolist() for v in binding.copy_outputs_to_cpu()] == [
        (X * 2).tolist(),
        (X + 2).tolist(),
    ]

    # By address.
    memory = np.zeros(4, np.float32)
    binding.clear_binding_outputs()
    binding.clear_binding_inputs()
    binding.bind_input("a", "cpu", 0, np.float32, [4], X.ctypes.data)
    binding.bind_output("p", "cpu", 0, np.float32, [4], memory.ctypes.data)
    binding.synchronize_inputs()
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()
    assert memory.tolist() == (X * 2).tolist()

    value = ort.OrtValue.ortvalue_from_shape_and_type([4], np.float32)
    binding.clear_binding_outputs()
    binding.bind_ortvalue_input("a", ort.OrtValue.ortvalue_from_numpy(X))
    binding.bind_ortvalue_output("s", value)
    session.run_with_iobinding(binding, ort.RunOptions())
    assert (
        value.numpy().tolist() == (X + 2).tolist()
        and binding.get_outputs()[0].data_ptr() == value.data_ptr()
    )


def test_containers():
    y = ort.InferenceSession(models.zip_map()).run(
        None, {"x": np.array([[0.25, 0.75]], np.float32)}
    )[0]
    assert y == [{"a": 0.25, "b": 0.75}]
    value = ort.OrtValue([X])
    assert value.is_tensor_sequence() and value.data_type() == "seq(tensor(float))"


def test_run_async():
    session = ort.InferenceSession(models.add())
    done, seen = threading.Event(), []

    def callback(results, user_data, error):
        seen.append((results, user_data, error))
        done.set()

    session.run_async(None, {"x": X}, callback, "mine")
    assert done.wait(30)
    (results, user_data, error) = seen[0]
    assert np.array_equal(results[0], Y) and user_data == "mine" and error == ""
    done.clear()
    session.run_async(None, {}, callback, None)
    assert done.wait(30) and seen[1][0] == [] and "missing" in seen[1][2]


def test_profiling(tmp_path):
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = ort.InferenceSession(models.batch_norms(), options)
    session.run(None, {"x": np.zeros((1, 3, 16, 16), np.float32)})
    with open(session.end_profiling(), encoding="utf-8") as file:
        events = json.load(file)
    assert any("conv" in event["name"] for event in events) and all(
        event["dur"] >= 0 for event in events
    )


def test_under_the_name_of_onnxruntime(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", ort)
    for name in [n for n in sys.modules if n.startswith("onnxruntime.")]:
        monkeypatch.delitem(sys.modules, name)
    import onnxruntime
    from onnxruntime import InferenceSession

    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    assert onnxruntime.__version__ == plica.__version__ and InferenceSession is ort.InferenceSession
    assert state.Fail is plica.Error
    for name in [n for n in sys.modules if n.startswith("onnxruntime.")]:
        monkeypatch.delitem(sys.modules, name)


def test_it_says_what_it_is():
    assert "oneDNN" in ort.get_build_info() and ort.get_version_string() == ort.__version__
    ort.set_default_logger_severity(3)
