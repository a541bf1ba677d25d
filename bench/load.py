#!/usr/bin/env python3
"""Times how long models take until their first result, Plica beside its peers, and the memory that takes.

usage: load.py [--plica PATH] [--peers onnxruntime,openvino,mnn] [--threads 2] [--rounds 5] MODEL[:d0,d1,...] ...

Each measurement is a process of its own, interleaved; the files are in the page cache. A cell is the time to load and
the time of the first run, in milliseconds, the best of all rounds by their sum, and the peak of the resident set above
what the process had before it loaded the model (the interpreter and the library; of Plica all is counted). MNN's own
format is made before the clock starts, and so is the file of plica compile. The ratios of times are to ONNX Runtime's,
of the ONNX file and of the compiled one, and of the ONNX file to the best of the peers; that of memory is of the ONNX
file to ONNX Runtime's.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import compare


def peak_resident():
    """Of this process since the last restart_peak(). (What getrusage says includes the parent's.)"""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def restart_peak():
    """The peak is what is resident now."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as clear:
        clear.write("5")


def child(peer, path, threads, shape, converted):
    """Prints {"load_ms", "first_run_ms", "bytes"}."""
    import numpy as np

    name, shape, dtype, outputs = compare.describe(path, shape)
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    __import__(compare.MODULES[peer])
    restart_peak()
    before, start = peak_resident(), time.perf_counter()
    if peer == "mnn":
        run = compare.open_mnn(converted, threads, name, outputs, False)
    else:
        prepare = {"onnxruntime": compare.prepare_onnxruntime, "openvino": compare.prepare_openvino}[peer]
        run = prepare(path, threads, name, [x], outputs, 1)[0]
    loaded = time.perf_counter()
    run(x)
    end = time.perf_counter()
    peak = peak_resident()
    print(json.dumps({"load_ms": (loaded - start) * 1e3, "first_run_ms": (end - loaded) * 1e3,
                      "bytes": peak - before}))


def measure(args, engine, path, dims, shape, converted, compiled):
    if engine in ("plica", "compiled"):
        path = compiled if engine == "compiled" else path
        command = [args.plica, "bench", path, "--threads", str(args.threads), "--duration", "0", "--warm-up", "0",
                   "--json", "--shape", shape]
    else:
        command = [sys.executable, os.path.abspath(__file__), "--child", engine, path, str(args.threads),
                   json.dumps(dims), converted]
    env = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    for file in {path, converted} if engine == "mnn" else {path}:  # that of plica compile is, by the first round
        pathlib.Path(file).read_bytes()  # into the page cache
    result = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if result.returncode != 0:
        print(f"{engine} failed on {path}: {(result.stderr.strip().splitlines() or ['?'])[-1]}", file=sys.stderr)
        return None
    answer = json.loads(result.stdout.splitlines()[-1])
    return {"load": answer["load_ms"], "first": answer["first_run_ms"],
            "sum": answer["load_ms"] + answer["first_run_ms"], "bytes": answer.get("bytes", answer.get("peak_rss_bytes"))}


def best_of(args, engines, *what):
    best = {}
    for _ in range(args.rounds):
        for engine in engines:
            got = measure(args, engine, *what)
            old = best.get(engine)
            best[engine] = min((m for m in (old, got) if m), key=lambda m: m["sum"], default=None)
    return best


def main():
    if sys.argv[1:2] == ["--child"]:
        peer, path, threads, shape, converted = sys.argv[2:7]
        return child(peer, path, int(threads), json.loads(shape), converted)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--plica", default="build/release/tools/plica")
    parser.add_argument("--peers", type=lambda v: v.split(","), default=list(compare.PEERS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    peers = [p for p in args.peers if importlib.util.find_spec(compare.MODULES[p])]

    heads = ["model", "Plica", "compiled", *(compare.PEERS[p] for p in peers), "to ONNX Runtime", "compiled",
             "to the best", "memory"]
    print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    for spec in args.models:
        path, _, given = spec.partition(":")
        dims = [int(d) for d in given.split(",")] if given else None
        with tempfile.TemporaryDirectory() as directory:
            converted = os.path.join(directory, "model.mnn")
            if "mnn" in peers:
                compare.convert_to_mnn(path, converted)
            engines = ["plica", "compiled", *peers]
            name, shape, *_ = compare.describe(path, dims)
            shape = f"{name}:{'x'.join(map(str, shape))}"
            compiled = os.path.join(directory, "model.plica")
            subprocess.run([args.plica, "-q", "compile", path, compiled, "--shape", shape, "--threads",
                            str(args.threads)], check=True, stdout=subprocess.DEVNULL)
            best = best_of(args, engines, path, dims, shape, converted, compiled)
        cells = [pathlib.Path(path).stem]
        for engine in engines:
            v = best[engine]
            cells.append(f"{v['load']:.0f} + {v['first']:.0f}, {v['bytes'] / 1e6:.0f} MB" if v else "failed")
        own, ran = best["plica"], [best[p] for p in peers if best[p]]
        ort = best.get("onnxruntime")
        for mine in (own, best["compiled"]):
            cells.append(f"{mine['sum'] / ort['sum']:.2f}" if mine and ort else "")
        cells.append(f"{own['sum'] / min(v['sum'] for v in ran):.2f}" if own and ran else "")
        cells.append(f"{own['bytes'] / ort['bytes']:.2f}" if own and ort else "")
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
