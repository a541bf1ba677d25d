#!/usr/bin/env python3
"""Times Plica and ONNX Runtime on the same models, interleaved, each measurement in a process of its own.

usage: compare.py [--plica PATH] [--threads 1,2] [--rounds 3] [--seconds 1] MODEL[:d0,d1,...] ...

Needs numpy, onnx and onnxruntime. Prints a Markdown table: minimum and median latency in milliseconds over all rounds
(batch and shape as given, or the model's with free dimensions 1), and Plica divided by ONNX Runtime. Only ratios
within one run mean anything on a shared machine.
"""
import argparse
import json
import os
import subprocess
import sys
import time


def model_input(path, dims):
    import onnx

    model = onnx.load(path, load_external_data=False)
    known = {i.name for i in model.graph.initializer}
    value = next(x for x in model.graph.input if x.name not in known)
    return value.name, dims or [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]


def time_onnxruntime(path, threads, dims, seconds):
    """Runs in a child process; prints {"min", "median"} in milliseconds."""
    import numpy as np
    import onnxruntime as ort

    ort.set_default_logger_severity(4)
    name, shape = model_input(path, dims)
    random = np.random.default_rng(0)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kind = session.get_inputs()[0].type
    if kind == "tensor(int64)":
        feed = {name: random.integers(0, 2, shape)}
    elif kind == "tensor(uint8)":
        feed = {name: random.integers(0, 256, shape, np.uint8)}
    else:
        feed = {name: random.standard_normal(shape).astype(np.float32)}
    for _ in range(3):
        session.run(None, feed)
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    print(json.dumps({"min": times[0], "median": times[len(times) // 2]}))


def run(command, threads):
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    return json.loads(subprocess.run(command, capture_output=True, text=True, env=env, check=True).stdout)


def measure(args, path, dims, threads):
    name, shape = model_input(path, dims)
    yield "plica", run(
        [args.plica, "bench", path, "--threads", str(threads), "--duration", str(args.seconds), "--json"]
        + ["--shape", f"{name}:{'x'.join(map(str, shape))}"],
        threads,
    )["latency_ms"]
    yield "ort", run([sys.executable, os.path.abspath(__file__), "--child", path, str(threads), json.dumps(dims), str(args.seconds)], threads)


def main():
    if sys.argv[1:2] == ["--child"]:
        path, threads, dims, seconds = sys.argv[2:6]
        return time_onnxruntime(path, int(threads), json.loads(dims), float(seconds))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--plica", default="build/release/tools/plica")
    parser.add_argument("--threads", type=lambda v: [int(t) for t in v.split(",")], default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    args = parser.parse_args()

    print("| model | threads | Plica min / median | ONNX Runtime min / median | ratio of min | ratio of median |")
    print("| --- | --- | --- | --- | --- | --- |")
    for spec in args.models:
        path, _, given = spec.partition(":")
        dims = [int(d) for d in given.split(",")] if given else None
        for threads in args.threads:
            best = {}
            for _ in range(args.rounds):
                for engine, latency in measure(args, path, dims, threads):
                    old = best.get(engine, latency)
                    best[engine] = {k: min(old[k], latency[k]) for k in ("min", "median")}
            p, o = best["plica"], best["ort"]
            name = os.path.basename(path).removesuffix(".onnx")
            print(
                f"| {name} | {threads} | {p['min']:.2f} / {p['median']:.2f} | {o['min']:.2f} / {o['median']:.2f} "
                f"| {p['min'] / o['min']:.2f} | {p['median'] / o['median']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
