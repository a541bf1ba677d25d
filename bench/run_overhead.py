#!/usr/bin/env python3
"""What one run costs besides its arithmetic, from Python: one Add (float32[4] and a constant).

    PYTHONPATH=build/release/api/python bench/run_overhead.py [--rounds N] [--runs N]

Plica and ONNX Runtime are timed in turn, in this process, one thread each; of all rounds the least
and the median time of one run are printed, in microseconds.
"""

import argparse
import statistics
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import plica
import plica.ort


def one_add():
    constant = numpy_helper.from_array(np.array([1, 2, 3, 4], np.float32), "c")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "c"], ["y"])],
        "add",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [constant],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    ).SerializeToString()


def main():
    parser = argparse.ArgumentParser(description="The overhead of one run, in Python.")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--runs", type=int, default=500, help="in each round")
    options = parser.parse_args()

    model = one_add()
    theirs = onnxruntime.SessionOptions()
    theirs.intra_op_num_threads = 1
    ours = plica.ort.SessionOptions()
    ours.intra_op_num_threads = 1
    session = plica.Session(model, threads=1)
    drop_in = plica.ort.InferenceSession(model, ours)
    reference = onnxruntime.InferenceSession(model, theirs, providers=["CPUExecutionProvider"])
    feed = {"x": np.arange(4, dtype=np.float32)}
    names = ["y"]
    contenders = {
        "plica.Session.run(feed)": lambda: session.run(feed),
        "plica.ort InferenceSession.run(None, feed)": lambda: drop_in.run(None, feed),
        "plica.ort InferenceSession.run(names, feed)": lambda: drop_in.run(names, feed),
        "onnxruntime InferenceSession.run(None, feed)": lambda: reference.run(None, feed),
        "onnxruntime InferenceSession.run(names, feed)": lambda: reference.run(names, feed),
    }
    times = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, run in contenders.items():
            run()
            start = time.perf_counter_ns()
            for _ in range(options.runs):
                run()
            times[name].append((time.perf_counter_ns() - start) / options.runs / 1e3)
    print(
        f"plica {plica.__version__}, onnxruntime {onnxruntime.__version__}, "
        f"numpy {np.__version__}, onnx {onnx.__version__}"
    )
    print(f"{'us for one run':46} {'min':>7} {'median':>7}")
    for name, each in times.items():
        print(f"{name:46} {min(each):7.2f} {statistics.median(each):7.2f}")


if __name__ == "__main__":
    main()
