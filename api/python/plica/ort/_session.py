"""InferenceSession, IOBinding."""

import json
import os
import threading
import time
import warnings

import numpy as np

import plica

from ._options import GraphOptimizationLevel, SessionOptions
from ._value import OrtValue, array_at, check_device, dtype_of, type_text


class NodeArg:
    """An input or an output."""

    def __init__(self, info, free_dimensions):
        self.name = info.name
        self.type = type_text(info.text)
        self.shape = [free_dimensions.get(dim, dim) for dim in info.shape or ()]

    def __repr__(self):
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self.shape!r})"

    __str__ = __repr__


class ModelMetadata:
    """What a model says of itself."""

    def __init__(self, model):
        summary = model.summarize()
        self.custom_metadata_map = model.metadata
        self.description = summary.doc_string
        self.domain = summary.domain
        self.graph_description = summary.graph_doc_string
        self.graph_name = summary.graph_name
        self.producer_name = summary.producer
        self.version = summary.model_version


class InferenceSession:
    """onnxruntime.InferenceSession, for one provider: the CPU."""

    def __init__(
        self, path_or_bytes, sess_options=None, providers=None, provider_options=None, **kwargs
    ):
        options = sess_options or SessionOptions()
        self._options = options
        self._set_providers(providers, provider_options)
        model = plica.Model(path_or_bytes)
        level = options.graph_optimization_level
        if level != GraphOptimizationLevel.ORT_DISABLE_ALL and not model.is_compiled:
            model.optimize(measure=False)
        if options.optimized_model_filepath:
            model.save(options.optimized_model_filepath)
        self._session = plica.Session(model, threads=options.intra_op_num_threads)
        self._run = self._session.run
        self._inputs = self._session.inputs
        self._outputs = self._session.outputs
        self._output_names = [output.name for output in self._outputs]
        self._meta = None
        self._events = [] if options.enable_profiling else None
        self._start = time.time_ns()

    def _set_providers(self, providers, provider_options=None):
        names = [p if isinstance(p, str) else p[0] for p in providers or ["CPUExecutionProvider"]]
        for name in names:
            if name != "CPUExecutionProvider":
                warnings.warn(
                    f"Specified provider '{name}' is not in available provider names. "
                    "Available providers: 'CPUExecutionProvider'",
                    stacklevel=3,
                )
        self._provider_options = {"CPUExecutionProvider": {}}
        for i, provider in enumerate(providers or ()):
            given = provider_options[i] if provider_options and i < len(provider_options) else {}
            if not isinstance(provider, str):
                given = provider[1]
            if names[i] == "CPUExecutionProvider":
                self._provider_options[names[i]] = {key: str(value) for key, value in given.items()}

    def run(self, output_names, input_feed, run_options=None):
        """Inputs by name; the outputs of these names (None: all) as a list."""
        if run_options is None and self._events is None:
            return self._run(input_feed, output_names or self._output_names)
        return self._run(
            input_feed, output_names or self._output_names, **self._watched(run_options)
        )

    def _watched(self, run_options):
        how = {}
        if run_options is not None:
            how["cancel"] = run_options._token
        if self._events is not None:
            begin = (time.time_ns() - self._start) / 1e3

            def on_step(step, start, duration):
                self._events.append(
                    (step, begin + start * 1e3, duration * 1e3, threading.get_ident())
                )

            how["on_step"] = on_step
        return how

    def run_async(self, output_names, input_feed, callback, user_data, run_options=None):
        """Runs in a thread of its own, and calls callback(results, user_data, error) there."""

        def work():
            try:
                results, error = self.run(output_names, input_feed, run_options), ""
            except Exception as raised:
                results, error = [], str(raised) or type(raised).__name__
            callback(results, user_data, error)

        threading.Thread(target=work, daemon=True).start()

    def run_with_ort_values(self, output_names, input_dict_ort_values, run_options=None):
        """As run(), with OrtValues for arrays."""
        feed = {name: value._value for name, value in input_dict_ort_values.items()}
        return [OrtValue(value) for value in self.run(output_names, feed, run_options)]

    def run_with_iobinding(self, iobinding, run_options=None):
        results = self._run(iobinding._inputs, iobinding._outputs, **self._watched(run_options))
        iobinding._results = [OrtValue(results[name]) for name in iobinding._outputs]

    def io_binding(self):
        return IOBinding(self)

    def get_inputs(self):
        return [
            NodeArg(info, self._options._free_dimensions)
            for info in self._inputs
            if not info.has_default
        ]

    def get_overridable_initializers(self):
        return [NodeArg(info, {}) for info in self._inputs if info.has_default]

    def get_outputs(self):
        return [NodeArg(info, self._options._free_dimensions) for info in self._outputs]

    def get_modelmeta(self):
        if self._meta is None:
            self._meta = ModelMetadata(self._session.model)
        return self._meta

    def get_providers(self):
        return ["CPUExecutionProvider"]

    def get_provider_options(self):
        return self._provider_options

    def set_providers(self, providers=None, provider_options=None):
        self._set_providers(providers, provider_options)

    def get_session_options(self):
        return self._options

    def disable_fallback(self):
        """There is nothing to fall back to."""

    def enable_fallback(self):
        """There is nothing to fall back to."""

    def get_profiling_start_time_ns(self):
        return self._start

    def end_profiling(self):
        """Writes what was profiled so far as a Chrome trace, and returns the name of the file."""
        if self._events is None:
            raise plica.InvalidArgumentError("SessionOptions.enable_profiling was not set")
        trace = [
            {
                "cat": "Node", "ph": "X", "pid": os.getpid(), "tid": thread, "ts": round(start, 3),
                "dur": round(duration, 3), "name": step.nodes or step.kind,
                "args": {
                    "op_name": step.kind,
                    "implementation": step.implementation,
                    "layout": step.layout,
                },
            }
            for step, start, duration, thread in self._events
        ]  # fmt: skip
        name = f"{self._options.profile_file_prefix}{time.strftime('%Y-%m-%d_%H-%M-%S')}.json"
        with open(name, "w", encoding="utf-8") as file:
            json.dump(trace, file)
        self._events = None
        return name


