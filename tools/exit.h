// How the program ends: its exit codes, and the exceptions that carry them to main().
#pragma once

#include <fmt/format.h>

#include <exception>
#include <string>
#include <utility>

#include "engine/core/error.h"

namespace plica::tools {

enum ExitCode : int {
  kOk = 0,
  kFailed = 1,       // it failed while running
  kUsage = 2,        // the command line
  kDiffer = 3,       // results differ
  kInvalid = 4,      // invalid model or input
  kUnsupported = 5,  // Plica does not have it
  kInterrupted = 130,
};

// Ends the program with a code and a line on stderr.
class Exit : public std::exception {
 public:
  Exit(ExitCode code, std::string message) : code_(code), message_(std::move(message)) {}
  ExitCode code() const noexcept { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ExitCode code_;
  std::string message_;
};

template <class... Args>
[[noreturn]] void exit_with(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Exit(code, fmt::format(format, std::forward<Args>(args)...));
}

inline ExitCode exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_model:
    case ErrorCode::invalid_argument:
    case ErrorCode::limit:  // it wants more than there is, or than the user allows
      return kInvalid;
    case ErrorCode::unsupported:
      return kUnsupported;
    case ErrorCode::cancelled:
      return kInterrupted;
    case ErrorCode::io:
    case ErrorCode::internal:
      return kFailed;
  }
  return kFailed;
}

// Runs `body`, which reads what the user gave: a file that is missing or too large is then invalid input too.
template <class Body>
decltype(auto) reading(Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::io || error.code() == ErrorCode::limit)
      throw Exit(kInvalid, error.message());
    throw;
  }
}

}  // namespace plica::tools
