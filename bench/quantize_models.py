#!/usr/bin/env python3
"""Quantizes image models to 8 bits by onnxruntime.quantization, in its three forms.

usage: quantize_models.py MODEL.onnx ...

Needs numpy, onnx and onnxruntime. Beside each model with one image input: NAME.qop.onnx (QLinearConv and its kin),
NAME.qdq.onnx (float operators between DequantizeLinear and QuantizeLinear), both calibrated on seeded noise with weights
by channel, and NAME.dyn.onnx (quantized dynamically).
"""
import os
import sys
import tempfile

import numpy as np
import onnx
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process


class Noise(quantization.CalibrationDataReader):
    def __init__(self, value, count=4):
        shape = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
        shape = [n if i < 2 or n > 1 else 224 for i, n in enumerate(shape)]
        self.batches = iter([{value.name: np.random.default_rng(i).standard_normal(shape).astype(np.float32)}
                             for i in range(count)])

    def get_next(self):
        return next(self.batches, None)


def quantize(path):
    stem = os.path.splitext(path)[0]
    with tempfile.TemporaryDirectory() as directory:
        prepared = os.path.join(directory, "prepared.onnx")
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        known = {i.name for i in graph.initializer}
        image = next(v for v in graph.input if v.name not in known)
        for suffix, form in (("qop", quantization.QuantFormat.QOperator), ("qdq", quantization.QuantFormat.QDQ)):
            quantization.quantize_static(prepared, f"{stem}.{suffix}.onnx", Noise(image), quant_format=form, per_channel=True,
                                         activation_type=quantization.QuantType.QUInt8,
                                         weight_type=quantization.QuantType.QInt8)
        quantization.quantize_dynamic(prepared, f"{stem}.dyn.onnx")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for model in sys.argv[1:]:
        quantize(model)
