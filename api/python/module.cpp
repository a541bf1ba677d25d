// The extension module plica._plica: the C++ API for Python. The package plica (api/python/plica) is what
// people import.
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include "api/python/bindings.h"

namespace plica::python {
namespace {

const char* class_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_model:
      return "InvalidModelError";
    case ErrorCode::unsupported:
      return "UnsupportedError";
    case ErrorCode::invalid_argument:
      return "InvalidArgumentError";
    case ErrorCode::io:
      return "IoError";
    case ErrorCode::limit:
      return "LimitError";
    case ErrorCode::cancelled:
      return "CancelledError";
    case ErrorCode::internal:
      break;
  }
  return "InternalError";
}

}  // namespace

void bind_errors() {
  // The classes are Python's (plica/errors.py).
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Error& error) {
      const nb::object type = nb::module_::import_("plica.errors").attr(class_of(error.code()));
      // Names in a model are quoted and escaped; those of files may hold any bytes.
      const nb::object text = nb::steal(PyUnicode_DecodeUTF8(
          error.message().data(), static_cast<Py_ssize_t>(error.message().size()), "backslashreplace"));
      PyErr_SetObject(type.ptr(), text.ptr());
    }
  });
}

}  // namespace plica::python

NB_MODULE(_plica, m) {
  namespace nb = nanobind;
  using namespace plica;
  m.doc() = "Plica's C++ API. Import plica instead.";
  // What daemon threads hold when the interpreter ends is no leak.
  nb::set_leak_warnings(false);
  python::prepare_interrupts();
  python::bind_errors();
  python::bind_report(m);
  python::bind_model(m);
  python::bind_steps(m);
  python::bind_session(m);
  m.def("version", &version, "The version of Plica.");
  m.def("onednn_version", &onednn_version, "The version of the oneDNN that is loaded.");
  m.def("default_threads", &default_threads,
        "How many threads a Session uses unless told otherwise: the CPUs that this process may use now.");
}
