#include "engine/onnx/external_data.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/core/file_calls.h"

namespace plica::onnx_format {
namespace {

// O_NONBLOCK: a FIFO is refused after opening instead of waited for.
constexpr int kFileFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW;

// One descriptor stays open for each; models with a file a tensor have thousands.
constexpr size_t kMostKeptOpen = 256;

[[noreturn]] void fail_open(int error) {
  switch (error) {
    case ELOOP:
      fail(ErrorCode::invalid_model,
           "is or lies behind a symbolic link, which is not followed (put the file itself "
           "beside the model)");
    case EXDEV:
      fail(ErrorCode::invalid_model, "leads out of the model's directory");
    default:
      fail(ErrorCode::io, "cannot open: {}", std::strerror(error));
  }
}

// Component by component, no link followed. `location` has no "..".
Descriptor open_by_components(int directory, const std::filesystem::path& location) {
  Descriptor at;
  for (auto it = location.begin(); it != location.end(); ++it) {
    if (it->empty() || *it == ".") continue;
    const bool is_last = std::next(it) == location.end();
    const int from = at ? at.get() : directory;
    Descriptor next(
        ::openat(from, it->c_str(), is_last ? kFileFlags : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) {
      // O_DIRECTORY | O_NOFOLLOW on a link gives ENOTDIR.
      struct stat info;
      const int error = errno;
      const bool is_link =
          ::fstatat(from, it->c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode);
      fail_open(is_link ? ELOOP : error);
    }
    at = std::move(next);
  }
  require(static_cast<bool>(at), ErrorCode::invalid_model, "is not a regular file");
  return at;
}

Descriptor open_beneath(int directory, const std::filesystem::path& location, bool use_openat2) {
  if (use_openat2) {
    struct open_how how = {};
    how.flags = kFileFlags;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    for (int attempt = 0; attempt < 100; ++attempt) {
      Descriptor file(
          static_cast<int>(::syscall(SYS_openat2, directory, location.c_str(), &how, sizeof how)));
      if (file) return file;
      // EAGAIN: a rename raced with the walk. The other three: a kernel or sandbox without openat2.
      if (errno == EAGAIN || errno == EINTR) continue;
      if (errno == ENOSYS || errno == EPERM || errno == E2BIG) break;
      fail_open(errno);
    }
  }
  return open_by_components(directory, location);
}

// Linux drops the count of links before the name is gone, both under the directory's lock, which reading the
// directory takes too: once this returns, a name whose link was not counted is gone.
void wait_for_renames(int directory, const std::filesystem::path& location) {
  const std::filesystem::path parent = location.has_parent_path() ? location.parent_path() : ".";
  const Descriptor fd(::openat(directory, parent.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  alignas(8) char entries[1024];
  if (fd) ::syscall(SYS_getdents64, fd.get(), entries, sizeof entries);
}

// Whether the name that the file was opened by is gone. The count of links alone proves nothing: a second
// link may have been removed before they were counted. But a name that is still there now was there then.
bool has_lost_its_name(int fd) {
  std::error_code error;
  const std::string name =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error).native();
  return !error && name.ends_with(" (deleted)");
}

void check_location(const std::string& location) {
  require(!location.empty(), ErrorCode::invalid_model, "names no file");
  require(location.find('\0') == std::string::npos, ErrorCode::invalid_model,
          "the file's name holds a NUL byte");
  const std::filesystem::path path(location);
  require(!path.is_absolute(), ErrorCode::invalid_model,
          "an absolute path leads out of the model's directory");
  for (const auto& part : path) {
    require(part != "..", ErrorCode::invalid_model, "'..' in a path leads out of the model's directory");
  }
}

size_t read_number(const std::string& key, const std::string& text) {
  int64_t number = -1;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  require(error == std::errc() && stop == end && number >= 0, ErrorCode::invalid_model,
          "{} {} is not a number of bytes", key, quoted(text));
  return static_cast<size_t>(number);
}

}  // namespace

std::shared_ptr<const ReadableFile> ExternalFiles::open(const std::string& location) {
  if (itself_) {
    require(location == kThisFile, ErrorCode::invalid_model, "is not in the compiled file");
    return itself_;
  }
  check_location(location);
  if (const auto it = files_.find(location); it != files_.end()) return it->second;
  const Descriptor directory(open_retrying(directory_.c_str(), O_PATH | O_DIRECTORY));
  require(static_cast<bool>(directory), ErrorCode::io, "cannot open the directory {}: {}",
          display_name(directory_), std::strerror(errno));
  const Descriptor fd = open_beneath(directory.get(), location, use_openat2_);
  struct stat info;
  require(::fstat(fd.get(), &info) == 0, ErrorCode::io, "cannot read: {}", std::strerror(errno));
  require(S_ISREG(info.st_mode), ErrorCode::invalid_model, "is not a regular file");
  require(info.st_nlink == 1, ErrorCode::invalid_model,
          "has {} hard links, so that it may be a file of somewhere else", info.st_nlink);
  wait_for_renames(directory.get(), location);
  require(!has_lost_its_name(fd.get()), ErrorCode::io, "was replaced or deleted while it was being opened");
  auto file = ReadableFile::of(fd.get(), directory_ / location);
  if (const FileId id = FileId::of(info); std::ranges::find(opened_, id) == opened_.end())
    opened_.push_back(id);
  if (files_.size() < kMostKeptOpen) files_.emplace(location, file);
  return file;
}

ExternalFiles::Found ExternalFiles::find(const StringEntries& entries, size_t tensor_bytes) {
  const auto value_of = [&](std::string_view key) -> const std::string* {
    const std::string* found = nullptr;
    for (const auto& entry : entries) {
      if (entry.key() != key) continue;
      require(!found, ErrorCode::invalid_model, "external data has two entries {}", key);
      found = &entry.value();
    }
    return found;
  };
  const std::string* location = value_of("location");
  require(location != nullptr, ErrorCode::invalid_model, "external data without a location");
  require(itself_ || !directory_.empty(), ErrorCode::invalid_argument,
          "its data are in the file {}, and there is no directory to look for it", quoted(*location));

  const auto find = [&]() -> Found {
    const std::string* offset_text = value_of("offset");
    const std::string* length_text = value_of("length");
    const size_t offset = offset_text ? read_number("offset", *offset_text) : 0;
    const size_t length = length_text ? read_number("length", *length_text) : tensor_bytes;
    require(length == tensor_bytes, ErrorCode::invalid_model, "length is {} bytes, the tensor takes {}",
            length, tensor_bytes);
    const auto file = open(*location);
    require(offset <= file->size() && length <= file->size() - offset, ErrorCode::invalid_model,
            "bytes {} to {} are wanted, the file has {}", offset, checked_add(offset, length), file->size());
    return {{file, offset, length}, itself_ || files_.contains(*location)};
  };
  return with_context(find, [&] { return "external data " + quoted(*location); });
}

}  // namespace plica::onnx_format
