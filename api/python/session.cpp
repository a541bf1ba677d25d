#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>

#include "api/python/arrays.h"
#include "api/python/bindings.h"

namespace plica::python {
namespace {

struct CancelToken {
  std::atomic<bool> is_set = false;
};

struct Options {
  SessionOptions session;
  nb::object log = nb::none();
};

struct PythonSession {
  PythonSession(Model of, const Options& options)
      : model(std::move(of)),
        options(options.session),
        has_log(!options.log.is_none()),
        session(unlocked([&] { return Session(model, options_with_log(options)); })),
        inputs(model.inputs()),
        outputs(model.outputs()) {
    for (const TensorInfo& output : outputs) output_names.push_back(nb::cast(output.name));
  }

  static SessionOptions options_with_log(const Options& from) {
    SessionOptions options = from.session;
    if (has(from.log)) {
      options.log = [log = shared_reference(from.log)](LogLevel level, std::string_view message) {
        const nb::gil_scoped_acquire locked;
        const nb::handle function(log.get());
        try {
          function(to_string(level), message);
        } catch (nb::python_error& error) {
          error.discard_as_unraisable(function);
        }
      };
    }
    return options;
  }
  static bool has(const nb::object& object) { return object.is_valid() && !object.is_none(); }

  Model model;
  SessionOptions options;  // without log
  bool has_log;
  Session session;
  std::vector<TensorInfo> inputs, outputs;
  std::vector<nb::object> output_names;
};

[[noreturn]] void refuse(std::string message) {
  throw Error(ErrorCode::invalid_argument, std::move(message));
}

std::string names_of(const std::vector<TensorInfo>& infos) {
  std::string names;
  for (const TensorInfo& info : infos) names += (names.empty() ? "" : ", ") + quoted(info.name);
  return names.empty() ? "none" : names;
}

std::string_view text_of(nb::handle name) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_Check(name.ptr()) ? PyUnicode_AsUTF8AndSize(name.ptr(), &size) : nullptr;
  if (!text) {
    PyErr_Clear();
    throw nb::type_error("names of inputs and outputs are str");
  }
  return {text, static_cast<size_t>(size)};
}

const TensorInfo& find(const std::vector<TensorInfo>& infos, std::string_view name, const char* kind) {
  const auto found = std::ranges::find(infos, name, &TensorInfo::name);
  if (found == infos.end())
    refuse("the model has no " + std::string(kind) + " " + quoted(name) + "; it has " + names_of(infos));
  return *found;
}

TensorMap tensors_of(const PythonSession& self, nb::handle given, Values& values) {
  TensorMap inputs;
  const auto add = [&](const TensorInfo& info, nb::handle value) {
    inputs.insert_or_assign(info.name, values.input(value, info));
  };
  if (nb::isinstance<nb::dict>(given)) {
    for (const auto& [name, value] : nb::borrow<nb::dict>(given))
      add(find(self.inputs, text_of(name), "input"), value);
  } else if (nb::isinstance<nb::list>(given) || nb::isinstance<nb::tuple>(given)) {
    if (nb::len(given) > self.inputs.size()) {
      refuse(std::to_string(nb::len(given)) + " inputs are given, and the model has " +
             std::to_string(self.inputs.size()) + ": " + names_of(self.inputs));
    }
    size_t i = 0;
    for (const nb::handle value : given) add(self.inputs[i++], value);
  } else if (nb::hasattr(given, "keys")) {
    return tensors_of(self, nb::handle(reinterpret_cast<PyObject*>(&PyDict_Type))(given), values);
  } else {
    std::vector<const TensorInfo*> required;
    for (const TensorInfo& info : self.inputs) {
      if (!info.has_default) required.push_back(&info);
    }
    if (required.size() != 1)
      refuse("inputs are a dict by name, or a list; the model has " + names_of(self.inputs));
    add(*required[0], given);
  }
  return inputs;
}

// What ends a run, and who looks at it.
struct Watch {
  LimitOptions limits;
  nb::handle on_step;
};

TensorMap run_unlocked(const PythonSession& self, const TensorMap& inputs, Session::RunOptions options,
                       Watch watch) {
  Interrupt interrupt;
  if (!watch.on_step.is_none()) {
    options.on_step = [&](const Session::Step& step, double start, double duration) {
      interrupt.call([&] { watch.on_step(step, start, duration); });
    };
  }
  return unlocked(interrupt, std::move(watch.limits), [&] { return self.session.run(inputs, options); });
}

nb::object result(const PythonSession& self, nb::handle name, TensorMap& results) {
  return to_python(std::move(results.at(find(self.outputs, text_of(name), "output").name)));
}

// Results by name, those for which there is an array in it.
nb::object run_into(const PythonSession& self, const nb::dict& arrays, const TensorMap& inputs,
                    Values& values, Watch watch) {
  Session::RunOptions options;
  nb::list copied;  // where Plica can't write itself
  for (const auto& [name, array] : arrays) {
    const TensorInfo& info = find(self.outputs, text_of(name), "output");
    if (array.is_none()) continue;
    auto memory = info.is_tensor && info.type != DataType::string ? values.output(array) : std::nullopt;
    if (memory) {
      options.outputs.emplace(info.name, *std::move(memory));
    } else {
      copied.append(name);
    }
  }
  TensorMap results = run_unlocked(self, inputs, std::move(options), std::move(watch));
  nb::dict out;
  for (const auto& [name, array] : arrays) {
    if (array.is_none()) {
      out[name] = result(self, name, results);
    } else {
      if (nb::cast<bool>(copied.attr("__contains__")(name)))
        nb::module_::import_("plica._arrays").attr("fill")(array, result(self, name, results), name);
      out[name] = array;
    }
  }
  return out;
}

nb::object run(const PythonSession& self, nb::handle inputs, nb::handle outputs,
               std::optional<double> timeout, std::optional<size_t> max_memory, const CancelToken* cancel,
               nb::handle on_step) {
  Values values;
  const TensorMap given = tensors_of(self, inputs, values);
  Watch watch{{.max_memory = max_memory.value_or(0),
               .timeout = timeout.value_or(0),
               .cancel = cancel ? &cancel->is_set : nullptr},
              on_step};
  if (nb::isinstance<nb::dict>(outputs))
    return run_into(self, nb::borrow<nb::dict>(outputs), given, values, std::move(watch));
  const bool is_one = nb::isinstance<nb::str>(outputs);
  if (is_one) {
    find(self.outputs, text_of(outputs), "output");
  } else if (!outputs.is_none()) {
    for (const nb::handle name : outputs) find(self.outputs, text_of(name), "output");
  }
  TensorMap results = run_unlocked(self, given, {}, std::move(watch));
  if (is_one) return result(self, outputs, results);
  if (outputs.is_none()) {
    nb::dict all;
    for (size_t i = 0; i < self.outputs.size(); ++i)
      all[self.output_names[i]] = to_python(std::move(results.at(self.outputs[i].name)));
    return all;
  }
  nb::list list;
  nb::dict seen;  // a name may be asked for twice
  for (const nb::handle name : outputs) {
    if (!seen.contains(name)) seen[name] = result(self, name, results);
    list.append(seen[name]);
  }
  return list;
}

void bind_token(nb::module_& m) {
  nb::class_<CancelToken>(m, "CancelToken",
                          "Ends runs from another thread: each that was given it, between two steps.")
      .def(nb::init<>())
      .def("cancel", [](CancelToken& token) { token.is_set = true; })
      .def(
          "reset", [](CancelToken& token) { token.is_set = false; }, "For the next run.")
      .def_prop_ro("cancelled", [](const CancelToken& token) { return token.is_set.load(); })
      .def("__repr__", [](const CancelToken& token) {
        return token.is_set ? "<plica.CancelToken cancelled>" : "<plica.CancelToken>";
      });
}

constexpr char kInit[] =
    "Of a Model, which is run as it is; or of what a Model is made of (a path, bytes, ...), which is "
    "optimized first unless "
    "optimize=False. Later changes of the Model don't reach the Session.\n\n"
    "threads: 0 for the CPUs that this process may use (affinity, cgroup quota); exact: no method with "
    "larger rounding "
    "errors than direct sums (Winograd); cached_plans: sets of input shapes whose plans are kept; tuning: a "
    "file of "
    "choices by measurement (plica tune); log(level, message): called from the threads that make and run the "
    "session, "
    "with \"debug\", \"info\" or \"warning\"; what it raises is reported and dropped.";

constexpr char kRun[] =
    "Runs the model.\n\n"
    "inputs: a dict by name, a list in the model's order, or the only input itself. Arrays are read where "
    "they lie if they "
    "are contiguous, and must not be written into meanwhile; anything with __array__ or DLPack (on the CPU) "
    "will do, and "
    "lists and numbers, which take the model's type. Arrays of another type than the model's are refused.\n"
    "outputs: None gives a dict of all; a list of names gives a list; a name gives its value; a dict of "
    "names and writable "
    "arrays is filled and returned (None in it: a new array).\n"
    "timeout: in seconds; max_memory: bytes that the run may allocate; cancel: a CancelToken. The run ends "
    "between two "
    "steps, with CancelledError or LimitError. on_step(step, start, duration): called after each step, with "
    "times in "
    "milliseconds since the run began.\n\n"
    "Safe from many threads at once; the GIL is released. In the main thread, signals are handled during the "
    "run, so "
    "Ctrl-C ends it.";

std::string repr(const PythonSession& self) {
  std::string text = "<plica.Session (";
  const auto list = [&](const std::vector<TensorInfo>& infos) {
    for (size_t i = 0; i < infos.size(); ++i) text += (i ? ", " : "") + infos[i].name + ": " + infos[i].text;
  };
  list(self.inputs);
  text += ") -> (";
  list(self.outputs);
  return text + "), " + std::to_string(self.options.threads ? self.options.threads : default_threads()) +
         " threads>";
}

std::string file_name(nb::handle path) {
  if (path.is_none()) return "";
  const auto name = path_of(path);
  if (!name) throw nb::type_error("tuning is a path");
  return name->string();
}

nb::tuple state_of(const PythonSession& self) {
  if (self.has_log)
    throw nb::type_error("a Session with a log function can't be pickled: the function would not come along");
  const Model model = self.model;
  const std::string bytes = unlocked([&] { return model.serialize(); });
  const SessionOptions& o = self.options;
  return nb::make_tuple(nb::bytes(bytes.data(), bytes.size()), o.threads, o.exact, o.cached_plans,
                        nb::bytes(o.tuning.data(), o.tuning.size()));
}

void set_state(PythonSession& self, const nb::tuple& state) {
  const auto tuning = nb::cast<nb::bytes>(state[4]);
  Options options{{.threads = nb::cast<int>(state[1]),
                   .exact = nb::cast<bool>(state[2]),
                   .tuning = std::string(tuning.c_str(), tuning.size()),
                   .cached_plans = nb::cast<size_t>(state[3])}};
  new (&self) PythonSession(read_model(state[0]), options);
}

}  // namespace

