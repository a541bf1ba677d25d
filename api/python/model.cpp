#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "api/python/bindings.h"

namespace plica::python {
namespace {

nb::object shape_of(const TensorInfo& info) {
  if (!info.shape) return nb::none();
  nb::list dims;
  for (const Dim& dim : *info.shape) {
    if (dim.is_known()) {
      dims.append(dim.value());
    } else if (dim.is_symbol() && dim.symbol() != "?") {  // which exporters write for what they don't know
      dims.append(dim.symbol());
    } else {
      dims.append(nb::none());
    }
  }
  return nb::tuple(dims);
}

Model parse_bytes(nb::object bytes) {
  const auto* data = reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(bytes.ptr()));
  const std::span span(data, static_cast<size_t>(PyBytes_GET_SIZE(bytes.ptr())));
  const auto owner = shared_reference(std::move(bytes));
  return unlocked(
      [&] { return with_context([&] { return Model::parse(span, owner); }, [] { return "bytes"; }); });
}

// {"batch": 1, "image": (1, 3, 224, 224)}
DimSizes sizes_of(const std::optional<nb::dict>& given) {
  DimSizes sizes;
  if (!given) return sizes;
  for (const auto& [key, value] : *given) {
    if (nb::isinstance<nb::int_>(value)) {
      sizes.symbols[nb::cast<std::string>(key)] = nb::cast<int64_t>(value);
    } else {
      sizes.shapes[nb::cast<std::string>(key)] = nb::cast<Dims>(value);
    }
  }
  return sizes;
}

Report optimize(Model& model, std::vector<std::string> disable, std::vector<std::string> only,
                std::vector<std::string> keep, int64_t max_rewrites, bool measure, nb::object progress) {
  Model::OptimizeOptions options{.disable = std::move(disable),
                                 .only = std::move(only),
                                 .keep = std::move(keep),
                                 .max_rewrites = max_rewrites,
                                 .measure = measure};
  Interrupt interrupt;
  if (!progress.is_none()) {
    options.progress = [&](std::string_view pass, int done, int total) {
      interrupt.call([&] { progress(pass, done, total); });
    };
  }
  // On a copy: other threads may look at this one meanwhile.
  Model changed = model;
  Report report = unlocked(interrupt, {}, [&] { return changed.optimize(options); });
  model = std::move(changed);
  return report;
}

void bind_summary(nb::module_& m) {
  nb::class_<TensorInfo>(m, "TensorInfo", "An input or an output of a model.")
      .def_ro("name", &TensorInfo::name)
      .def_prop_ro(
          "type", [](const TensorInfo& t) { return to_string(t.type); },
          "\"float32\", \"bfloat16\", \"string\", ... as numpy and ml_dtypes say; \"sequence\", "
          "\"optional\", "
          "\"map\"; \"undefined\" when it is not known.")
      .def_prop_ro("shape", &shape_of, nb::sig("def shape(self) -> tuple[int | str | None, ...] | None"),
                   "Sizes, names of sizes, None for what is not known; None when the rank is not known.")
      .def_ro("text", &TensorInfo::text, "\"float32[batch, 3, 224, 224]\", \"sequence(int64[2])\"")
      .def_ro("has_default", &TensorInfo::has_default, "An input that may be left out.")
      .def_ro("is_tensor", &TensorInfo::is_tensor)
      .def("__repr__",
           [](const TensorInfo& t) { return "<plica.TensorInfo '" + t.name + "' " + t.text + ">"; });

  nb::class_<Finding>(m, "Finding", "A fault of a model, or an operator that Plica does not have.")
      .def_prop_ro(
          "code", [](const Finding& f) { return to_string(f.code); }, "\"invalid_model\", \"unsupported\".")
      .def_ro("node", &Finding::node, "\"node 'conv1' (Conv, opset 13)\"; empty: the model as a whole.")
      .def_ro("message", &Finding::message)
      .def("__repr__", [](const Finding& f) {
        return "<plica.Finding " + f.node + (f.node.empty() ? "" : ": ") + f.message + ">";
      });

  using Summary = ModelSummary;
  nb::class_<Summary>(m, "Summary", "What a model is made of. Counts include subgraphs.")
      .def_ro("ir_version", &Summary::ir_version)
      .def_ro("producer", &Summary::producer)
      .def_ro("producer_version", &Summary::producer_version)
      .def_ro("domain", &Summary::domain)
      .def_ro("doc_string", &Summary::doc_string)
      .def_ro("model_version", &Summary::model_version)
      .def_ro("graph_name", &Summary::graph_name)
      .def_ro("graph_doc_string", &Summary::graph_doc_string)
      .def_ro("opsets", &Summary::opsets, "(domain, version), in the model's order.")
      .def_ro("nodes", &Summary::nodes)
      .def_ro("operators", &Summary::operators, "How often each operator is there.")
      .def_ro("functions", &Summary::functions)
      .def_ro("initializers", &Summary::initializers)
      .def_ro("parameters", &Summary::parameters)
      .def_ro("parameter_bytes", &Summary::parameter_bytes)
      .def_ro(
          "macs", &Summary::macs,
          "Multiply-accumulates of one run at the assumed sizes, of Conv, ConvTranspose, Gemm and MatMul.")
      .def_ro("macs_unknown", &Summary::macs_unknown, "Of those nodes, how many are not counted.")
      .def_ro("assumptions", &Summary::assumptions,
              "\"batch = 1\": sizes that were neither in the model nor given.")
      .def_prop_ro(
          "batch_norms", [](const Summary& s) { return s.batch_norms.size(); }, "How many there are.")
      .def("__repr__", [](const Summary& s) {
        return "<plica.Summary " + std::to_string(s.nodes) + " nodes, " + std::to_string(s.parameters) +
               " parameters, " + std::to_string(s.batch_norms.size()) + " batch norms>";
      });
}

std::string repr(const Model& model) {
  std::string text = "<plica.Model (";
  const auto list = [&](const std::vector<TensorInfo>& infos) {
    for (size_t i = 0; i < infos.size(); ++i) text += (i ? ", " : "") + infos[i].name + ": " + infos[i].text;
  };
  list(model.inputs());
  text += ") -> (";
  list(model.outputs());
  return text + ")>";
}

}  // namespace

