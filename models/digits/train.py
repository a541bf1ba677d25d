#!/usr/bin/env python3
"""Trains the digits model and its twin without batch norms, and writes everything in this directory but itself.

    python3 models/digits/train.py            # about five minutes on one core
    python3 models/digits/train.py --check    # only the gradient check

Needs numpy, scikit-learn, onnx and onnxruntime. Data: the 1797 handwritten digits that ship with scikit-learn, split
70/30 by label with a fixed seed. The test part takes no part in training, in choosing settings from run to run, or in
choosing a seed: what is committed is seed 0, and the log shows other seeds beside it.

Layers hold activations as N,H,W,C and weights as kh,kw,in,out, so that a convolution is one matrix product; only the
export speaks ONNX's N,C,H,W. The same seed gives the same files on the same machine and numpy; another BLAS may round
differently and end up at slightly different weights.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: one thread adds up in one order
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import io
import pathlib
import struct
import sys
import zipfile
import zlib

import numpy as np
import onnx
import onnxruntime
import sklearn
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = pathlib.Path(__file__).resolve().parent
EPOCHS, BATCH, PEAK_RATE, WEIGHT_DECAY = 80, 64, 4e-3, 1e-3
SHIPPED_SEED, OTHER_SEEDS = 0, (1, 2, 3, 4)
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


# --- layers: forward(x, training) remembers what backward(dy) needs; backward fills `grads` and returns dx -----------


class Layer:
    def __init__(self):
        self.params, self.grads = {}, {}

    def leaves(self):
        return [self]


class Conv(Layer):
    """k x k convolution, padding k // 2. Depthwise when `depthwise`; has a bias only when no batch norm follows."""

    def __init__(self, name, rng, cin, cout, k, stride=1, depthwise=False, bias=False):
        super().__init__()
        assert not depthwise or cin == cout
        self.name, self.k, self.stride, self.depthwise = name, k, stride, depthwise
        shape = (k, k, cin) if depthwise else (k, k, cin, cout)
        fan_in = k * k * (1 if depthwise else cin)
        self.params["weight"] = rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)  # He et al. 2015, eq. 10
        if bias:
            self.params["bias"] = np.zeros(cout, np.float32)

    def forward(self, x, training):
        k, s, p = self.k, self.stride, self.k // 2
        self.x_shape = x.shape
        x = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (1, 2))[:, ::s, ::s]  # N,H,W,C,kh,kw
        self.columns = np.ascontiguousarray(windows.transpose(0, 1, 2, 4, 5, 3))  # N,H,W,kh,kw,C
        n, h, w = self.columns.shape[:3]
        weight = self.params["weight"]
        if self.depthwise:
            y = (self.columns * weight).sum((3, 4))
        else:
            y = (self.columns.reshape(n * h * w, -1) @ weight.reshape(-1, weight.shape[3])).reshape(n, h, w, -1)
        return y + self.params["bias"] if "bias" in self.params else y

    def backward(self, dy):
        k, s, p = self.k, self.stride, self.k // 2
        n, h, w, cout = dy.shape
        weight = self.params["weight"]
        if "bias" in self.params:
            self.grads["bias"] = dy.sum((0, 1, 2))
        if self.depthwise:
            spread = dy[:, :, :, None, None, :]
            self.grads["weight"] = (self.columns * spread).sum((0, 1, 2))
            dcolumns = spread * weight
        else:
            rows = dy.reshape(-1, cout)
            self.grads["weight"] = (self.columns.reshape(len(rows), -1).T @ rows).reshape(weight.shape)
            dcolumns = (rows @ weight.reshape(-1, cout).T).reshape(self.columns.shape)
        _, height, width, cin = self.x_shape
        dx = np.zeros((n, height + 2 * p, width + 2 * p, cin), dy.dtype)
        for i in range(k):
            for j in range(k):
                dx[:, i : i + s * h : s, j : j + s * w : s] += dcolumns[:, :, :, i, j]
        return dx[:, p : p + height, p : p + width]

    def export(self, onnx_graph, x):
        weight = self.params["weight"]
        weight = weight.transpose(2, 0, 1)[:, None] if self.depthwise else weight.transpose(3, 2, 0, 1)
        inputs = [x, onnx_graph.constant(f"{self.name}.weight", weight)]
        if "bias" in self.params:
            inputs.append(onnx_graph.constant(f"{self.name}.bias", self.params["bias"]))
        return onnx_graph.node(
            "Conv", self.name, inputs, kernel_shape=[self.k] * 2, strides=[self.stride] * 2, pads=[self.k // 2] * 4,
            group=len(weight) if self.depthwise else 1)


class BatchNorm(Layer):
    """Ioffe & Szegedy 2015: batch statistics when training, running ones (unbiased variance) when not."""

    EPSILON, MOMENTUM = 1e-5, 0.9

    def __init__(self, name, channels):
        super().__init__()
        self.name = name
        self.params = {"scale": np.ones(channels, np.float32), "bias": np.zeros(channels, np.float32)}
        self.mean, self.var = np.zeros(channels, np.float32), np.ones(channels, np.float32)

    def forward(self, x, training):
        mean, var = self.mean, self.var
        if training:
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            count = x.size // x.shape[3]
            self.mean = self.MOMENTUM * self.mean + (1 - self.MOMENTUM) * mean
            self.var = self.MOMENTUM * self.var + (1 - self.MOMENTUM) * var * count / (count - 1)
        self.inverse = 1 / np.sqrt(var + self.EPSILON)
        self.normal = (x - mean) * self.inverse
        return self.normal * self.params["scale"] + self.params["bias"]

    def backward(self, dy):
        self.grads["bias"] = dy.sum((0, 1, 2))
        self.grads["scale"] = (dy * self.normal).sum((0, 1, 2))
        count = dy.size // dy.shape[3]
        centred = dy - self.grads["bias"] / count - self.normal * self.grads["scale"] / count
        return centred * (self.params["scale"] * self.inverse)

    def export(self, onnx_graph, x):
        values = {**self.params, "mean": self.mean, "var": self.var}
        inputs = [x] + [onnx_graph.constant(f"{self.name}.{key}", value) for key, value in values.items()]
        return onnx_graph.node("BatchNormalization", self.name, inputs, epsilon=self.EPSILON, momentum=self.MOMENTUM)


class Relu(Layer):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, x, training):
        self.positive = x > 0
        return x * self.positive

    def backward(self, dy):
        return dy * self.positive

    def export(self, onnx_graph, x):
        return onnx_graph.node("Relu", self.name, [x])