void bind_session(nb::module_& m) {
  bind_arrays(m);
  bind_token(m);
  nb::class_<PythonSession>(
      m, "Session",
      "Runs a model. Plans are made for each set of input shapes when they first come, and kept. "
      "Safe from many threads; in a child process by fork too, and can be pickled.")
      .def(
          "__init__",
          [](PythonSession* self, nb::handle source, int threads, bool exact, size_t cached_plans,
             nb::handle tuning, nb::object log, bool optimize) {
            if (!log.is_none() && !PyCallable_Check(log.ptr())) throw nb::type_error("log is a function");
            const Options options{{.threads = threads,
                                   .exact = exact,
                                   .tuning = file_name(tuning),
                                   .cached_plans = cached_plans},
                                  log};
            const bool is_model = nb::isinstance<Model>(source);
            Model model = is_model ? nb::cast<Model>(source) : read_model(source);
            if (optimize && !is_model && !model.is_compiled())
              unlocked([&] { model.optimize({.measure = false}); });
            new (self) PythonSession(std::move(model), options);
          },
          nb::arg("model").none(), nb::kw_only(), nb::arg("threads") = 0, nb::arg("exact") = false,
          nb::arg("cached_plans") = 64, nb::arg("tuning") = nb::none(), nb::arg("log") = nb::none(),
          nb::arg("optimize") = true,
          nb::sig(
              "def __init__(self, model: Model | str | os.PathLike[str] | bytes | typing.Any, *, threads: "
              "int = 0, "
              "exact: bool = False, cached_plans: int = 64, tuning: str | os.PathLike[str] | None = None, "
              "log: collections.abc.Callable[[str, str], object] | None = None, optimize: bool = True) -> "
              "None"),
          kInit)
      .def(
          "run", &run, nb::arg("inputs").none(), nb::arg("outputs") = nb::none(), nb::kw_only(),
          nb::arg("timeout") = nb::none(), nb::arg("max_memory") = nb::none(), nb::arg("cancel") = nb::none(),
          nb::arg("on_step") = nb::none(),
          nb::sig(
              "def run(self, inputs: collections.abc.Mapping[str, typing.Any] | "
              "collections.abc.Sequence[typing.Any] | typing.Any, "
              "outputs: collections.abc.Mapping[str, typing.Any] | collections.abc.Sequence[str] | str | "
              "None = None, *, timeout: float "
              "| None = None, "
              "max_memory: int | None = None, cancel: CancelToken | None = None, "
              "on_step: collections.abc.Callable[[Step, float, float], object] | None = None) -> typing.Any"),
          kRun)
      .def_prop_ro(
          "inputs", [](const PythonSession& self) { return self.inputs; }, "As Model.inputs.")
      .def_prop_ro(
          "outputs", [](const PythonSession& self) { return self.outputs; }, "As Model.outputs.")
      .def_prop_ro(
          "model", [](const PythonSession& self) { return self.model; }, "The Model that it runs.")
      .def_prop_ro("threads",
                   [](const PythonSession& self) {
                     return self.options.threads ? self.options.threads : default_threads();
                   })
      .def_prop_ro(
          "tuning_note", [](const PythonSession& self) { return self.session.tuning_note(); },
          "Why the tuning file is not used; empty when it is, or there is none.")
      .def(
          "plan",
          [](const PythonSession& self, nb::handle inputs) {
            Values values;
            const TensorMap given = tensors_of(self, inputs, values);
            return unlocked([&] { return self.session.plan(given); });
          },
          nb::arg("inputs"), nb::sig("def plan(self, inputs: typing.Any) -> Plan"),
          "How inputs of these shapes are run.")
      .def(
          "profile",
          [](const PythonSession& self, nb::handle inputs, int runs) {
            Values values;
            const TensorMap given = tensors_of(self, inputs, values);
            return unlocked([&] { return self.session.profile(given, runs); });
          },
          nb::arg("inputs"), nb::arg("runs") = 1,
          nb::sig("def profile(self, inputs: typing.Any, runs: int = 1) -> Profile"),
          "Runs it so many times and says how long each step took.")
      .def(
          "memory", [](const PythonSession& self) { return unlocked([&] { return self.session.memory(); }); },
          "What it holds now.")
      .def(
          "trim", [](const PythonSession& self) { unlocked([&] { self.session.trim(); }); },
          "Gives back to the system what waits for a next run. Plans and weights stay.")
      .def("__getstate__", &state_of)
      .def("__setstate__", &set_state)
      .def("__repr__", &repr);
}

}  // namespace plica::python
