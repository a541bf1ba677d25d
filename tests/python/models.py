"""Small models for the tests."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 21


def model_of(nodes, inputs, outputs, initializers=(), opset=OPSET, metadata=None):
    graph = helper.make_graph(nodes, "a graph", inputs, outputs, list(initializers))
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10, producer_name="tests")
    if metadata:
        helper.set_model_props(model, metadata)
    return model


def tensor(name, shape, element=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, element, shape)


def one_node(op, inputs, outputs, **attributes):
    """A model of one node; inputs and outputs as (name, shape, element type)."""
    node = helper.make_node(op, [i[0] for i in inputs], [o[0] for o in outputs], **attributes)
    return model_of(
        [node], [tensor(*i) for i in inputs], [tensor(*o) for o in outputs]
    ).SerializeToString()


def identity(element, shape=("N",)):
    return one_node("Identity", [("x", shape, element)], [("y", shape, element)])


def add():
    """y = x + [1, 2, 3, 4]"""
    constant = numpy_helper.from_array(np.array([1, 2, 3, 4], np.float32), "c")
    node = helper.make_node("Add", ["x", "c"], ["y"])
    return model_of([node], [tensor("x", [4])], [tensor("y", [4])], [constant]).SerializeToString()


def two_outputs():
    """s = a + b, p = a * b, with b = 2 when it is left out."""
    default = numpy_helper.from_array(np.array([2], np.float32), "b")
    nodes = [helper.make_node("Add", ["a", "b"], ["s"]), helper.make_node("Mul", ["a", "b"], ["p"])]
    inputs = [tensor("a", ["N"]), tensor("b", [1])]
    return model_of(
        nodes, inputs, [tensor("s", ["N"]), tensor("p", ["N"])], [default]
    ).SerializeToString()


def batch_norms():
    """Conv -> BatchNormalization, which folds, and another between Sigmoids, which can't."""
    rng = np.random.default_rng(1)
    w = rng.standard_normal((8, 3, 3, 3)).astype(np.float32)
    arrays = {"w": w}
    for norm, channels in (("n0", 8), ("n1", 8)):
        for name in ("scale", "bias", "mean"):
            arrays[f"{norm}.{name}"] = rng.standard_normal(channels).astype(np.float32)
        arrays[f"{norm}.var"] = rng.uniform(0.5, 2, channels).astype(np.float32)

    def norm_of(norm, x, y):
        names = [f"{norm}.{name}" for name in ("scale", "bias", "mean", "var")]
        return helper.make_node("BatchNormalization", [x, *names], [y], name=norm)

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1]),
        norm_of("n0", "a", "b"),
        helper.make_node("Sigmoid", ["b"], ["c"], name="sigmoid"),
        norm_of("n1", "c", "d"),
        helper.make_node("Sigmoid", ["d"], ["y"], name="last"),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    inputs, outputs = [tensor("x", ["N", 3, 16, 16])], [tensor("y", ["N", 8, 16, 16])]
    return model_of(
        nodes, inputs, outputs, initializers, metadata={"author": "me"}
    ).SerializeToString()


def loop():
    """Multiplies a 32x32 matrix n times: as long as one likes."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["s", "m"], ["product"]),
            helper.make_node("Identity", ["go"], ["go_on"]),
        ],
        "body",
        [
            tensor("i", [], TensorProto.INT64),
            tensor("go", [], TensorProto.BOOL),
            tensor("s", [32, 32]),
        ],
        [tensor("go_on", [], TensorProto.BOOL), tensor("product", [32, 32])],
    )
    nodes = [helper.make_node("Loop", ["n", "", "m"], ["y"], body=body)]
    inputs = [tensor("n", [], TensorProto.INT64), tensor("m", [32, 32])]
    return model_of(nodes, inputs, [tensor("y", [32, 32])]).SerializeToString()


def forever():
    return {"n": np.int64(1 << 40), "m": np.eye(32, dtype=np.float32)}


def sequences():
    """Both elements of a list, swapped and as a list."""
    value = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    first = numpy_helper.from_array(np.array(0, np.int64), "first")
    nodes = [
        helper.make_node("SequenceAt", ["x", "first"], ["e"]),
        helper.make_node("SequenceErase", ["x", "first"], ["rest"]),
        helper.make_node("SequenceInsert", ["rest", "e"], ["y"]),
    ]
    out = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    return model_of(nodes, [value], [out], [first]).SerializeToString()


def optional():
    """An optional tensor, and whether there is one."""
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, ["N"]))
    nodes = [
        helper.make_node("Identity", ["x"], ["y"]),
        helper.make_node("OptionalHasElement", ["x"], ["has"]),
    ]
    outputs = [helper.make_value_info("y", kind), tensor("has", [], TensorProto.BOOL)]
    return model_of(nodes, [helper.make_value_info("x", kind)], outputs).SerializeToString()


def zip_map():
    """A list of maps, as classifiers of scikit-learn give them."""
    node = helper.make_node(
        "ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_strings=["a", "b"]
    )
    inner = onnx.TypeProto()
    inner.map_type.key_type = TensorProto.STRING
    inner.map_type.value_type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    out = helper.make_value_info("y", helper.make_sequence_type_proto(inner))
    return model_of([node], [tensor("x", ["N", 2])], [out]).SerializeToString()


def dict_vectorizer():
    """A map to the vector of its values for a, b and c."""
    kind = onnx.TypeProto()
    kind.map_type.key_type = TensorProto.STRING
    kind.map_type.value_type.CopyFrom(helper.make_tensor_type_proto(TensorProto.INT64, []))
    node = helper.make_node(
        "DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b", "c"]
    )
    out = tensor("y", [1, 3], TensorProto.INT64)
    return model_of([node], [helper.make_value_info("x", kind)], [out]).SerializeToString()
