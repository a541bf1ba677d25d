#!/usr/bin/env python3
"""Compares graph optimizers: what they leave of a model, what they cost, and whether it still computes the same.

usage: optimizers.py [--plica PATH] [--rounds 3] [--materialize] MODEL ...

Needs numpy, onnx and onnxruntime; onnxsim and onnxslim take part when they can be imported. Each run of an engine is a
process of its own, engines interleaved; time (seconds) and peak memory (MiB) are those of the whole process, the
minimum of all rounds. Results are compared in ONNX Runtime without its own optimizations, on seeded inputs in
which free dimensions are 1: the largest difference, relative to the largest magnitude of the output.

--materialize: models whose weights are ConstantOfShape nodes (the light_* models of the onnx package) get seeded
random weights in their place first, the same for all engines, so that they are like the models that they stand for.
"""
import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time

ENGINES = ["plica", "onnxsim", "onnxslim", "onnxruntime"]


def optimize(engine, source, target):
    """Runs in a child process."""
    if engine == "onnxsim":
        import onnx
        import onnxsim

        model, ok = onnxsim.simplify(onnx.load(source))
        assert ok
        onnx.save(model, target)
    elif engine == "onnxslim":
        import onnx
        import onnxslim

        onnx.save(onnxslim.slim(source), target)
    else:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = target
        options.log_severity_level = 4
        ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run(command):
    """Seconds and MiB of the whole process; None when it fails.

    By way of a small process: a child's peak memory starts at that of its parent, and this one has models loaded.
    """
    command = [sys.executable, "-I", "-S", os.path.abspath(__file__), "--measure", *command]
    result = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return (float(result[0]), float(result[1])) if len(result) == 2 else None


def measure(command):
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode == 0:
        print(time.perf_counter() - start, usage.ru_maxrss / 1024)


def nodes_of(graph):
    import onnx

    for node in graph.node:
        yield node
        for attribute in node.attribute:
            graphs = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs
            for sub in graphs:
                yield from nodes_of(sub)


def count(path):
    import onnx

    ops = [node.op_type for node in nodes_of(onnx.load(path, load_external_data=False).graph)]
    return len(ops), ops.count("BatchNormalization")


def materialize(source, target):
    """ConstantOfShape of a constant -> random weights; positive where a BatchNormalization reads a variance."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    graph = model.graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    variances = {n.input[4] for n in graph.node if n.op_type == "BatchNormalization"}
    random = np.random.default_rng(0)
    listed = {i.name for i in graph.input}
    kept, made = [], 0
    for node in graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in constants:
            kept.append(node)
            continue
        shape = constants[node.input[0]]
        fan_in = max(int(np.prod(shape[1:])), 1)
        values = random.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(fan_in))
        if node.output[0] in variances:
            values = np.abs(values) + np.float32(0.5)
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        if model.ir_version < 4 and node.output[0] not in listed:
            graph.input.append(onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, shape.tolist()))
        made += 1
    if not made:
        return source
    used = {name for node in kept for name in node.input}
    for values in (graph.initializer, graph.input):
        unused = [v for v in values if v.name not in used and v.name in constants]
        for v in unused:
            values.remove(v)
    del graph.node[:]
    graph.node.extend(kept)
    onnx.save(model, target)
    return target


def outputs(path, seed=0):
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(seed)
    feed = {}
    for i in session.get_inputs():
        # 64: small enough for every free size, large enough for networks that halve it six times
        sizes = [d if isinstance(d, int) and d > 0 else (1 if k < 2 else 64) for k, d in enumerate(i.shape)]
        feed[i.name] = random.standard_normal(sizes).astype(np.float32)
    return session.run(None, feed)


def difference(before, path):
    import numpy as np

    worst = 0.0
    for a, b in zip(before, outputs(path), strict=True):
        if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return float("inf")
        scale = max(float(np.max(np.abs(a), initial=0)), 1e-30)
        worst = max(worst, float(np.max(np.abs(a.astype(np.float64) - b), initial=0)) / scale)
    return worst


def report(args, path, directory):
    name = os.path.basename(path).removesuffix(".onnx")
    if args.materialize:
        path = materialize(path, os.path.join(directory, "materialized.onnx"))
    before = outputs(path)
    nodes, norms = count(path)
    print(f"| {name} | as it is | {nodes} | {norms} | | | |", flush=True)
    best, targets = {}, {}
    for _ in range(args.rounds):
        for engine in args.engines:
            targets[engine] = os.path.join(directory, f"{engine}.onnx")
            command = [sys.executable, __file__, "--child", engine, path, targets[engine]]
            if engine == "plica":
                command = [args.plica, "optimize", path, targets[engine]]
            cost = run(command)
            if cost is None:
                targets[engine] = None
                continue
            old = best.get(engine, cost)
            best[engine] = (min(old[0], cost[0]), min(old[1], cost[1]))
    for engine in args.engines:
        if targets[engine] is None:
            print(f"| {name} | {engine} | failed | | | | |", flush=True)
            continue
        nodes, norms = count(targets[engine])
        seconds, mib = best[engine]
        try:
            moved = f"{difference(before, targets[engine]):.1e}"
        except Exception as error:
            moved = f"does not run: {str(error).splitlines()[0][:60]}"
        print(f"| {name} | {engine} | {nodes} | {norms} | {seconds:.2f} | {mib:.0f} | {moved} |", flush=True)
    for file in os.listdir(directory):
        os.remove(os.path.join(directory, file))


def main():
    if sys.argv[1:2] == ["--measure"]:
        return measure(sys.argv[2:])
    if sys.argv[1:2] == ["--child"]:
        return optimize(*sys.argv[2:5])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--plica", default="build/release/tools/plica")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--materialize", action="store_true")
    args = parser.parse_args()
    args.engines = [e for e in ENGINES if e == "plica" or importlib.util.find_spec(e)]
    print("| model | engine | nodes | batch norms | seconds | MiB | difference |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        for path in args.models:
            report(args, os.path.abspath(path), directory)


if __name__ == "__main__":
    main()