class Residual(Layer):
    """x + body(x)"""

    def __init__(self, name, *body):
        super().__init__()
        self.name, self.body = name, Chain(*body)

    def leaves(self):
        return self.body.leaves()

    def forward(self, x, training):
        return x + self.body.forward(x, training)

    def backward(self, dy):
        return dy + self.body.backward(dy)

    def export(self, onnx_graph, x):
        return onnx_graph.node("Add", self.name, [self.body.export(onnx_graph, x), x])


class PoolAndGemm(Layer):
    """Global average pool, flatten, Gemm: N,H,W,C to N,classes logits. The exported model ends in a softmax."""

    def __init__(self, name, rng, cin, classes):
        super().__init__()
        self.name = name
        self.params = {"weight": rng.normal(0, np.sqrt(1 / cin), (cin, classes)).astype(np.float32),
                       "bias": np.zeros(classes, np.float32)}

    def forward(self, x, training):
        self.x_shape, self.pooled = x.shape, x.mean((1, 2))
        return self.pooled @ self.params["weight"] + self.params["bias"]

    def backward(self, dy):
        self.grads["weight"], self.grads["bias"] = self.pooled.T @ dy, dy.sum(0)
        dpooled = dy @ self.params["weight"].T
        area = self.x_shape[1] * self.x_shape[2]
        return np.broadcast_to(dpooled[:, None, None] / area, self.x_shape)

    def export(self, onnx_graph, x):
        x = onnx_graph.node("GlobalAveragePool", "pool", [x])
        x = onnx_graph.node("Flatten", "flatten", [x], axis=1)
        weight = onnx_graph.constant(f"{self.name}.weight", self.params["weight"].T)  # out x in, as exporters write it
        bias = onnx_graph.constant(f"{self.name}.bias", self.params["bias"])
        x = onnx_graph.node("Gemm", self.name, [x, weight, bias], transB=1)
        return onnx_graph.node("Softmax", "softmax", [x], output="probabilities", axis=1)


