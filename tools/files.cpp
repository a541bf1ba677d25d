#include "tools/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/signals.h"

namespace plica::tools {
namespace {

constexpr size_t kMostPipeBytes = size_t{4} << 30;

// All that a pipe or terminal gives.
std::shared_ptr<const std::string> read_stream(int fd, const std::string& path) {
  auto contents = std::make_shared<std::string>();
  size_t size = 0;
  for (;;) {
    if (contents->size() - size < 65536) contents->resize(std::max<size_t>(2 * contents->size(), 1 << 18));
    const ssize_t got = ::read(fd, contents->data() + size, contents->size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) exit_with(kInvalid, "cannot read {}: {}", shown(path), std::strerror(errno));
    if (got == 0) break;
    size += static_cast<size_t>(got);
    if (size > kMostPipeBytes)
      exit_with(kInvalid, "{} is larger than {}", shown(path), human_bytes(kMostPipeBytes));
  }
  contents->resize(size);
  return contents;
}

Blob stream_blob(int fd, const std::string& path) {
  auto contents = read_stream(fd, path);
  return {std::as_bytes(std::span(contents->data(), contents->size())), contents};
}

}  // namespace

std::string shown(const std::string& path) { return path == "-" ? "standard input" : display_name(path); }

Blob read_input(const std::string& path) {
  if (path == "-") return stream_blob(STDIN_FILENO, path);
  struct stat status = {};
  if (::stat(path.c_str(), &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode))) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) exit_with(kInvalid, "cannot read {}: {}", shown(path), std::strerror(errno));
    Blob blob = stream_blob(fd, path);
    ::close(fd);
    return blob;
  }
  return reading([&] {
    auto file = MappedFile::open(path);
    return Blob{file->bytes(), file};
  });
}

Model load_model(const std::string& path) {
  return reading([&] {
    struct stat status = {};
    const bool is_stream = path == "-" || (::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode));
    if (!is_stream) return Model::load(path);
    const Blob blob = read_input(path);
    return with_context([&] { return Model::parse(blob.bytes); }, [&] { return shown(path); });
  });
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
