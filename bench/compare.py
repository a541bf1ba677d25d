#!/usr/bin/env python3
"""Times Plica and its peers on the same models, interleaved, each measurement in a process of its own.

usage: compare.py [--plica PATH] [--peers onnxruntime,openvino,mnn] [--threads 1,2] [--rounds 3] [--seconds 1]
                  MODEL[:d0,d1,...][@STREAMS] ...

Needs numpy and onnx, and the peers that are asked for: onnxruntime, openvino, MNN (with its mnnconvert); one that is
not installed is left out. Prints a Markdown table: the minimum and the median latency in milliseconds over all rounds
(batch and shape as given, or the model's with free dimensions 1), and Plica divided by the best peer. Only ratios
within one run mean anything on a shared machine.

A dimension may be FIRST..LAST..STEP: the sizes are run in turn. One row is then the mean of a run, another the median
of the first runs of all sizes. With @2 two streams run at the same time, each with one thread, for the time of a run
when all CPUs are kept busy (a mean; MNN's Python API runs one at a time and is left out).
"""
import argparse
import importlib.util
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

PEERS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "mnn": "MNN"}
MODULES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "mnn": "MNN"}


def sizes_of(dims):
    """The shapes that a list of dimensions stands for."""
    shapes = [[]]
    for dim in dims:
        first, *rest = [int(d) for d in dim.split("..")]
        last, step = rest[0] if rest else first, rest[1] if len(rest) > 1 else 1
        shapes = [shape + [d] for shape in shapes for d in range(first, last + 1, step)]
    return shapes


