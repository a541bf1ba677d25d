#include <pthread.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "api/python/bindings.h"

namespace plica::python {
namespace {

pthread_t main_thread;

int64_t milliseconds_now() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

constexpr int64_t kBetweenLooks = 100;  // ms

std::atomic<bool> is_ending = false;
std::atomic<int> calls = 0;

// Called as the interpreter ends, while other threads can still take the GIL.
void end_calls() {
  is_ending = true;
  const nb::gil_scoped_release released;
  for (int i = 0; i < 10'000 && calls > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

void prepare_interrupts() {
  main_thread = nb::cast<pthread_t>(nb::module_::import_("threading").attr("main_thread")().attr("ident"));
  nb::module_::import_("atexit").attr("register")(nb::cpp_function(end_calls));
  // In a child process, the thread that forked is the main one, and there is no other.
  ::pthread_atfork(nullptr, nullptr, [] {
    main_thread = ::pthread_self();
    calls = 0;
  });
}

Interrupt::Interrupt() : next_look_(milliseconds_now() + kBetweenLooks) { ++calls; }

Interrupt::~Interrupt() { --calls; }

bool Interrupt::stop() {
  if (is_ending) return true;
  if (!::pthread_equal(::pthread_self(), main_thread)) return false;
  const int64_t now = milliseconds_now();
  if (now < next_look_) return false;
  next_look_ = now + kBetweenLooks;
  const nb::gil_scoped_acquire locked;
  if (PyErr_CheckSignals() == 0) return false;
  error_.emplace();
  return true;
}

std::shared_ptr<PyObject> shared_reference(nb::object object) {
  return {object.release().ptr(), [](PyObject* p) {
            if (!Py_IsInitialized()) return;  // it went with the interpreter
            const nb::gil_scoped_acquire locked;
            Py_DECREF(p);
          }};
}

std::optional<std::filesystem::path> path_of(nb::handle value) {
  if (!PyUnicode_Check(value.ptr()) && !nb::hasattr(value, "__fspath__")) return std::nullopt;
  PyObject* encoded = nullptr;
  if (!PyUnicode_FSConverter(value.ptr(), &encoded)) throw nb::python_error();
  const nb::bytes bytes = nb::steal<nb::bytes>(encoded);
  return std::filesystem::path(std::string(bytes.c_str(), bytes.size()));
}

}  // namespace plica::python