class Chain(Layer):
    def __init__(self, *layers):
        super().__init__()
        self.layers = layers

    def leaves(self):
        return [leaf for layer in self.layers for leaf in layer.leaves()]

    def forward(self, x, training):
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dy):
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    def export(self, onnx_graph, x):
        for layer in self.layers:
            x = layer.export(onnx_graph, x)
        return x


def build(seed, with_batch_norm):
    """The network. The twin has a bias in each convolution where the other has a batch norm; nothing else differs, and
    both start from the same weights."""
    rng = np.random.default_rng(seed)

    def conv(name, *args, **kwargs):
        layer = Conv(f"{name}.conv", rng, *args, bias=not with_batch_norm, **kwargs)
        return Chain(layer, BatchNorm(f"{name}.bn", args[1])) if with_batch_norm else layer

    return Chain(
        conv("stem", 1, 16, 3), Relu("stem.relu"),
        Residual("block1.add", conv("block1.a", 16, 16, 3), Relu("block1.a.relu"), conv("block1.b", 16, 16, 3)),
        Relu("block1.relu"),
        conv("down.depthwise", 16, 16, 3, stride=2, depthwise=True), Relu("down.depthwise.relu"),
        conv("down.pointwise", 16, 32, 1), Relu("down.pointwise.relu"),
        Residual("block2.add", conv("block2.a", 32, 32, 3), Relu("block2.a.relu"), conv("block2.b", 32, 32, 3)),
        Relu("block2.relu"),
        PoolAndGemm("classifier", rng, 32, 10))


# --- training --------------------------------------------------------------------------------------------------------


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def loss_and_gradient(logits, labels):
    """Mean cross entropy, and its gradient by the logits."""
    p = softmax(logits)
    rows = np.arange(len(labels))
    loss = -np.log(p[rows, labels] + 1e-12).mean()
    p[rows, labels] -= 1
    return loss, p / len(labels)


