import copy
import io
import json
import pathlib
import pickle

import numpy as np
import onnx
import pytest

import models
import plica


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "net.onnx"
    file.write_bytes(models.batch_norms())
    return file


def test_sources(path):
    data = path.read_bytes()
    sources = [
        path,
        str(path),
        data,
        bytearray(data),
        memoryview(data),
        io.BytesIO(data),
        onnx.load(path),
    ]
    for source in sources:
        model = plica.Model(source)
        assert [i.name for i in model.inputs] == ["x"]
    for source in (path, data, onnx.load(path)):
        assert plica.Session(source).outputs[0].name == "y"
    with open(path, "rb") as file:
        assert plica.Model(file).outputs[0].name == "y"
    # Weights stay in the bytes, which the model keeps.
    model = plica.Model(bytes(data))
    del data, sources
    assert model.serialize()


def test_what_is_no_model(tmp_path):
    with pytest.raises(plica.IoError) as caught:
        plica.Model(tmp_path / "nothing.onnx")
    assert isinstance(caught.value, OSError) and "nothing.onnx" in str(caught.value)
    with pytest.raises(plica.InvalidModelError, match="bytes: "):
        plica.Model(b"no protobuf")
    for wrong in (3, None, ["net.onnx"], io.StringIO("text")):
        with pytest.raises(TypeError, match="a model is a path, bytes"):
            plica.Model(wrong)


def test_errors_are_what_python_has():
    assert issubclass(plica.InvalidArgumentError, ValueError)
    assert issubclass(plica.IoError, OSError)
    assert issubclass(plica.LimitError, MemoryError)
    for name in plica.errors.__dict__:
        if name.endswith("Error"):
            assert issubclass(getattr(plica, name), plica.Error)
    error = plica.InvalidModelError("text")
    assert str(pickle.loads(pickle.dumps(error))) == "text" and error.code == "invalid_model"


def test_information(path):
    model = plica.Model(path)
    (x,), (y,) = model.inputs, model.outputs
    assert (x.name, x.type, x.shape, x.has_default, x.is_tensor) == (
        "x",
        "float32",
        ("N", 3, 16, 16),
        False,
        True,
    )
    assert x.text == "float32[N, 3, 16, 16]" and "float32[N, 3, 16, 16]" in repr(x)
    assert y.shape == ("N", 8, 16, 16)
    assert model.metadata == {"author": "me"}
    assert repr(model) == "<plica.Model (x: float32[N, 3, 16, 16]) -> (y: float32[N, 8, 16, 16])>"
    summary = model.summarize({"N": 2})
    assert (
        summary.nodes == 5
        and summary.operators["BatchNormalization"] == 2
        and summary.batch_norms == 2
    )
    assert (
        summary.macs == 2 * 8 * 16 * 16 * 27
        and summary.producer == "tests"
        and summary.graph_name == "a graph"
    )
    assert summary.opsets[0] == ("", models.OPSET) and "5 nodes" in repr(summary)
    assert model.summarize({"x": (3, 3, 16, 16)}).macs == summary.macs / 2 * 3
    with pytest.raises(plica.InvalidArgumentError, match="M"):
        model.summarize({"M": 2})
    assert "BatchNormalization" in model.listing()
    assert model.to_dot().startswith("digraph")
    assert "<html" in model.to_html("net")
    assert model.check() == [] and not model.is_compiled and model.compiled_note == ""


def test_shapes_that_are_not_known():
    model = plica.Model(models.one_node("Relu", [("x", None)], [("y", [None, 2])]))
    assert model.inputs[0].shape is None and model.outputs[0].shape == (None, 2)
    assert plica.Model(models.sequences()).inputs[0].type == "sequence"


def test_check_finds_everything():
    node = onnx.helper.make_node("Nothing", ["x"], ["y"], name="odd", domain="com.example")
    proto = models.model_of([node], [models.tensor("x", [1])], [models.tensor("y", [1])])
    proto.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    findings = plica.Model(proto).check()
    assert [f.code for f in findings] == ["unsupported"] and "odd" in findings[0].node
    assert "Nothing" in repr(findings[0])
    with pytest.raises(plica.UnsupportedError, match="Nothing"):
        plica.Session(proto)


def test_optimize(path):
    model = plica.Model(path)
    other = model.copy()
    seen = []
    report = model.optimize(progress=lambda name, done, total: seen.append((name, done, total)))
    assert seen and all(isinstance(name, str) and done <= total for name, done, total in seen)
    assert report.folded == 1 and len(report.batch_norms) == 2
    folded, kept = report.batch_norms
    assert (
        folded.node == "n0"
        and folded.folded
        and folded.into == ["conv"]
        and 0 < folded.error_bound < 1e-5
    )
    assert not kept.folded and kept.reason and kept.error_bound is None
    assert (
        report.nodes_before == 5
        and report.nodes_after < 5
        and report.rewrites >= 1
        and sum(report.rules.values())
    )
    assert (
        "1 of 2 batch norms folded" in repr(report) and "n0" in str(report) and "n0" in repr(folded)
    )
    data = json.loads(report.to_json())
    assert data["schema"] == 1 and data["batch_norms"][0]["verdict"] == "folded"
    assert "\n" not in report.to_json(-1) and len(report.to_json(values=True)) > len(
        report.to_json()
    )
    assert "<html" in report.to_html()
    html = report._repr_html_()
    assert (
        html.startswith("<iframe") and html.count('"') == 4
    )  # srcdoc and style, and nothing that ends them
    assert other.summarize().batch_norms == 2 and model.summarize().batch_norms == 1


def test_optimize_options(path):
    assert plica.Model(path).optimize().batch_norms[0].rule == "fold_affine_backward"
    assert (
        "fold_affine_backward"
        not in plica.Model(path).optimize(disable=["fold_affine_backward"]).rules
    )
    assert plica.Model(path).optimize(keep=["conv"]).folded == 0
    assert plica.Model(path).optimize(max_rewrites=0).rewrites == 0
    assert plica.Model(path).optimize(only=["fold_affine_backward"]).folded == 1
    assert plica.Model(path).optimize(measure=False).folded == 1
    with pytest.raises(plica.InvalidArgumentError, match="no_such"):
        plica.Model(path).optimize(disable=["no_such"])


def test_an_exception_ends_an_optimization(path):
    model = plica.Model(path)
    before = model.serialize()

    def fail(*_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        model.optimize(progress=fail)
    assert model.serialize() == before


def test_save(path, tmp_path):
    model = plica.Model(path)
    model.optimize()
    to = tmp_path / "folded.onnx"
    model.save(to)
    onnx.checker.check_model(str(to))
    assert to.read_bytes() == model.serialize()
    model.save(str(to), external_data_threshold=256)
    assert to.with_name("folded.onnx.data").exists()
    x = np.ones((1, 3, 16, 16), np.float32)
    assert np.array_equal(
        plica.Session(to).run({"x": x}, "y"), plica.Session(model).run({"x": x}, "y")
    )
    with pytest.raises(plica.IoError):
        model.save(tmp_path / "no" / "such" / "directory.onnx")
    with pytest.raises(TypeError):
        model.save(3)


def test_copies(path):
    model = plica.Model(path)
    model.optimize()
    for other in (
        model.copy(),
        copy.copy(model),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
    ):
        assert other is not model and other.serialize() == model.serialize()


def test_the_digits():
    model = plica.Model(pathlib.Path(__file__).parents[2] / "models/digits/digits.onnx")
    assert model.optimize().folded == 7
