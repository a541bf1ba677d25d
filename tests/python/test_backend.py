"""plica.backend; the suite itself is the test python.onnx-backend."""

import numpy as np
import onnx
import pytest
from onnx import helper

import models
import plica
import plica.backend as backend

X = np.arange(4, dtype=np.float32)


def test_models():
    model = onnx.load_from_string(models.two_outputs())
    prepared = backend.prepare(model)
    outputs = prepared.run([X])
    assert isinstance(outputs, tuple) and outputs[0].tolist() == (X + 2).tolist()
    assert outputs["p"].tolist() == (X * 2).tolist() == outputs.p.tolist()
    assert backend.run_model(model, {"a": X}).s.tolist() == (X + 2).tolist()


def test_nodes():
    assert (
        backend.run_node(helper.make_node("Add", ["a", "b"], ["y"]), [X, X])[0].tolist()
        == (X * 2).tolist()
    )
    clip = helper.make_node("Clip", ["x", "", "max"], ["y"])
    assert backend.run_node(clip, [X, np.float32(2)])[0].tolist() == [0, 1, 2, 2]
    # By the operators of an earlier version.
    softmax = helper.make_node("Softmax", ["x"], ["y"])
    old = backend.run_node(softmax, [np.zeros((2, 2, 2), np.float32)], opset_version=11)[0]
    assert old[0, 0, 0] == pytest.approx(0.25)
    length = helper.make_node("SequenceLength", ["x"], ["n"])
    assert backend.run_node(length, [[X, X]])[0].item() == 2


def test_compatibility():
    assert backend.supports_device("CPU") and not backend.supports_device("CUDA")
    assert backend.is_compatible(onnx.load_from_string(models.add()))
    odd = models.model_of(
        [helper.make_node("Nothing", ["x"], ["y"])],
        [models.tensor("x", [1])],
        [models.tensor("y", [1])],
    )
    assert not backend.is_compatible(odd)
    with pytest.raises(plica.UnsupportedError, match="CUDA"):
        backend.prepare(odd, "CUDA")