class Adam:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019) on weights only, not on biases and scales."""

    def __init__(self, leaves):
        self.slots = [(leaf, key, np.zeros_like(value), np.zeros_like(value))
                      for leaf in leaves for key, value in leaf.params.items()]
        self.t = 0

    def step(self, rate):
        self.t += 1
        for leaf, key, m, v in self.slots:
            g = leaf.grads[key]
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            update = (m / (1 - 0.9**self.t)) / (np.sqrt(v / (1 - 0.999**self.t)) + 1e-8)
            if key == "weight":
                update += WEIGHT_DECAY * leaf.params[key]
            leaf.params[key] -= (rate * update).astype(leaf.params[key].dtype)


def shift(images, rng):
    """Moves each picture by up to one pixel each way, in fractions of a pixel, filling with background."""
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    n = np.arange(len(images))[:, None, None]
    dy, dx = rng.uniform(-1, 1, (2, len(images), 1, 1)).astype(np.float32)
    iy, ix = np.floor(dy).astype(int), np.floor(dx).astype(int)
    fy, fx = (dy - iy)[..., None], (dx - ix)[..., None]
    y, x = np.arange(2, 10)[None, :, None] + iy, np.arange(2, 10)[None, None, :] + ix
    top = padded[n, y, x] * (1 - fx) + padded[n, y, x + 1] * fx
    bottom = padded[n, y + 1, x] * (1 - fx) + padded[n, y + 1, x + 1] * fx
    return top * (1 - fy) + bottom * fy


def train(net, images, labels, seed, log):
    rng = np.random.default_rng(1000 + seed)
    adam = Adam(net.leaves())
    steps = EPOCHS * (len(images) // BATCH)
    for epoch in range(EPOCHS):
        losses = []
        order = rng.permutation(len(images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            loss, gradient = loss_and_gradient(net.forward(shift(images[batch], rng), True), labels[batch])
            net.backward(gradient.astype(np.float32))
            progress = adam.t / steps
            warm_up = min(1, progress / 0.05)
            adam.step(PEAK_RATE * warm_up * 0.5 * (1 + np.cos(np.pi * progress)))
            losses.append(loss)
        if (epoch + 1) % 10 == 0:
            log(f"  epoch {epoch + 1:3d}  training loss {np.mean(losses):.4f}")


def check_gradients(log):
    """Central differences in double precision against backward(), on some elements of each parameter."""
    rng = np.random.default_rng(7)
    images, labels = rng.uniform(0, 1, (5, 8, 8, 1)), rng.integers(0, 10, 5)
    for with_batch_norm in (True, False):
        net = build(3, with_batch_norm)
        for leaf in net.leaves():
            for key in leaf.params:  # away from the zeros and ones of the start, where mistakes could hide
                leaf.params[key] = leaf.params[key].astype(np.float64)
                leaf.params[key] += rng.normal(0, 0.1, leaf.params[key].shape)
        loss = lambda: loss_and_gradient(net.forward(images, True), labels)
        net.backward(loss()[1])
        worst = 0.0
        for leaf in net.leaves():
            for key, value in leaf.params.items():
                for _ in range(6):
                    at = tuple(rng.integers(0, size) for size in value.shape)
                    kept, h = value[at], 1e-6
                    value[at] = kept + h
                    above = loss()[0]
                    value[at] = kept - h
                    below = loss()[0]
                    value[at] = kept
                    numeric, analytic = (above - below) / (2 * h), leaf.grads[key][at]
                    worst = max(worst, abs(numeric - analytic) / max(1e-3, abs(numeric), abs(analytic)))
        log(f"gradient check {'with' if with_batch_norm else 'without'} batch norms: worst relative error {worst:.1e}")
        if not worst < 1e-4:
            raise SystemExit("train.py: backward() is wrong")


# --- files -----------------------------------------------------------------------------------------------------------


class OnnxGraph:
    def __init__(self):
        self.nodes, self.initializers = [], []

    def constant(self, name, value):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def node(self, op, name, inputs, output=None, **attributes):
        output = output or f"{name}.out"
        self.nodes.append(helper.make_node(op, inputs, [output], name, **attributes))
        return output


def export(net, name):
    """The model as the bytes of an ONNX file."""
    g = OnnxGraph()
    output = net.export(g, "image")
    graph = helper.make_graph(
        g.nodes, name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", 10])],
        g.initializers)
    graph.input[0].doc_string = "Grey picture, 0 = background, 1 = full ink (scikit-learn's 0..16 divided by 16)."
    graph.output[0].doc_string = "Probability of each digit; sums to 1."
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
                              producer_name="plica-models-digits")
    model.doc_string = "Handwritten digits, 8x8 grey, trained by models/digits/train.py on scikit-learn's digits."
    helper.set_model_props(model, {
        "labels": "\n".join(str(digit) for digit in range(10)),
        "plica.image.mean": "0",  # input = (byte - mean) * scale
        "plica.image.scale": repr(1 / 255),
    })
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def write_npz(path, **arrays):
    """numpy's own savez_compressed, but with fixed dates, so that a rerun gives the same bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy")
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, 9)


