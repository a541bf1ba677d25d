#!/usr/bin/env python3
"""Times Plica and its peers on the same models, interleaved, each measurement in a process of its own.

usage: compare.py [--plica PATH] [--peers onnxruntime,openvino,mnn] [--threads 1,2] [--rounds 3] [--seconds 1]
                  MODEL[:d0,d1,...] ...

Needs numpy and onnx, and the peers that are asked for: onnxruntime, openvino, MNN (with its mnnconvert); one that is
not installed is left out. Prints a Markdown table: the minimum and the median latency in milliseconds over all rounds
(batch and shape as given, or the model's with free dimensions 1), and Plica divided by the best peer. Only ratios
within one run mean anything on a shared machine.
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
import time

PEERS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "mnn": "MNN"}
MODULES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "mnn": "MNN"}


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


def prepare_onnxruntime(path, threads, name, x, _outputs):
    import onnxruntime as ort

    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {name: x})


def prepare_openvino(path, threads, _name, x, _outputs):
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({0: list(x.shape)})
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([x])


def prepare_mnn(path, threads, name, x, outputs):
    import MNN

    with tempfile.TemporaryDirectory() as directory:
        converted = os.path.join(directory, "model.mnn")
        converter = os.path.join(os.path.dirname(sys.executable), "mnnconvert")
        subprocess.run([converter, "-f", "ONNX", "--modelFile", path, "--MNNModel", converted, "--bizCode", "x"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        settings = {"backend": "CPU", "numThread": threads, "precision": "high", "memory": "normal"}
        runtime = MNN.nn.create_runtime_manager((settings,))
        net = MNN.nn.load_module_from_file(converted, [name], outputs, runtime_manager=runtime, shape_mutable=False)
    value = MNN.expr.const(x, list(x.shape), MNN.expr.NCHW)

    def run():
        results = net.forward([value])
        return [r.read() for r in (results if isinstance(results, list) else [results])]

    return run


def child(peer, path, threads, dims, seconds):
    """Runs in a process of its own; prints {"min", "median"} in milliseconds."""
    import numpy as np

    name, shape, dtype, outputs = describe(path, dims)
    random = np.random.default_rng(0)
    if dtype.kind in "iu":
        x = random.integers(0, 256 if dtype == np.uint8 else 2, shape, dtype)
    else:
        x = random.standard_normal(shape).astype(dtype)
    prepare = {"onnxruntime": prepare_onnxruntime, "openvino": prepare_openvino, "mnn": prepare_mnn}[peer]
    run = prepare(path, threads, name, x, outputs)
    for _ in range(3):
        run()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    print(json.dumps({"min": times[0], "median": times[len(times) // 2]}))


def measure(args, engine, path, dims, threads):
    if engine == "plica":
        name, shape, *_ = describe(path, dims)
        command = [args.plica, "bench", path, "--threads", str(threads), "--duration", str(args.seconds), "--json",
                   "--shape", f"{name}:{'x'.join(map(str, shape))}"]
    else:
        command = [sys.executable, os.path.abspath(__file__), "--child", engine, path, str(threads), json.dumps(dims),
                   str(args.seconds)]
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    result = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if result.returncode != 0:
        print(f"{engine} failed on {path}: {(result.stderr.strip().splitlines() or ['?'])[-1]}", file=sys.stderr)
        return None
    answer = json.loads(result.stdout.splitlines()[-1])
    return answer["latency_ms"] if engine == "plica" else answer


def measure_all(args, engines, path, dims, threads):
    """Minimum and median by engine, the best of all rounds; None: it failed."""
    best = {}
    for _ in range(args.rounds):
        for engine in engines:
            latency = measure(args, engine, path, dims, threads)
            old = best.get(engine, latency)
            best[engine] = latency and old and {k: min(old[k], latency[k]) for k in ("min", "median")}
    return best


def main():
    if sys.argv[1:2] == ["--child"]:
        peer, path, threads, dims, seconds = sys.argv[2:7]
        return child(peer, path, int(threads), json.loads(dims), float(seconds))
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
        path, _, given = spec.partition(":")
        dims = [int(d) for d in given.split(",")] if given else None
        for threads in args.threads:
            best = measure_all(args, ["plica", *peers], path, dims, threads)
            cells = [pathlib.Path(path).stem, str(threads)]
            cells += [f"{v['min']:.2f} / {v['median']:.2f}" if v else "failed" for v in best.values()]
            ran = [best[p] for p in peers if best[p]]
            for key in ("min", "median"):
                ratio = best["plica"] and ran and best["plica"][key] / min(v[key] for v in ran)
                cells.append(f"{ratio:.2f}" if ratio else "")
                if ratio and key == "min":
                    ratios.append(ratio)
            print("| " + " | ".join(cells) + " |", flush=True)
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"\nRatio of minima: geometric mean {mean:.3f} over {len(ratios)}, worst {max(ratios):.2f}")


if __name__ == "__main__":
    main()
