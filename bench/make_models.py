#!/usr/bin/env python3
"""Writes benchmark models to a directory, with random (He) weights, as exporters write them (opset 13, dynamic batch):
those that Plica was tuned on (resnet18, resnet50, mobilenetv2, densenet121, vgg16bn) and others that it was not
(efficientnet_b0, yolov8n, unet, resnext50, convnext_tiny, shufflenetv2, mobilenetv2_nhwc, encoder, numbers).

usage: make_models.py DIR [NAME ...]      (needs numpy and onnx; all of them 1.5 GB)
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

    def silu(s, x):
        return s.op("Mul", [x, s.op("Sigmoid", [x])])

    def split(s, x, parts, axis):
        s.k += 1
        outs = [f"split_{s.k}_{i}" for i in range(len(parts))]
        s.n.append(h.make_node("Split", [x, s.t(np.int64(parts))], outs, name=f"split_{s.k}", axis=axis))
        return outs

    def linear(s, x, ci, co):
        w = (rng.standard_normal((ci, co)) / np.sqrt(ci)).astype("f")
        return s.op("Add", [s.t((rng.standard_normal(co) * 0.1).astype("f")), s.op("MatMul", [x, s.t(w)])])

    def layer_norm(s, x, c, eps=1e-5):
        """As PyTorch's exporter wrote it before opset 17."""
        d = s.op("Sub", [x, s.op("ReduceMean", [x], axes=[-1])])
        v = s.op("ReduceMean", [s.op("Pow", [d, s.t(np.float32(2))])], axes=[-1])
        y = s.op("Div", [d, s.op("Sqrt", [s.op("Add", [v, s.t(np.float32(eps))])])])
        y = s.op("Mul", [y, s.t(rng.uniform(0.5, 1.5, c).astype("f"))])
        return s.op("Add", [y, s.t((rng.standard_normal(c) * 0.1).astype("f"))])

    def gelu(s, x):
        y = s.op("Erf", [s.op("Div", [x, s.t(np.float32(np.sqrt(2)))])])
        y = s.op("Mul", [x, s.op("Add", [y, s.t(np.float32(1))])])
        return s.op("Mul", [y, s.t(np.float32(0.5))])

    def fc(s, x, ci, co):
        x = s.op("Flatten", [x], axis=1)
        return s.op(
            "Gemm",
            [x, s.t((rng.standard_normal((co, ci)) * 0.01).astype("f")), s.t(np.zeros(co, "f"))],
            transB=1,
        )

    def save(s, y, path, shape, out, kind=T.FLOAT, out_kind=T.FLOAT):
        g = h.make_graph(
            s.n,
            "g",
            [h.make_tensor_value_info("input", kind, shape)],
            [h.make_tensor_value_info(y, out_kind, out)],
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


def vgg16bn():
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


def efficientnet_b0():
    b = B()
    x = b.silu(b.bn(b.conv("input", 3, 32, 3, 2), 32))
    ci = 32
    for t, k, c, n, st in (
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    ):
        for i in range(n):
            s_ = st if i == 0 else 1
            e, r = ci * t, max(1, ci // 4)
            y = x
            if t != 1:
                y = b.silu(b.bn(b.conv(y, ci, e, 1), e))
            y = b.silu(b.bn(b.conv(y, e, e, k, s_, g=e), e))
            z = b.silu(b.conv(b.op("GlobalAveragePool", [y]), e, r, 1))
            y = b.op("Mul", [b.op("Sigmoid", [b.conv(z, r, e, 1)]), y])
            y = b.bn(b.conv(y, e, c, 1), c)
            x = b.op("Add", [y, x]) if s_ == 1 and ci == c else y
            ci = c
    x = b.silu(b.bn(b.conv(x, 320, 1280, 1), 1280))
    x = b.op("GlobalAveragePool", [x])
    b.save(b.fc(x, 1280, 1000), "efficientnet_b0.onnx", ["N", 3, 224, 224], ["N", 1000])


def yolov8n():
    """Detection at 640x640: C2f blocks, SPPF, the decoupled head with its distribution over 16 bins."""
    b = B()

    def cbs(x, ci, co, k=1, st=1):
        return b.silu(b.bn(b.conv(x, ci, co, k, st), co))

    def c2f(x, ci, co, n, shortcut):
        c = co // 2
        parts = b.split(cbs(x, ci, co), [c, c], 1)
        for _ in range(n):
            y = cbs(cbs(parts[-1], c, c, 3), c, c, 3)
            parts.append(b.op("Add", [parts[-1], y]) if shortcut else y)
        return cbs(b.op("Concat", parts, axis=1), c * len(parts), co)

    def up(x):
        return b.op("Resize", [x, "", b.t(np.float32([1, 1, 2, 2]))], mode="nearest",
                    coordinate_transformation_mode="asymmetric", nearest_mode="floor")

    x = cbs(cbs("input", 3, 16, 3, 2), 16, 32, 3, 2)
    x = cbs(c2f(x, 32, 32, 1, True), 32, 64, 3, 2)
    p3 = c2f(x, 64, 64, 2, True)
    p4 = c2f(cbs(p3, 64, 128, 3, 2), 128, 128, 2, True)
    x = c2f(cbs(p4, 128, 256, 3, 2), 256, 256, 1, True)
    x = cbs(x, 256, 128)
    pools = [x]
    for _ in range(3):
        pools.append(b.op("MaxPool", [pools[-1]], kernel_shape=[5, 5], strides=[1, 1], pads=[2, 2, 2, 2]))
    p5 = cbs(b.op("Concat", pools, axis=1), 512, 256)
    p4 = c2f(b.op("Concat", [up(p5), p4], axis=1), 384, 128, 1, False)
    p3 = c2f(b.op("Concat", [up(p4), p3], axis=1), 192, 64, 1, False)
    p4 = c2f(b.op("Concat", [cbs(p3, 64, 64, 3, 2), p4], axis=1), 192, 128, 1, False)
    p5 = c2f(b.op("Concat", [cbs(p4, 128, 128, 3, 2), p5], axis=1), 384, 256, 1, False)
    levels = []
    for p, c in ((p3, 64), (p4, 128), (p5, 256)):
        box = b.conv(cbs(cbs(p, c, 64, 3), 64, 64, 3), 64, 64, 1)
        cls = b.conv(cbs(cbs(p, c, 80, 3), 80, 80, 3), 80, 80, 1)
        y = b.op("Concat", [box, cls], axis=1)
        levels.append(b.op("Reshape", [y, b.t(np.int64([0, 144, -1]))]))
    box, cls = b.split(b.op("Concat", levels, axis=2), [64, 80], 1)
    y = b.op("Transpose", [b.op("Reshape", [box, b.t(np.int64([0, 4, 16, 8400]))])], perm=[0, 2, 1, 3])
    bins = b.t(np.arange(16, dtype="f").reshape(1, 16, 1, 1))
    y = b.op("Reshape", [b.op("Conv", [b.op("Softmax", [y], axis=1), bins]), b.t(np.int64([0, 4, 8400]))])
    near, far = b.split(y, [2, 2], 1)
    centre = b.t(rng.uniform(0, 80, (1, 2, 8400)).astype("f"))
    low, high = b.op("Sub", [centre, near]), b.op("Add", [centre, far])
    middle = b.op("Div", [b.op("Add", [low, high]), b.t(np.float32(2))])
    y = b.op("Concat", [middle, b.op("Sub", [high, low])], axis=1)
    y = b.op("Mul", [y, b.t(np.repeat(np.float32([8, 16, 32]), [6400, 1600, 400]).reshape(1, 1, 8400))])
    y = b.op("Concat", [y, b.op("Sigmoid", [cls])], axis=1)
    b.save(y, "yolov8n.onnx", ["N", 3, 640, 640], ["N", 84, 8400])


def unet():
    """Ronneberger et al. with padding, batch norms and half the channels, 256x256."""
    b = B()

    def double(x, ci, co):
        x = b.relu(b.bn(b.conv(x, ci, co, 3), co))
        return b.relu(b.bn(b.conv(x, co, co, 3), co))

    x = double("input", 3, 32)
    skips, c = [], 32
    for _ in range(4):
        skips.append(x)
        x = double(b.op("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2]), c, 2 * c)
        c *= 2
    for skip in reversed(skips):
        w = (rng.standard_normal((c, c // 2, 2, 2)) * np.sqrt(2 / c)).astype("f")
        x = b.op("ConvTranspose", [x, b.t(w), b.t(np.zeros(c // 2, "f"))], kernel_shape=[2, 2], strides=[2, 2])
        x = double(b.op("Concat", [skip, x], axis=1), c, c // 2)
        c //= 2
    x = b.op("Sigmoid", [b.conv(x, 32, 1, 1)])
    b.save(x, "unet.onnx", ["N", 3, 256, 256], ["N", 1, 256, 256])


def resnext50():
    """ResNeXt-50 32x4d: grouped convolutions of 4 to 32 channels a group."""
    b = B()
    x = b.relu(b.bn(b.conv("input", 3, 64, 7, 2), 64))
    x = b.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    ci = 64
    for w, n, st in ((128, 3, 1), (256, 4, 2), (512, 6, 2), (1024, 3, 2)):
        for i in range(n):
            s_ = st if i == 0 else 1
            y = b.relu(b.bn(b.conv(x, ci, w, 1), w))
            y = b.relu(b.bn(b.conv(y, w, w, 3, s_, g=32), w))
            y = b.bn(b.conv(y, w, 2 * w, 1), 2 * w)
            if i == 0:
                x = b.bn(b.conv(x, ci, 2 * w, 1, s_), 2 * w)
            x = b.relu(b.op("Add", [y, x]))
            ci = 2 * w
    x = b.op("GlobalAveragePool", [x])
    b.save(b.fc(x, 2048, 1000), "resnext50.onnx", ["N", 3, 224, 224], ["N", 1000])


def convnext_tiny():
    b = B()

    def channels_last(x):
        return b.op("Transpose", [x], perm=[0, 2, 3, 1])

    def channels_first(x):
        return b.op("Transpose", [x], perm=[0, 3, 1, 2])

    x = b.conv("input", 3, 96, 4, 4, p=[0, 0, 0, 0])
    x = channels_first(b.layer_norm(channels_last(x), 96, 1e-6))
    c = 96
    for stage, n in enumerate((3, 3, 9, 3)):
        if stage:
            x = channels_first(b.layer_norm(channels_last(x), c, 1e-6))
            x = b.conv(x, c, 2 * c, 2, 2, p=[0, 0, 0, 0])
            c *= 2
        for _ in range(n):
            y = b.layer_norm(channels_last(b.conv(x, c, c, 7, g=c)), c, 1e-6)
            y = b.linear(b.gelu(b.linear(y, c, 4 * c)), 4 * c, c)
            y = channels_first(b.op("Mul", [b.t(np.full(c, 0.1, "f")), y]))
            x = b.op("Add", [y, x])
    x = b.op("ReduceMean", [x], axes=[2, 3], keepdims=1)
    x = b.op("Flatten", [x], axis=1)
    b.save(b.linear(b.layer_norm(x, c, 1e-6), c, 1000), "convnext_tiny.onnx", ["N", 3, 224, 224], ["N", 1000])


def shufflenetv2():
    """x1.0; a channel shuffle is Reshape, Transpose, Reshape."""
    b = B()

    def cb(x, ci, co, k=1, st=1, g=1, relu=True):
        y = b.bn(b.conv(x, ci, co, k, st, g), co)
        return b.relu(y) if relu else y

    def branch(x, ci, c, st):
        return cb(cb(cb(x, ci, c), c, c, 3, st, c, False), c, c)

    x = cb("input", 3, 24, 3, 2)
    x = b.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    ci, size = 24, 28
    for co, n in ((116, 4), (232, 8), (464, 4)):
        c = co // 2
        for i in range(n):
            if i == 0:
                left = cb(cb(x, ci, ci, 3, 2, ci, False), ci, c)
                right = branch(x, ci, c, 2)
            else:
                left, right = b.split(x, [c, c], 1)
                right = branch(right, c, c, 1)
            x = b.op("Concat", [left, right], axis=1)
            x = b.op("Reshape", [x, b.t(np.int64([-1, 2, c, size, size]))])
            x = b.op("Reshape", [b.op("Transpose", [x], perm=[0, 2, 1, 3, 4]), b.t(np.int64([-1, co, size, size]))])
        ci, size = co, size // 2
    x = b.op("ReduceMean", [cb(x, 464, 1024)], axes=[2, 3], keepdims=0)
    b.save(b.linear(x, 1024, 1000), "shufflenetv2.onnx", ["N", 3, 224, 224], ["N", 1000])


def mobilenetv2_nhwc():
    """With channels last, as converters from TensorFlow write it: each Conv between two Transposes."""
    mobilenetv2()
    model = onnx.load("mobilenetv2.onnx")
    nodes, last = [], {"input"}  # values that are channels last
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name in last and node.op_type in ("Conv", "BatchNormalization", "GlobalAveragePool", "Flatten"):
                if node.op_type != "Flatten":
                    nodes.append(h.make_node("Transpose", [name], [f"{name}_nchw_{node.name}"], perm=[0, 3, 1, 2]))
                    node.input[i] = f"{name}_nchw_{node.name}"
        nodes.append(node)
        if node.op_type in ("Conv", "BatchNormalization"):
            name = node.output[0]
            node.output[0] = f"{name}_nchw"
            nodes.append(h.make_node("Transpose", [f"{name}_nchw"], [name], perm=[0, 2, 3, 1]))
            last.add(name)
        elif node.op_type in ("Clip", "Add"):
            last.add(node.output[0])
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.input[0].CopyFrom(h.make_tensor_value_info("input", T.FLOAT, ["N", 224, 224, 3]))
    onnx.checker.check_model(model)
    onnx.save(model, "mobilenetv2_nhwc.onnx")


def encoder():
    """12 layers of 768 with 12 heads (BERT-base) over token ids, decomposed as PyTorch exports it."""
    b = B()
    c, heads = 768, 12
    x = b.op("Gather", [b.t((rng.standard_normal((30522, c)) * 0.02).astype("f")), "input"])
    x = b.op("Add", [x, b.t((rng.standard_normal((1, 128, c)) * 0.02).astype("f"))])
    x = b.layer_norm(x, c, 1e-12)
    split_heads, joined = b.t(np.int64([0, 0, heads, c // heads])), b.t(np.int64([0, 0, c]))
    for _ in range(12):
        q, k, v = (b.op("Transpose", [b.op("Reshape", [b.linear(x, c, c), split_heads])], perm=perm)
                   for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
        scores = b.op("Div", [b.op("MatMul", [q, k]), b.t(np.float32(np.sqrt(c // heads)))])
        y = b.op("MatMul", [b.op("Softmax", [scores], axis=-1), v])
        y = b.op("Reshape", [b.op("Transpose", [y], perm=[0, 2, 1, 3]), joined])
        x = b.layer_norm(b.op("Add", [b.linear(y, c, c), x]), c, 1e-12)
        y = b.linear(b.gelu(b.linear(x, c, 4 * c)), 4 * c, c)
        x = b.layer_norm(b.op("Add", [y, x]), c, 1e-12)
    b.save(x, "encoder.onnx", ["N", 128], ["N", 128, c], T.INT64)


def numbers():
    """float64 and int32: a polynomial regression and a histogram's arithmetic, for sanity."""
    b = B()
    x = b.op("Cast", ["input"], to=T.DOUBLE)
    y = b.op("MatMul", [x, b.t(rng.standard_normal((256, 256)))])
    y = b.op("Tanh", [b.op("Add", [y, b.t(rng.standard_normal(256))])])
    y = b.op("ReduceSum", [b.op("Mul", [y, y]), b.t(np.int64([1]))], keepdims=1)
    z = b.op("Mul", [b.op("Add", ["input", b.t(np.int32(3))]), "input"])
    z = b.op("ReduceMax", [b.op("Where", [b.op("Less", [z, b.t(np.int32(100))]), z, b.t(np.int32(0))])],
             axes=[1], keepdims=1)
    y = b.op("Add", [y, b.op("Cast", [z], to=T.DOUBLE)])
    b.save(y, "numbers.onnx", ["N", 256], ["N", 1], T.INT32, T.DOUBLE)


MODELS = (resnet18, resnet50, mobilenetv2, densenet121, vgg16bn, efficientnet_b0, yolov8n, unet, resnext50,
          convnext_tiny, shufflenetv2, mobilenetv2_nhwc, encoder, numbers)

if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    os.chdir(sys.argv[1])
    for make in MODELS:
        if not sys.argv[2:] or make.__name__ in sys.argv[2:]:
            rng = np.random.default_rng(0)
            make()
