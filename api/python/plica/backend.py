"""Plica as a backend of the onnx package (onnx.backend.base).

    import plica.backend
    outputs = plica.backend.run_model(onnx.load("net.onnx"), [x])

`python -m plica.backend [--except FILE]` runs the onnx package's own backend tests, and prints how
many pass; FILE names those that are left out, a line each.
"""

import sys

import onnx
import onnx.helper
import onnx.numpy_helper
from onnx.backend.base import Backend, BackendRep, Device, DeviceType, namedtupledict

import plica


class PlicaBackendRep(BackendRep):
    """A model that is ready to run."""

    def __init__(self, session):
        self.session = session
        self._names = [output.name for output in session.outputs]
        self._outputs = namedtupledict("Outputs", self._names)

    def run(self, inputs, **kwargs):
        """Inputs in the model's order or by name; a tuple of outputs, which has their names."""
        return self._outputs(*self.session.run(inputs, self._names))


class PlicaBackend(Backend):
    """onnx.backend.base.Backend, on CPUs."""

    @classmethod
    def is_compatible(cls, model, device="CPU", **kwargs):
        """Whether Plica can run it."""
        return cls.supports_device(device) and not plica.Model(model).check()

    @classmethod
    def prepare(cls, model, device="CPU", *, optimize=True, threads=0, **kwargs):
        """Of what a plica.Session is made of; optimized first unless optimize=False."""
        if not cls.supports_device(device):
            raise plica.UnsupportedError(f"Plica runs on CPUs, not on {device}")
        return PlicaBackendRep(plica.Session(model, threads=threads, optimize=optimize))

    @classmethod
    def run_node(cls, node, inputs, device="CPU", outputs_info=None, **kwargs):
        """Runs one node; inputs are those that it does not leave out, in order."""
        opset = kwargs.get("opset_version", onnx.defs.onnx_opset_version())
        names = [name for name in node.input if name]
        values = [inputs[name] for name in names] if isinstance(inputs, dict) else list(inputs)
        infos = [
            onnx.helper.make_value_info(name, _type_of(value)) for name, value in zip(names, values)
        ]
        outputs = [
            onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output if name
        ]
        graph = onnx.helper.make_graph([node], "node", infos, outputs)
        imports = [onnx.helper.make_opsetid("", opset)]
        if node.domain:
            imports.append(onnx.helper.make_opsetid(node.domain, kwargs.get("domain_version", 1)))
        model = onnx.helper.make_model(graph, opset_imports=imports)
        return cls.prepare(model, device, **kwargs).run(values)

    @classmethod
    def supports_device(cls, device):
        return Device(device).type == DeviceType.CPU


def _type_of(value):
    if isinstance(value, (list, tuple)):
        inner = (
            _type_of(value[0])
            if value
            else onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
        )
        return onnx.helper.make_sequence_type_proto(inner)
    proto = onnx.numpy_helper.from_array(value)
    return onnx.helper.make_tensor_type_proto(proto.data_type, proto.dims)


is_compatible = PlicaBackend.is_compatible
prepare = PlicaBackend.prepare
run_model = PlicaBackend.run_model
run_node = PlicaBackend.run_node
supports_device = PlicaBackend.supports_device


def _main(arguments):
    import argparse
    import os
    import re
    import tempfile
    import unittest
    import warnings

    import numpy as np
    import onnx.backend.test

    class Runner(onnx.backend.test.BackendTest):
        """The package's, for which elements of sequences must have a length: rank 0 has none."""

        @classmethod
        def assert_similar_outputs(cls, ref_outputs, outputs, *args, **kwargs):
            if isinstance(outputs, np.ndarray) and outputs.ndim == 0 == np.ndim(ref_outputs):
                outputs, ref_outputs = outputs.reshape(1), np.reshape(ref_outputs, 1)
            super().assert_similar_outputs(ref_outputs, outputs, *args, **kwargs)

    parser = argparse.ArgumentParser(
        prog="python -m plica.backend", description="The backend tests of the onnx package."
    )
    parser.add_argument(
        "--except",
        dest="exceptions",
        metavar="FILE",
        help="names of tests to leave out; # begins a comment",
    )
    parser.add_argument("--include", metavar="REGEX", help="only these")
    options = parser.parse_args(arguments)

    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as home:
        os.environ["ONNX_HOME"] = home  # where the suite writes inputs of its light models
        suite = Runner(sys.modules[__name__], __name__)
        if options.exceptions:
            with open(options.exceptions, encoding="utf-8") as file:
                for line in file:
                    name = line.partition("#")[0].strip().rpartition("/")[2]
                    if name:
                        suite.exclude(f"^{re.escape(name)}_cpu$")
        if options.include:
            suite.include(options.include)
        tests = suite.test_suite
        runs = [test for test in tests if test.id().endswith("_cpu")]
        result = unittest.TextTestRunner(stream=sys.stderr, verbosity=0, buffer=True).run(
            unittest.TestSuite(runs)
        )
    failed = len(result.failures) + len(result.errors)
    passed = result.testsRun - failed - len(result.skipped)
    print(
        f"onnx {onnx.__version__}: {passed} passed, {failed} failed, {len(result.skipped)} left out"
    )
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
