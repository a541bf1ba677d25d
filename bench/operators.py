#!/usr/bin/env python3
"""Times single operators in Plica and ONNX Runtime, interleaved, each measurement in a process of its own.

usage: operators.py [--plica PATH] [--threads 1] [--rounds 3] [--seconds 0.3] [--only REGEX]

Needs numpy, onnx and onnxruntime. Each operator is a model of one node on sizes that models have; further operands are
constants. Prints a Markdown table: best latency of all rounds in milliseconds, and Plica divided by ONNX Runtime.
"""
import argparse
import os
import re
import sys
import tempfile

import compare


def models():
    """(name, input shape, input type, nodes as (op, inputs, attributes), constants by name); output "y", input "x"."""
    import numpy as np

    rng = np.random.default_rng(0)

    def f(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    image, text, rows = (1, 64, 112, 112), (8, 128, 768), (1024, 1024)
    i64 = lambda *v: np.array(v, np.int64)  # noqa: E731
    yield "Relu", image, "f", "Relu", {}, {}
    for op in ("Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Erf", "Gelu", "Elu", "HardSwish", "Softplus", "Abs", "Neg", "Floor",
               "Round", "Sin", "Cos", "Sign", "Reciprocal", "Mish"):
        yield op, text, "f", op, {}, {}
    for op in ("Add", "Mul", "Sub", "Div", "Max", "Pow"):
        yield op, text, "f", op, {"b": np.abs(f(*text))}, {}
    yield "Add (row)", text, "f", "Add", {"b": f(768)}, {}
    yield "Add (channel)", image, "f", "Add", {"b": f(64, 1, 1)}, {}
    yield "Mod (int64)", text, "i", "Mod", {"b": i64(7)}, {}
    yield "Greater", text, "f", "Greater", {"b": f(768)}, {}
    yield "Equal (int64)", text, "i", "Equal", {"b": i64(1)}, {}
    yield "Where", text, "f", "Where", {"c": rng.random(text) > 0.5, "b": f(768)}, {"order": ("c", "x", "b")}
    yield "Clip", text, "f", "Clip", {"lo": np.float32(-0.5), "hi": np.float32(0.5)}, {}
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceProd"):
        yield f"{op} (last)", text, "f", op, {"axes": i64(-1)}, {}
    yield "ReduceSum (first)", text, "f", "ReduceSum", {"axes": i64(0)}, {}
    yield "ReduceMean (space)", image, "f", "ReduceMean", {"axes": i64(2, 3)}, {}
    yield "ReduceMean (channel)", image, "f", "ReduceMean", {"axes": i64(1)}, {}
    yield "ArgMax (last)", text, "f", "ArgMax", {}, {"axis": -1}
    yield "CumSum", text, "f", "CumSum", {"axis": i64(1)}, {}
    yield "Transpose 0213", (8, 128, 12, 64), "f", "Transpose", {}, {"perm": [0, 2, 1, 3]}
    yield "Transpose 10", rows, "f", "Transpose", {}, {"perm": [1, 0]}
    yield "Transpose NHWC", image, "f", "Transpose", {}, {"perm": [0, 2, 3, 1]}
    yield "Gather (rows)", (30000, 128), "f", "Gather", {"i": rng.integers(0, 30000, (8, 128))}, {}
    yield "Gather (axis 1)", rows, "f", "Gather", {"i": rng.integers(0, 1024, 512)}, {"axis": 1}
    yield "GatherElements", rows, "f", "GatherElements", {"i": rng.integers(0, 1024, (1024, 512))}, {"axis": 1}
    yield "GatherND", rows, "f", "GatherND", {"i": rng.integers(0, 1024, (4096, 2))}, {}
    yield "ScatterElements", rows, "f", "ScatterElements", {"i": rng.integers(0, 1024, (1024, 64)), "u": f(1024, 64)}, {"axis": 1}
    yield "ScatterND", rows, "f", "ScatterND", {"i": rng.integers(0, 1024, (256, 1)), "u": f(256, 1024)}, {}
    yield "Slice", rows, "f", "Slice", {"s": i64(1, 1), "e": i64(1000, 1000)}, {}
    yield "Slice (step 2)", rows, "f", "Slice", {"s": i64(0), "e": i64(1024), "a": i64(1), "t": i64(2)}, {}
    yield "Pad", image, "f", "Pad", {"p": i64(0, 0, 1, 1, 0, 0, 1, 1)}, {}
    yield "Pad (reflect)", image, "f", "Pad", {"p": i64(0, 0, 3, 3, 0, 0, 3, 3)}, {"mode": "reflect"}
    yield "Concat (channel)", image, "f", "Concat", {"b": f(*image)}, {"axis": 1}
    yield "Concat (last)", text, "f", "Concat", {"b": f(8, 128, 64)}, {"axis": -1}
    yield "Expand", (1, 128, 1), "f", "Expand", {"s": i64(64, 128, 128)}, {}
    yield "Tile", (64, 256), "f", "Tile", {"s": i64(4, 8)}, {}
    yield "Cast float16", text, "f", "Cast", {}, {"to": 10}
    yield "Cast int64", text, "f", "Cast", {}, {"to": 7}
    yield "Cast int64 to float", text, "i", "Cast", {}, {"to": 1}
    yield "DepthToSpace", (1, 64, 64, 64), "f", "DepthToSpace", {}, {"blocksize": 2}
    yield "BatchNormalization", image, "f", "BatchNormalization", {"s": f(64), "b": f(64), "m": f(64), "v": np.abs(f(64)) + 1}, {}
    yield "LayerNormalization", text, "f", "LayerNormalization", {"s": f(768), "b": f(768)}, {}
    yield "RMSNormalization", text, "f", "RMSNormalization", {"s": f(768)}, {}
    yield "InstanceNormalization", image, "f", "InstanceNormalization", {"s": f(64), "b": f(64)}, {}
    yield "GroupNormalization", image, "f", "GroupNormalization", {"s": f(64), "b": f(64)}, {"num_groups": 8}
    yield "LRN", image, "f", "LRN", {}, {"size": 5}
    yield "Softmax (last)", (8, 12, 128, 128), "f", "Softmax", {}, {}
    yield "Softmax (channel)", image, "f", "Softmax", {}, {"axis": 1}
    yield "LogSoftmax", rows, "f", "LogSoftmax", {}, {}
    yield "TopK 10 of 1000", (64, 1000), "f", "TopK", {"k": i64(10)}, {"outputs": 2}
    yield "TopK all (sort)", (16, 10000), "f", "TopK", {"k": i64(10000)}, {"outputs": 2}
    yield "NonZero", rows, "f", "NonZero", {}, {}
    yield "Resize nearest 2x", (1, 64, 56, 56), "f", "Resize", {"r": f(0), "s": np.array([1, 1, 2, 2], np.float32)}, {}
    yield "Resize linear 2x", (1, 64, 56, 56), "f", "Resize", {"r": f(0), "s": np.array([1, 1, 2, 2], np.float32)}, {"mode": "linear"}
    yield "Resize cubic 2x", (1, 16, 56, 56), "f", "Resize", {"r": f(0), "s": np.array([1, 1, 2, 2], np.float32)}, {"mode": "cubic"}
    yield "GridSample", (1, 32, 56, 56), "f", "GridSample", {"g": f(1, 56, 56, 2) * 0.5}, {}
    yield "MatMul 1024", rows, "f", "MatMul", {"b": f(1024, 1024)}, {}
    yield "Gemm GEMV", (1, 4096), "f", "Gemm", {"b": f(4096, 1000), "c": f(1000)}, {}
    yield "Einsum bhid,bhjd", (8, 12, 128, 64), "f", "Einsum", {"b": f(8, 12, 128, 64)}, {"equation": "bhid,bhjd->bhij"}
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        for steps, batch, size, directions in ((100, 1, 256, 1), (1, 1, 128, 1), (80, 8, 64, 2), (50, 32, 128, 1)):
            w, r = f(directions, gates * size, size) * 0.06, f(directions, gates * size, size) * 0.06
            yield f"{op} {steps}x{size}" + (", both directions" if directions == 2 else ""), (steps, batch, size), "f", op, {
                "w": w, "r": r, "b": f(directions, gates * 2 * size) * 0.1}, {
                "hidden_size": size, "direction": "bidirectional" if directions == 2 else "forward"}
    for count in (1, 1000):
        yield f"TreeEnsemble x{count}", (count, 20), "f", "TreeEnsembleRegressor", {}, forest(rng, 100, 9, 20)
    yield from quantized_models(rng)


def quantized_models(rng):
    import numpy as np

    image, text = (1, 64, 56, 56), (8, 128, 768)
    scale, zero = np.float32(0.02), np.uint8(128)

    def s8(*shape):
        return rng.integers(-127, 128, shape, np.int8)

    def scales(n):
        return (rng.random(n) * 0.001 + 0.001).astype(np.float32)

    yield "QuantizeLinear", text, "f", "QuantizeLinear", {"s": scale, "z": zero}, {}
    yield "DequantizeLinear", text, "u8", "DequantizeLinear", {"s": scale, "z": zero}, {}
    yield "DynamicQuantizeLinear", text, "f", "DynamicQuantizeLinear", {}, {"outputs": 3}
    for name, x, w, more in (("64 to 64, 3x3", image, (64, 64, 3, 3), {"pads": [1, 1, 1, 1]}),
                             ("256 to 64, 1x1", (1, 256, 56, 56), (64, 256, 1, 1), {}),
                             ("512 to 512, 3x3", (1, 512, 7, 7), (512, 512, 3, 3), {"pads": [1, 1, 1, 1]}),
                             ("depthwise 96", (1, 96, 56, 56), (96, 1, 3, 3), {"pads": [1, 1, 1, 1], "group": 96})):
        n = w[0]
        yield f"QLinearConv {name}", x, "u8", "QLinearConv", {
            "s": scale, "z": zero, "w": s8(*w), "ws": scales(n), "wz": np.zeros(n, np.int8), "ys": np.float32(0.1), "yz": zero,
            "b": rng.integers(-999, 999, n, np.int32)}, more
        yield f"ConvInteger {name}", x, "u8", "ConvInteger", {"w": s8(*w), "z": zero}, {"order": ("x", "w", "z"), **more}
    for k, n in ((768, 768), (768, 3072)):
        w = s8(k, n)
        yield f"QLinearMatMul {k} by {n}", (128, k), "u8", "QLinearMatMul", {
            "s": scale, "z": zero, "w": w, "ws": scales(n), "wz": np.zeros(n, np.int8), "ys": np.float32(0.1), "yz": zero}, {}
        yield f"MatMulInteger {k} by {n}", (128, k), "u8", "MatMulInteger", {"w": w, "z": zero}, {}
        yield f"DynamicQuantizeMatMul {k} by {n}", (128, k), "f", "DynamicQuantizeMatMul", {
            "w": w, "ws": scales(n)}, {"domain": "com.microsoft"}
        yield f"MatMulIntegerToFloat {k} by {n}", (128, k), "u8", "MatMulIntegerToFloat", {
            "w": w, "s": scale, "ws": scales(n), "z": zero}, {"domain": "com.microsoft"}
    yield "QGemm 1 by 1000", (1, 1024), "u8", "QGemm", {
        "s": scale, "z": zero, "w": s8(1024, 1000), "ws": scales(1000), "wz": np.zeros(1000, np.int8),
        "b": rng.integers(-999, 999, 1000, np.int32), "ys": np.float32(0.1), "yz": zero}, {"domain": "com.microsoft"}
    to, other = {"ys": np.float32(0.03), "yz": zero}, rng.integers(0, 256, image, np.uint8)
    microsoft = {"domain": "com.microsoft"}
    for op in ("QLinearAdd", "QLinearMul"):
        yield op, image, "u8", op, {"s": scale, "z": zero, "b": other, "bs": scale, "bz": zero, **to}, microsoft
        yield f"{op} (channel)", image, "u8", op, {"s": scale, "z": zero, "b": other[:, :, :1, :1], "bs": scale, "bz": zero,
                                                   **to}, microsoft
    yield "QLinearSigmoid", image, "u8", "QLinearSigmoid", {"s": scale, "z": zero, **to}, microsoft
    yield "QLinearLeakyRelu", image, "u8", "QLinearLeakyRelu", {"s": scale, "z": zero, **to}, microsoft
    yield "QLinearSoftmax", (8, 12, 128, 128), "u8", "QLinearSoftmax", {"s": scale, "z": zero, **to}, {"opset": 13, **microsoft}
    yield "QLinearGlobalAveragePool", (1, 2048, 7, 7), "u8", "QLinearGlobalAveragePool", {"s": scale, "z": zero, **to}, microsoft
    yield "QLinearAveragePool", image, "u8", "QLinearAveragePool", {"s": scale, "z": zero, **to}, {
        "kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], **microsoft}
    yield "QLinearConcat", image, "u8", "QLinearConcat", {**to, "s": scale, "z": zero, "b": other, "bs": scale, "bz": zero}, {
        "order": ("ys", "yz", "x", "s", "z", "b", "bs", "bz"), "axis": 1, **microsoft}
    yield "MaxPool (uint8)", image, "u8", "MaxPool", {}, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}


def forest(rng, trees, depth, features):
    """Attributes of complete trees, whose nodes are numbered as in a heap."""
    inner, count = 2**depth - 1, 2 ** (depth + 1) - 1
    ids = list(range(count))
    children = [2 * i + 1 if i < inner else 0 for i in ids]
    leaves = trees * (count - inner)
    return {
        "domain": "ai.onnx.ml",
        "n_targets": 1,
        "nodes_treeids": [t for t in range(trees) for _ in ids],
        "nodes_nodeids": ids * trees,
        "nodes_featureids": rng.integers(0, features, trees * count).tolist(),
        "nodes_values": rng.standard_normal(trees * count).tolist(),
        "nodes_modes": (["BRANCH_LEQ"] * inner + ["LEAF"] * (count - inner)) * trees,
        "nodes_truenodeids": children * trees,
        "nodes_falsenodeids": [c + 1 if c else 0 for c in children] * trees,
        "target_treeids": [t for t in range(trees) for _ in ids[inner:]],
        "target_nodeids": ids[inner:] * trees,
        "target_ids": [0] * leaves,
        "target_weights": rng.standard_normal(leaves).tolist(),
    }


def make(directory, name, shape, kind, op, constants, attributes):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    attributes = dict(attributes)
    order = attributes.pop("order", ("x", *constants))
    outputs = ["y", "y2", "y3"][: attributes.pop("outputs", 1)]
    x = helper.make_tensor_value_info("x", {"f": TensorProto.FLOAT, "i": TensorProto.INT64, "u8": TensorProto.UINT8}[kind],
                                      shape)
    y = [onnx.ValueInfoProto(name=o) for o in outputs]
    graph = helper.make_graph([helper.make_node(op, order, outputs, **attributes)], "g", [x], y,
                              [numpy_helper.from_array(v, k) for k, v in constants.items()])
    opset = 23 if op == "RMSNormalization" else 21
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    model = onnx.shape_inference.infer_shapes(model)
    path = os.path.join(directory, re.sub(r"\W+", "_", name) + ".onnx")
    onnx.save(model, path)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plica", default="build/release/tools/plica")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    print("| operator | input | Plica ms | ONNX Runtime ms | ratio |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as directory:
        for case in models():
            name, shape = case[:2]
            if not re.search(args.only, name):
                continue
            try:
                path = make(directory, *case)
                best = compare.measure_all(args, ["plica", "onnxruntime"], path, list(shape), args.threads)
            except Exception as error:  # no such operator
                print(f"{name}: {str(error)[:200]}", file=sys.stderr)
                continue
            if not all(best.values()):
                continue
            p, o = best["plica"]["min"], best["onnxruntime"]["min"]
            print(f"| {name} | {'x'.join(map(str, shape))} | {p:.3f} | {o:.3f} | {p / o:.2f} |", flush=True)


if __name__ == "__main__":
    main()
