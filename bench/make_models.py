#!/usr/bin/env python3
"""Writes benchmark models to a directory: resnet18, resnet50, mobilenetv2, densenet121, vgg16bn, with random (He)
weights and batch norms as exporters write them (opset 13, dynamic batch).

usage: make_models.py DIR      (needs numpy and onnx; 750 MB)
"""

import os
import sys

import numpy as np
import onnx
from onnx import helper as h, TensorProto as T, numpy_helper as nh

rng = np.random.default_rng(0)


class B:
    def __init__(s):
        s.n = []
        s.i = []
        s.k = 0

    def t(s, a, name=None):
        s.k += 1
        name = name or f"w{s.k}"
        s.i.append(nh.from_array(np.asarray(a), name))
        return name

    def op(s, op, ins, **kw):
        s.k += 1
        o = f"{op.lower()}_{s.k}"
        s.n.append(h.make_node(op, ins, [o], name=o, **kw))
        return o

    def conv(s, x, ci, co, k, st=1, g=1, p=None):
        kh, kw_ = (k, k) if isinstance(k, int) else k
        p = p if p is not None else [kh // 2, kw_ // 2, kh // 2, kw_ // 2]
        W = (rng.standard_normal((co, ci // g, kh, kw_)) * np.sqrt(2 / (ci // g * kh * kw_))).astype("f")
        return s.op(
            "Conv", [x, s.t(W)], kernel_shape=[kh, kw_], strides=[st, st], pads=p, group=g, dilations=[1, 1]
        )

    def bn(s, x, c):
        return s.op(
            "BatchNormalization",
            [
                x,
                s.t(rng.uniform(0.5, 1.5, c).astype("f")),
                s.t((rng.standard_normal(c) * 0.1).astype("f")),
                s.t((rng.standard_normal(c) * 0.1).astype("f")),
                s.t(rng.uniform(0.5, 1.5, c).astype("f")),
            ],
            epsilon=1e-5,
        )

    def relu(s, x):
        return s.op("Relu", [x])

    def relu6(s, x):
        return s.op("Clip", [x, s.t(np.float32(0)), s.t(np.float32(6))])

    def fc(s, x, ci, co):
        x = s.op("Flatten", [x], axis=1)
        return s.op(
            "Gemm",
            [x, s.t((rng.standard_normal((co, ci)) * 0.01).astype("f")), s.t(np.zeros(co, "f"))],
            transB=1,
        )

    def save(s, y, path, shape, out):
        g = h.make_graph(
            s.n,
            "g",
            [h.make_tensor_value_info("input", T.FLOAT, shape)],
            [h.make_tensor_value_info(y, T.FLOAT, out)],
            s.i,
        )
        m = h.make_model(g, opset_imports=[h.make_opsetid("", 13)])
        m.ir_version = 7
        onnx.checker.check_model(m)
        onnx.save(m, path)


def resnet50(N=1):
    b = B()
    x = b.relu(b.bn(b.conv("input", 3, 64, 7, 2), 64))
    x = b.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    ci = 64
    for w, n, st in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(n):
            s_ = st if i == 0 else 1
            y = b.relu(b.bn(b.conv(x, ci, w, 1), w))
            y = b.relu(b.bn(b.conv(y, w, w, 3, s_), w))
            y = b.bn(b.conv(y, w, 4 * w, 1), 4 * w)
            if i == 0:
                x = b.bn(b.conv(x, ci, 4 * w, 1, s_), 4 * w)
            x = b.relu(b.op("Add", [y, x]))
            ci = 4 * w
    x = b.op("GlobalAveragePool", [x])
    b.save(b.fc(x, 2048, 1000), "resnet50.onnx", ["N", 3, 224, 224], ["N", 1000])


def mobilenetv2():
    b = B()
    x = b.relu6(b.bn(b.conv("input", 3, 32, 3, 2), 32))
    ci = 32
    for t, c, n, st in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for i in range(n):
            s_ = st if i == 0 else 1
            e = ci * t
            y = x
            if t != 1:
                y = b.relu6(b.bn(b.conv(y, ci, e, 1), e))
            y = b.relu6(b.bn(b.conv(y, e, e, 3, s_, g=e), e))
            y = b.bn(b.conv(y, e, c, 1), c)
            x = b.op("Add", [x, y]) if s_ == 1 and ci == c else y
            ci = c
    x = b.relu6(b.bn(b.conv(x, 320, 1280, 1), 1280))
    x = b.op("GlobalAveragePool", [x])
    b.save(b.fc(x, 1280, 1000), "mobilenetv2.onnx", ["N", 3, 224, 224], ["N", 1000])


def densenet121():
    b = B()
    x = b.relu(b.bn(b.conv("input", 3, 64, 7, 2), 64))
    x = b.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    c = 64
    for bi, n in enumerate((6, 12, 24, 16)):
        for i in range(n):
            y = b.conv(b.relu(b.bn(x, c)), c, 128, 1)
            y = b.conv(b.relu(b.bn(y, 128)), 128, 32, 3)
            x = b.op("Concat", [x, y], axis=1)
            c += 32
        if bi < 3:
            x = b.conv(b.relu(b.bn(x, c)), c, c // 2, 1)
            x = b.op("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2])
            c //= 2
    x = b.relu(b.bn(x, c))
    x = b.op("GlobalAveragePool", [x])
    b.save(b.fc(x, c, 1000), "densenet121.onnx", ["N", 3, 224, 224], ["N", 1000])


def vgg16():
    b = B()
    x = "input"
    ci = 3
    for w, n in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(n):
            x = b.relu(b.bn(b.conv(x, ci, w, 3), w))
            ci = w
        x = b.op("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = b.relu(b.fc(x, 25088, 4096))
    x = b.relu(b.fc(x, 4096, 4096))
    b.save(b.fc(x, 4096, 1000), "vgg16bn.onnx", ["N", 3, 224, 224], ["N", 1000])


def resnet18():
    b = B()
    x = b.relu(b.bn(b.conv("input", 3, 64, 7, 2), 64))
    x = b.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    ci = 64
    for w, st in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for i in range(2):
            s_ = st if i == 0 else 1
            y = b.relu(b.bn(b.conv(x, ci, w, 3, s_), w))
            y = b.bn(b.conv(y, w, w, 3), w)
            if s_ != 1 or ci != w:
                x = b.bn(b.conv(x, ci, w, 1, s_), w)
            x = b.relu(b.op("Add", [y, x]))
            ci = w
    x = b.op("GlobalAveragePool", [x])
    b.save(b.fc(x, 512, 1000), "resnet18.onnx", ["N", 3, 224, 224], ["N", 1000])


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    os.chdir(sys.argv[1])
    for f in (resnet18, resnet50, mobilenetv2, densenet121, vgg16):
        f()