def describe(path, dims):
    """The first input that is no initializer: its name, shape and element type; and the outputs' names."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    known = {i.name for i in model.graph.initializer}
    value = next(x for x in model.graph.input if x.name not in known)
    kind = value.type.tensor_type
    shape = dims or [max(d.dim_value, 1) for d in kind.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    return value.name, shape, dtype, [output.name for output in model.graph.output]


def prepare_onnxruntime(path, threads, name, xs, _outputs, streams):
    import onnxruntime as ort

    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [lambda x: session.run(None, {name: x})] * streams


def prepare_openvino(path, threads, _name, xs, _outputs, streams):
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    varying = [len(set(dims)) > 1 for dims in zip(*(x.shape for x in xs))]
    model.reshape({0: [-1 if varies else d for varies, d in zip(varying, xs[0].shape)]})
    settings = {"INFERENCE_NUM_THREADS": threads * streams, "INFERENCE_PRECISION_HINT": "f32"}
    settings |= {"NUM_STREAMS": streams} if streams > 1 else {"PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(model, "CPU", settings)
    requests = [compiled.create_infer_request() for _ in range(streams)]
    return [lambda x, request=request: request.infer([x]) for request in requests]


def convert_to_mnn(path, converted):
    converter = os.path.join(os.path.dirname(sys.executable), "mnnconvert")
    subprocess.run([converter, "-f", "ONNX", "--modelFile", path, "--MNNModel", converted, "--bizCode", "x"],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def open_mnn(converted, threads, name, outputs, shapes_vary):
    import MNN

    settings = {"backend": "CPU", "numThread": threads, "precision": "high", "memory": "normal"}
    runtime = MNN.nn.create_runtime_manager((settings,))
    net = MNN.nn.load_module_from_file(converted, [name], outputs, runtime_manager=runtime,
                                       shape_mutable=shapes_vary)

    def run(x):
        value = MNN.expr.const(x, list(x.shape), MNN.expr.NCHW)
        results = net.forward([value])
        return [r.read() for r in (results if isinstance(results, list) else [results])]

    return run


def prepare_mnn(path, threads, name, xs, outputs, _streams):
    with tempfile.TemporaryDirectory() as directory:
        converted = os.path.join(directory, "model.mnn")
        convert_to_mnn(path, converted)
        return [open_mnn(converted, threads, name, outputs, len(xs) > 1)]


def child(peer, path, threads, shapes, streams, seconds):
    """Runs in a process of its own; prints {"min", "median", "mean", "new"} in milliseconds."""
    import numpy as np

    name, shape, dtype, outputs = describe(path, shapes and shapes[0])
    random = np.random.default_rng(0)
    if dtype.kind in "iu":
        xs = [random.integers(0, 256 if dtype == np.uint8 else 2, s, dtype) for s in shapes or [shape]]
    else:
        xs = [random.standard_normal(s).astype(dtype) for s in shapes or [shape]]
    prepare = {"onnxruntime": prepare_onnxruntime, "openvino": prepare_openvino, "mnn": prepare_mnn}[peer]
    runs = prepare(path, threads, name, xs, outputs, streams)

    def timed(run, x):
        start = time.perf_counter()
        run(x)
        return (time.perf_counter() - start) * 1e3

    new = sorted(timed(runs[0], x) for x in xs)
    for run in runs:
        for x in xs * 3:
            run(x)
    times, begin = [], time.perf_counter()
    end = begin + seconds

    def stream(run):
        count = 0
        while time.perf_counter() < end or count < 5:
            times.extend([timed(run, x) for x in xs])
            count += 1

    workers = [threading.Thread(target=stream, args=(run,)) for run in runs[1:]]
    for worker in workers:
        worker.start()
    stream(runs[0])
    for worker in workers:
        worker.join()
    mean = (time.perf_counter() - begin) * 1e3 / len(times)
    times.sort()
    print(json.dumps({"min": times[0], "median": times[len(times) // 2], "mean": mean, "new": new[len(new) // 2]}))


def measure(args, engine, path, dims, threads, streams):
    if engine == "plica":
        shapes = sizes_of(dims) if dims else []
        name, shape, *_ = describe(path, shapes and shapes[0])
        sizes = "--sweep" if len(shapes) > 1 else "--shape"
        command = [args.plica, "bench", path, "--threads", str(threads), "--streams", str(streams), "--duration",
                   str(args.seconds), "--json", sizes, f"{name}:{'x'.join(map(str, dims or shape))}"]
    else:
        command = [sys.executable, os.path.abspath(__file__), "--child", engine, path, str(threads),
                   json.dumps(sizes_of(dims) if dims else None), str(streams), str(args.seconds)]
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    result = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if result.returncode != 0:
        print(f"{engine} failed on {path}: {(result.stderr.strip().splitlines() or ['?'])[-1]}", file=sys.stderr)
        return None
    answer = json.loads(result.stdout.splitlines()[-1])
    if engine != "plica":
        return answer
    new = answer.get("new_size_ms", {}).get("median", answer["first_run_ms"])
    return {**answer["latency_ms"], "mean": 1e3 / answer["runs_per_second"], "new": new}


def measure_all(args, engines, path, dims, threads, streams):
    """Milliseconds by engine, the best of all rounds; None: it failed."""
    best = {}
    for _ in range(args.rounds):
        for engine in engines:
            latency = measure(args, engine, path, dims, threads, streams)
            old = best.get(engine, latency)
            best[engine] = latency and old and {k: min(old[k], latency[k]) for k in ("min", "median", "mean", "new")}
    return best


def rows_of(name, threads, dims, streams):
    """(name, what stands in the columns "threads", first figure, second figure) of the rows of a measurement."""
    count = len(sizes_of(dims)) if dims else 1
    if count > 1:
        return [(f"{name}, {count} sizes", threads, "mean", "mean"), (f"{name}, a new size", threads, "new", "new")]
    if streams > 1:
        return [(f"{name}, {streams} streams", f"{streams} x {threads}", "mean", "mean")]
    return [(name, threads, "min", "median")]


def main():
    if sys.argv[1:2] == ["--child"]:
        peer, path, threads, shapes, streams, seconds = sys.argv[2:8]
        return child(peer, path, int(threads), json.loads(shapes), int(streams), float(seconds))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--plica", default="build/release/tools/plica")
    parser.add_argument("--peers", type=lambda v: v.split(","), default=list(PEERS))
    parser.add_argument("--threads", type=lambda v: [int(t) for t in v.split(",")], default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    args = parser.parse_args()
    if unknown := [p for p in args.peers if p not in PEERS]:
        parser.error(f"unknown peers: {', '.join(unknown)}")
    peers = [p for p in args.peers if importlib.util.find_spec(MODULES[p])]
    if missing := [p for p in args.peers if p not in peers]:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)

    heads = ["model", "threads", "Plica", *(PEERS[p] for p in peers), "ratio of min", "ratio of median"]
    print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    ratios = []
    for spec in args.models:
        spec, _, streams = spec.partition("@")
        path, _, given = spec.partition(":")
        dims, streams = given.split(",") if given else None, int(streams or 1)
        for threads in [1] if streams > 1 else args.threads:
            engines = ["plica", *(p for p in peers if streams == 1 or p != "mnn")]
            best = measure_all(args, engines, path, dims, threads, streams)
            name = pathlib.Path(path).stem
            if dims and dims[0] != "1" and dims[0].isdigit():
                name += f", batch {dims[0]}"
            for title, threads_cell, *keys in rows_of(name, threads, dims, streams):
                cells = [title, str(threads_cell)]
                for engine in ["plica", *peers]:
                    v = best.get(engine)
                    shown = v and " / ".join(dict.fromkeys(f"{v[k]:.2f}" for k in keys))
                    cells.append(shown or ("failed" if engine in best else ""))
                ran = [best[p] for p in engines[1:] if best[p]]
                for column, key in enumerate(keys):
                    ratio = best["plica"] and ran and best["plica"][key] / min(v[key] for v in ran)
                    cells.append(f"{ratio:.2f}" if ratio else "")
                    if ratio and column == 0:
                        ratios.append(ratio)
                print("| " + " | ".join(cells) + " |", flush=True)
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"\nThe first of the two ratios: geometric mean {mean:.3f} over {len(ratios)}, worst {max(ratios):.2f}")


if __name__ == "__main__":
    main()