def write_png(path, grey):
    """An 8-bit grey PNG (PNG specification, 3rd edition, section 11)."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    height, width = grey.shape
    rows = b"".join(b"\0" + row.tobytes() for row in grey)  # filter 0 (none) before each row
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def predict(model, images):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images.transpose(0, 3, 1, 2)})[0]


# --- the whole job ---------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="only check the gradients; write nothing")
    if parser.parse_args().check:
        return check_gradients(print)

    log_file = open(HERE / "train.log", "w")

    def log(line):
        print(line, flush=True)
        print(line, file=log_file, flush=True)

    log(f"numpy {np.__version__}, scikit-learn {sklearn.__version__}, onnx {onnx.__version__}, "
        f"onnxruntime {onnxruntime.__version__}")
    check_gradients(log)

    ink, labels = load_digits(return_X_y=True)
    images = (ink.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(images, labels, test_size=0.3, random_state=0, stratify=labels)
    log(f"{len(train_x)} training and {len(test_x)} test pictures; "
        f"{EPOCHS} epochs, batches of {BATCH}, Adam, peak rate {PEAK_RATE}, weight decay {WEIGHT_DECAY}")

    summary = []
    for with_batch_norm, file in ((True, "digits.onnx"), (False, "digits-nobn.onnx")):
        for seed in (SHIPPED_SEED, *OTHER_SEEDS):
            log(f"{file}, seed {seed}")
            net = build(seed, with_batch_norm)
            train(net, train_x, train_y, seed, log)
            model = export(net, file.removesuffix(".onnx"))
            drift = np.abs(predict(model, test_x) - softmax(net.forward(test_x, False))).max()
            if not drift < 1e-4:
                raise SystemExit(f"train.py: ONNX Runtime and this script differ by {drift} on {file}")
            right = (predict(model, test_x).argmax(1) == test_y).sum()
            right_train = (predict(model, train_x).argmax(1) == train_y).mean()
            log(f"  ONNX Runtime: test accuracy {right}/{len(test_y)} = {right / len(test_y):.2%}, "
                f"training accuracy {right_train:.2%}")
            summary.append((file, seed, right / len(test_y)))
            if seed == SHIPPED_SEED:
                (HERE / file).write_bytes(model)
                log(f"  {len(model)} bytes")
                for leaf in net.leaves():
                    if isinstance(leaf, BatchNorm):
                        spans = {"mean": leaf.mean, "var": leaf.var, **leaf.params}
                        log(f"  {leaf.name}: " + ", ".join(
                            f"{key} {value.min():.3g} to {value.max():.3g}" for key, value in spans.items()))

    write_npz(HERE / "test.npz", image=np.ascontiguousarray(test_x.transpose(0, 3, 1, 2)),
              labels=test_y.astype(np.int64))

    (HERE / "pictures").mkdir(exist_ok=True)
    log("pictures: the first of each digit in the test part, each pixel a block of 8 x 8")
    for digit, word in enumerate(WORDS):
        grey = np.rint(test_x[np.argmax(test_y == digit), :, :, 0] * 255).astype(np.uint8)
        write_png(HERE / "pictures" / f"{word}.png", np.kron(grey, np.ones((8, 8), np.uint8)))
        p = predict((HERE / "digits.onnx").read_bytes(), grey[None, :, :, None].astype(np.float32) * np.float32(1 / 255))[0]
        log(f"  {word}.png: {p.argmax()} with probability {p.max():.4f}")

    log("summary of test accuracy (ONNX Runtime)")
    for file in ("digits.onnx", "digits-nobn.onnx"):
        of_file = [accuracy for name, _, accuracy in summary if name == file]
        log(f"  {file:17s} seed {SHIPPED_SEED} (committed) {of_file[0]:.2%}; "
            f"seeds {SHIPPED_SEED}-{max(OTHER_SEEDS)} mean {np.mean(of_file):.2%}, "
            f"from {min(of_file):.2%} to {max(of_file):.2%}")


if __name__ == "__main__":
    sys.exit(main())
