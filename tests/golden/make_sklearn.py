#!/usr/bin/env python3
"""Makes sklearn/*/: small models of scikit-learn, converted by skl2onnx, with what ONNX Runtime answers, in the layout of
the ONNX backend suite (model.onnx, test_data_set_0), which `plica test` runs.

    python3 tests/golden/make_sklearn.py        # numpy, scikit-learn, skl2onnx, onnx, onnxruntime; writes sklearn/

Data: what scikit-learn generates from a seed, and a few sentences. ONNX Runtime runs with its graph optimizer off.
"""

import pathlib
import shutil

import numpy as np
import onnx
import onnxruntime
import skl2onnx
import sklearn
from onnx import numpy_helper
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

DIRECTORY = pathlib.Path(__file__).resolve().parent / "sklearn"

make_attribute = onnx.helper.make_attribute


def make_plain_attribute(key, value, *rest, **named):
    """skl2onnx 1.20 gives arrays and lists of bools, which onnx 1.23 does not take any more."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(value, list):
        value = [int(v) if isinstance(v, (bool, np.bool_)) else v for v in value]
    return make_attribute(key, value, *rest, **named)


onnx.helper.make_attribute = make_plain_attribute


def save(directory, kind, index, name, array):
    array = np.asarray(array)
    if array.dtype.kind in "OU":
        tensor = onnx.helper.make_tensor(name, onnx.TensorProto.STRING, array.shape, [str(v).encode() for v in array.ravel()])
    else:
        tensor = numpy_helper.from_array(array, name)
    (directory / f"{kind}_{index}.pb").write_bytes(tensor.SerializeToString())


def emit(name, model, x, kind, classifies=True, **options):
    if classifies:
        options["zipmap"] = False
    converted = skl2onnx.to_onnx(model, initial_types=[("X", kind)], options={id(model): options},
                                 target_opset={"": 18, "ai.onnx.ml": 3})
    converted.graph.name = name  # in place of a random one
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = 1
    session_options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(converted.SerializeToString(), session_options,
                                           providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"X": x})
    data = DIRECTORY / name / "test_data_set_0"
    data.mkdir(parents=True)
    onnx.save(converted, DIRECTORY / name / "model.onnx")
    save(data, "input", 0, "X", x)
    for i, (output, y) in enumerate(zip(session.get_outputs(), outputs)):
        save(data, "output", i, output.name, y)
    operators = sorted({node.op_type for node in converted.graph.node})
    print(f"{name}: {', '.join(operators)}; {(DIRECTORY / name / 'model.onnx').stat().st_size} bytes")


def main():
    print(f"scikit-learn {sklearn.__version__}, skl2onnx {skl2onnx.__version__}, onnxruntime {onnxruntime.__version__}")
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    x, y = make_classification(200, 6, n_informative=4, n_classes=3, random_state=1)
    x, names = x.astype(np.float32), np.array(["ant", "bee", "cat"])[y]
    rows, floats = x[:20], FloatTensorType([None, 6])
    # A power of two of trees: their mean is exact, so the order in which they are added does not show.
    emit("random_forest", RandomForestClassifier(8, max_depth=4, random_state=0).fit(x, names), rows, floats)
    emit("gradient_boosting", GradientBoostingClassifier(n_estimators=5, random_state=0).fit(x, y), rows, floats)
    emit("support_vector", make_pipeline(StandardScaler(), SVC(probability=True, random_state=0)).fit(x[:60], y[:60]), rows,
         floats)
    emit("nearest_neighbours", KNeighborsClassifier(5).fit(x[:60], names[:60]), rows, floats)
    x, y = make_regression(200, 6, random_state=0)
    x = x.astype(np.float32)
    emit("nearest_neighbours_cdist", KNeighborsRegressor(3, weights="distance").fit(x[:60], y[:60]), x[100:120], floats,
         classifies=False, optim="cdist")
    x[::5, 2] = np.nan
    emit("histogram_boosting", HistGradientBoostingRegressor(max_iter=5, max_leaf_nodes=8).fit(x, y), x[:20], floats,
         classifies=False)
    texts = ["the cat sat on the mat", "a dog and a cat", "mats are not dogs or cats", "the dog ate the mat",
             "two cats, two mats", "no dog here"]
    text = make_pipeline(TfidfVectorizer(lowercase=False, ngram_range=(1, 2)), LogisticRegression())
    text.fit(texts, ["cat", "dog", "dog", "dog", "cat", "dog"])
    emit("text", text, np.array([[t] for t in texts[:3] + ["a cat on a mat", "", "nothing known"]], object),
         StringTensorType([None, 1]))


if __name__ == "__main__":
    main()
