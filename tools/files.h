// The files that the command line names: "-" is the standard input or output.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "plica/model.h"

namespace plica::tools {

// Bytes of a file (mapped, when it can be) or of a pipe.
struct Blob {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

// Throws Exit(kInvalid) naming the file.
Blob read_input(const std::string& path);
// Says so when it is a compiled file of which only the model is used.
Model load_model(const std::string& path);
// For runs only: without the measures of a report. A compiled one is optimized already.
void optimize_to_run(Model& model);

// Writes the whole file or nothing. Throws Error(io).
void write_output(const std::string& path, std::string_view contents);

// Throws Exit(kUsage) when writing `output` would overwrite `input` and that was not asked for.
void refuse_overwrite(const std::string& input, const std::string& output, bool in_place);

// "file.onnx", or "standard input", for messages.
std::string shown(const std::string& path);

// Runs `body`; an Error that leaves it begins with the model's name.
template <class Body>
decltype(auto) about_model(const std::string& path, Body&& body) {
  return with_context(std::forward<Body>(body), [&] { return shown(path); });
}

}  // namespace plica::tools