class IOBinding:
    """Inputs and outputs of run_with_iobinding(). What has an address is read and written there."""

    def __init__(self, session):
        self._session = session
        self._inputs = {}
        self._outputs = {}  # an array to fill, or None
        self._results = []

    def bind_cpu_input(self, name, arr_on_cpu):
        self._inputs[name] = arr_on_cpu

    def bind_input(self, name, device_type, device_id, element_type, shape, buffer_ptr):
        check_device(device_type)
        self._inputs[name] = array_at(buffer_ptr, dtype_of(element_type), shape)

    def bind_ortvalue_input(self, name, ortvalue):
        self._inputs[name] = ortvalue._value

    def bind_output(
        self, name, device_type="cpu", device_id=0, element_type=None, shape=None, buffer_ptr=None
    ):
        check_device(device_type)
        self._outputs[name] = (
            None if buffer_ptr is None else array_at(buffer_ptr, dtype_of(element_type), shape)
        )

    def bind_ortvalue_output(self, name, ortvalue):
        self._outputs[name] = ortvalue._value

    def synchronize_inputs(self):
        """Nothing is under way."""

    def synchronize_outputs(self):
        """Nothing is under way."""

    def get_outputs(self):
        return list(self._results)

    get_outputs_as_ortvaluevector = get_outputs

    def copy_outputs_to_cpu(self):
        return [np.array(v._value) if v.is_tensor() else v._value for v in self._results]

    def clear_binding_inputs(self):
        self._inputs.clear()

    def clear_binding_outputs(self):
        self._outputs.clear()
        self._results = []
