#!/usr/bin/env python3
"""Small models for the corpus of the model target: make_seeds.py OUT DIR...

From ONNX test data (DIR/*/model.onnx with test_data_set_0): of each operator, the models with the fewest bytes that
have different attributes and input types. Inputs that are integers or booleans become constants, so that shapes and
indices mean something; and for each a variant where every input but the first is one. OUT is then merged:

    build/fuzz/tests/fuzz/fuzz_model -merge=1 tests/fuzz/corpus/model OUT
"""
import hashlib
import pathlib
import sys

import onnx

MOST_BYTES = 3000
MOST_OF_ONE_OPERATOR = 6


def frozen(model, data, is_constant):
    """The model with those inputs as initializers whose data are there."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    del out.graph.input[:]
    for i, value in enumerate(model.graph.input):
        if is_constant(i, value) and i < len(data) and value.type.HasField("tensor_type"):
            out.graph.initializer.add().CopyFrom(data[i])
            out.graph.initializer[-1].name = value.name
        else:
            out.graph.input.add().CopyFrom(value)
    return out


def tensors_of(case):
    out = []
    for path in sorted((case / "test_data_set_0").glob("input_*.pb"), key=lambda p: int(p.stem.split("_")[1])):
        tensor = onnx.TensorProto()
        try:
            tensor.ParseFromString(path.read_bytes())
        except Exception:  # a sequence, say
            return []
        out.append(tensor)
    return out


def main(out, directories):
    out.mkdir(parents=True, exist_ok=True)
    found = {}
    for directory in directories:
        for case in sorted(directory.iterdir()):
            if not (case / "model.onnx").exists() or "_expanded" in case.name:
                continue
            model = onnx.load(case / "model.onnx")
            model.graph.ClearField("doc_string")
            model.ClearField("producer_name")
            operator = sorted({node.op_type for node in model.graph.node})
            kind = (tuple(n.SerializeToString() for n in model.graph.node)[:1],
                    tuple(i.type.tensor_type.elem_type for i in model.graph.input))
            found.setdefault(tuple(operator), {})[kind] = (case, model)
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)
    for models in found.values():
        chosen = sorted(models.values(), key=lambda pair: (pair[1].ByteSize(), pair[0].name))[:MOST_OF_ONE_OPERATOR]
        for case, model in chosen:
            data = tensors_of(case)
            variants = [frozen(model, data, lambda i, v: v.type.tensor_type.elem_type not in floats),
                        frozen(model, data, lambda i, v: i > 0)]
            for variant in variants:
                text = variant.SerializeToString()
                if len(text) <= MOST_BYTES:
                    (out / hashlib.sha1(text).hexdigest()).write_bytes(text)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), [pathlib.Path(d) for d in sys.argv[2:]])
