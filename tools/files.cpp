#include "tools/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "engine/core/file_calls.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/signals.h"

namespace plica::tools {
namespace {

constexpr size_t kMostPipeBytes = size_t{4} << 30;

// Opens a pipe, such as `<(command)` of a shell, or what else gives bytes until it ends.
Descriptor open_stream(const std::string& path, bool may_be_device) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return Descriptor();
  if (!S_ISFIFO(status.st_mode) && !(may_be_device && S_ISCHR(status.st_mode))) return Descriptor();
  const int fd = open_retrying(path.c_str(), O_RDONLY);
  if (fd < 0) exit_with(kInvalid, "cannot read {}: {}", shown(path), std::strerror(errno));
  return Descriptor(fd);
}

Blob stream_blob(int fd, const std::string& path) {
  auto contents = std::make_shared<const std::string>(
      reading([&] { return read_to_end(fd, shown(path), kMostPipeBytes); }));
  return {std::as_bytes(std::span(contents->data(), contents->size())), contents};
}

}  // namespace

std::string shown(const std::string& path) { return path == "-" ? "standard input" : display_name(path); }

Blob read_input(const std::string& path) {
  if (path == "-") return stream_blob(STDIN_FILENO, path);
  if (const Descriptor stream = open_stream(path, true)) return stream_blob(stream.get(), path);
  return reading([&] {
    auto file = MappedFile::open(path);
    return Blob{file->bytes(), file};
  });
}

Model load_model(const std::string& path) {
  Model model = reading([&] {
    if (path == "-") return Model::load(STDIN_FILENO);
    const Descriptor stream = open_stream(path, false);
    if (!stream) return Model::load(path);
    return about_model(path, [&] { return Model::load(stream.get()); });
  });
  if (!model.compiled_note().empty()) note("{} {}", shown(path), model.compiled_note());
  return model;
}

void optimize_to_run(Model& model) {
  if (!model.is_compiled()) model.optimize({.measure = false});
}

void write_output(const std::string& path, std::string_view contents) {
  if (path == "-") return print(contents);
  const CriticalSection critical;
  write_file(path, contents);
}

void refuse_overwrite(const std::string& input, const std::string& output, bool in_place) {
  if (in_place || input == "-" || output == "-") return;
  std::error_code ignored;
  if (!std::filesystem::equivalent(input, output, ignored)) return;
  if (!std::filesystem::is_regular_file(output, ignored)) return;
  exit_with(kUsage, "{} would be overwritten by its own result (say --in-place to allow that)", shown(input));
}

}  // namespace plica::tools
