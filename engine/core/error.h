// The one exception type of Plica.
//
// An Error carries a code (what kind of failure, the program's exit code and the C ABI's status come from it) and
// a message. Layers that know more add context on the way out, so that a message reads outside-in:
//   "model.onnx: node 'conv1' (Conv, opset 13): weight has 3 input channels, the input 4"
// Expected negatives are values (std::optional, passes' Skip), never exceptions.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "engine/core/api.h"

namespace PLICA_API plica {

enum class ErrorCode {
  invalid_model,     // the model breaks the ONNX specification
  unsupported,       // valid, but Plica does not do it (operator, element type, ...)
  invalid_argument,  // the caller's fault: wrong input name, shape, type, option
  io,                // a file could not be read or written
  limit,             // a stated limit (memory, time, nesting) would be passed
  cancelled,         // the caller asked to stop
  internal,          // a bug of ours
};

std::string_view to_string(ErrorCode code);

class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }

  // Puts `context` in front of the message: "context: message".
  void add_context(std::string_view context);

 private:
  ErrorCode code_;
  std::string message_;
};

// A name out of a file, made safe for a one-line message: quoted, escaped, cut when very long.
std::string quoted(std::string_view name);
// So that std::quoted, which argument-dependent lookup finds beside <iomanip>, never fits better.
inline std::string quoted(const std::string& name) { return quoted(std::string_view(name)); }
inline std::string quoted(std::string& name) { return quoted(std::string_view(name)); }
inline std::string quoted(const char* name) { return quoted(std::string_view(name)); }
// With control characters, direction marks and what is no UTF-8 as \xNN.
std::string escaped(std::string_view text);

// Runs `body`; an Error that leaves it gets `context()` (a callable that returns a string) in front.
template <class Body, class Context>
decltype(auto) with_context(Body&& body, Context&& context) {
  try {
    return std::forward<Body>(body)();
  } catch (Error& error) {
    error.add_context(context());
    throw;
  }
}

}  // namespace plica