Model read_model(nb::handle source) {
  if (const auto path = path_of(source)) return unlocked([&] { return Model::load(*path); });
  nb::object bytes = nb::borrow(source);
  if (nb::hasattr(source, "SerializeToString")) {
    bytes = source.attr("SerializeToString")();
  } else if (nb::hasattr(source, "read")) {
    bytes = source.attr("read")();
  }
  if (PyBytes_CheckExact(bytes.ptr())) return parse_bytes(std::move(bytes));
  if (PyObject_CheckBuffer(bytes.ptr())) {
    // Memory that somebody may write into: it is copied as far as it is kept.
    Py_buffer view;
    if (PyObject_GetBuffer(bytes.ptr(), &view, PyBUF_SIMPLE) != 0) throw nb::python_error();
    const std::unique_ptr<Py_buffer, void (*)(Py_buffer*)> released(&view, PyBuffer_Release);
    const std::span data(static_cast<const std::byte*>(view.buf), static_cast<size_t>(view.len));
    return unlocked([&] { return with_context([&] { return Model::parse(data); }, [] { return "bytes"; }); });
  }
  throw nb::type_error("a model is a path, bytes, a binary file, or an onnx.ModelProto");
}

// A Model whose methods give up the GIL is passed by value, for another thread may optimize it meanwhile.
void bind_model(nb::module_& m) {
  bind_summary(m);
  nb::class_<Model>(
      m, "Model",
      "An ONNX model in memory: to look at, optimize, save, and make Sessions of.\n\n"
      "Copies share one graph, and cost nothing; optimize() gives its object a new one. Models can be "
      "pickled, which makes bytes of them.")
      .def(
          "__init__", [](Model* self, nb::handle source) { new (self) Model(read_model(source)); },
          nb::arg("source").none(),
          nb::sig("def __init__(self, source: str | os.PathLike[str] | bytes | typing.Any) -> None"),
          "Of a path, bytes (or what has a buffer of them), a binary file, or an onnx.ModelProto. Large "
          "tensors of a path "
          "are read when they are first needed: the file may be replaced or deleted meanwhile, but not "
          "written into. "
          "External data is read for paths only.")
      .def_prop_ro("inputs", &Model::inputs, "In the model's order, those with a default too.")
      .def_prop_ro("outputs", &Model::outputs)
      .def_prop_ro(
          "metadata",
          [](const Model& model) {
            nb::dict all;
            for (const auto& [key, value] : model.metadata()) all[key.c_str()] = value;
            return all;
          },
          nb::sig("def metadata(self) -> dict[str, str]"), "A copy of the model's metadata.")
      .def_prop_ro("is_compiled", &Model::is_compiled, "Whether it is of a file by plica compile.")
      .def_prop_ro("compiled_note", &Model::compiled_note,
                   "Why no more than the model is used of a compiled file; empty when all is.")
      .def("optimize", &optimize, nb::kw_only(), nb::arg("disable") = std::vector<std::string>(),
           nb::arg("only") = std::vector<std::string>(), nb::arg("keep") = std::vector<std::string>(),
           nb::arg("max_rewrites") = -1, nb::arg("measure") = true, nb::arg("progress") = nb::none(),
           nb::sig("def optimize(self, *, disable: collections.abc.Sequence[str] = (), only: "
                   "collections.abc.Sequence[str] = (), "
                   "keep: collections.abc.Sequence[str] = (), max_rewrites: int = -1, measure: bool = True, "
                   "progress: collections.abc.Callable[[str, int, int], object] | None = None) -> Report"),
           "Folds batch norms and simplifies, and says what became of each. The model stays ONNX and "
           "computes the same, up "
           "to the bounds in the report.\n\n"
           "disable, only: names of rules or passes (`plica list-rules`); keep: names of nodes that nothing "
           "may change or "
           "remove; measure=False: without error bounds and health in the report, which is faster; "
           "progress(pass, done, total) is called before each pass, and ends the call by an exception.")
      .def(
          "save",
          [](Model model, nb::handle path, size_t threshold) {
            const auto to = path_of(path);
            if (!to) throw nb::type_error("save() takes a path");
            unlocked([&] { model.save(*to, {.external_data_threshold = threshold}); });
          },
          nb::arg("path"), nb::arg("external_data_threshold") = 0,
          nb::sig("def save(self, path: str | os.PathLike[str], external_data_threshold: int = 0) -> None"),
          "Writes ONNX. A reader of the path sees the old file or the whole new one. Tensors of at least so "
          "many bytes go "
          "to a file beside it; 0: only when it would pass 2 GiB otherwise.")
      .def(
          "serialize",
          [](Model model) {
            const std::string bytes = unlocked([&] { return model.serialize(); });
            return nb::bytes(bytes.data(), bytes.size());
          },
          "The bytes of the file that save() writes, at most 2 GiB.")
      .def(
          "copy", [](const Model& model) { return model; }, "Another Model of the same graph.")
      .def("__copy__", [](const Model& model) { return model; })
      .def(
          "__deepcopy__", [](const Model& model, nb::handle) { return model; }, nb::arg("memo"))
      .def(
          "summarize",
          [](Model model, const std::optional<nb::dict>& sizes) {
            const DimSizes given = sizes_of(sizes);
            return unlocked([&] { return model.summarize(given); });
          },
          nb::arg("sizes") = nb::none(),
          "What it is made of. sizes: for what the model leaves open, by symbol or by input: "
          "{\"batch\": 1, \"image\": (1, 3, 224, 224)}.")
      .def(
          "check", [](Model model) { return unlocked([&] { return model.check(); }); },
          "Everything that is wrong with it or that Plica does not support; empty when it can be run.")
      .def(
          "listing", [](Model model) { return unlocked([&] { return model.listing(); }); },
          "The graph, a line a node.")
      .def(
          "to_dot", [](Model model) { return unlocked([&] { return model.to_dot(); }); },
          "The graph in the language of Graphviz.")
      .def(
          "to_html",
          [](Model model, const std::string& title, const std::optional<nb::dict>& sizes) {
            const DimSizes given = sizes_of(sizes);
            return unlocked([&] { return model.to_html(title, given); });
          },
          nb::arg("title") = "model", nb::arg("sizes") = nb::none(),
          "What summarize() says and more, as one HTML page.")
      .def("__getstate__",
           [](Model model) {
             const std::string bytes = unlocked([&] { return model.serialize(); });
             return nb::bytes(bytes.data(), bytes.size());
           })
      .def("__setstate__",
           [](Model& self, nb::bytes state) { new (&self) Model(parse_bytes(std::move(state))); })
      .def("__repr__", &repr);
}

}  // namespace plica::python
