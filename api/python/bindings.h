// What the files of the extension module plica._plica share. Every function here is called with the GIL held,
// unless it says otherwise; what takes long gives it up (unlocked()).
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <optional>
#include <utility>

#include "plica/plica.h"

namespace plica::python {

namespace nb = nanobind;

void prepare_interrupts();  // once, when the module is loaded
void bind_errors();
void bind_report(nb::module_& m);
void bind_model(nb::module_& m);
void bind_session(nb::module_& m);
void bind_steps(nb::module_& m);

// A reference that may be dropped by any thread, with or without the GIL.
std::shared_ptr<PyObject> shared_reference(nb::object object);

// Of a path, bytes, a file, or an onnx.ModelProto.
Model read_model(nb::handle source);

// str or os.PathLike as a path; nullopt when it is none of them.
std::optional<std::filesystem::path> path_of(nb::handle value);

// What a call does without the GIL, and what Python has to say meanwhile: exceptions of callbacks, and
// signals, whose handlers Python runs in the main thread only. A call from there looks for them ten times a
// second, between two steps, and ends when a handler raises (Ctrl-C: KeyboardInterrupt). All calls end when
// the interpreter does: daemon threads would go on while the process takes itself apart.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // Whether to end. Without the GIL, from any thread.
  bool stop();
  // Runs a callback with the GIL, when the caller has none. Its exception ends the call.
  template <class Body>
  void call(Body&& body) {
    const nb::gil_scoped_acquire locked;
    try {
      body();
    } catch (nb::python_error& error) {
      error_.emplace(std::move(error));
      throw Error(ErrorCode::cancelled, "a callback raised an exception");
    }
  }
  void rethrow() {
    if (error_) throw nb::python_error(std::move(*error_));
  }

 private:
  int64_t next_look_ = 0;
  std::optional<nb::python_error> error_;
};

// Runs the body without the GIL, within limits.
template <class Body>
auto unlocked(Interrupt& interrupt, LimitOptions limits, Body&& body) {
  try {
    const nb::gil_scoped_release released;
    limits.stop = [&interrupt] { return interrupt.stop(); };
    const LimitsScope scope(limits);
    check_limits();
    return body();
  } catch (const Error&) {
    interrupt.rethrow();
    throw;
  }
}
template <class Body>
auto unlocked(Body&& body) {
  Interrupt interrupt;
  return unlocked(interrupt, {}, std::forward<Body>(body));
}

}  // namespace plica::python
