#include "engine/core/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/core/fail.h"
#include "engine/core/file_calls.h"
#include "engine/core/limits.h"

namespace plica {
namespace {

namespace fs = std::filesystem;

int open_for_reading(const fs::path& path) {
  // Not blocking: a pipe without a writer is refused later instead of waited for.
  const int fd = open_retrying(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) fail_io(path, "cannot open", errno);
  return fd;
}

struct stat status_of_regular_file(int fd, const fs::path& name) {
  struct stat info;
  if (::fstat(fd, &info) != 0) fail_io(name, "cannot read", errno);
  if (S_ISDIR(info.st_mode)) fail_io(name, "cannot read", EISDIR);
  require(S_ISREG(info.st_mode), ErrorCode::io, "{}: is not a regular file", display_name(name));
  return info;
}

}  // namespace

void fail_io(const fs::path& path, std::string_view what, int error) {
  fail(ErrorCode::io, "{}: {}: {}", display_name(path), what, std::strerror(error));
}

std::string display_name(const fs::path& path) {
  const std::string safe = escaped(path.native());
  return safe == path.native() ? safe : "'" + safe + "'";
}

// ---- ReadableFile

std::shared_ptr<const ReadableFile> ReadableFile::open(const fs::path& path) {
  const Descriptor fd(open_for_reading(path));
  return of(fd.get(), path);
}

std::shared_ptr<const ReadableFile> ReadableFile::of(int fd, const fs::path& name) {
  const std::shared_ptr<ReadableFile> file(new ReadableFile(name));
  const struct stat info = status_of_regular_file(fd, name);
  file->fd_ = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (file->fd_ < 0) fail_io(name, "cannot open", errno);
  file->id_ = FileId::of(info);
  file->size_ = static_cast<size_t>(info.st_size);
  file->modified_ = info.st_mtim;
  return file;
}

ReadableFile::~ReadableFile() {
  if (fd_ >= 0) ::close(fd_);
}

void ReadableFile::read(size_t offset, std::span<std::byte> out) const {
  require(offset <= size_ && out.size() <= size_ - offset, ErrorCode::internal,
          "{}: {} bytes are read at {} of {}", display_name(path_), out.size(), offset, size_);
  constexpr size_t kMostAtOnce = size_t{1} << 30;  // Linux reads less than 2 GiB a call
  bool ended = false;
  while (!out.empty() && !ended) {
    size_t wanted = std::min(out.size(), kMostAtOnce);
    const ssize_t got = retrying([&] {
      return fails_on_purpose(FileCall::read, wanted)
                 ? ssize_t{-1}
                 : ::pread(fd_, out.data(), wanted, static_cast<off_t>(offset));
    });
    if (got < 0) fail_io(path_, "cannot read", errno);
    ended = got == 0;
    offset += static_cast<size_t>(got);
    out = out.subspan(static_cast<size_t>(got));
  }
  struct stat info;
  if (::fstat(fd_, &info) != 0) fail_io(path_, "cannot read", errno);
  const bool is_as_opened = static_cast<size_t>(info.st_size) == size_ &&
                            info.st_mtim.tv_sec == modified_.tv_sec &&
                            info.st_mtim.tv_nsec == modified_.tv_nsec;
  require(!ended && is_as_opened, ErrorCode::io, "{}: was written to while it was being read",
          display_name(path_));
}

std::shared_ptr<const MappedFile> ReadableFile::map() const { return MappedFile::map(fd_, path_, true); }

std::string read_to_end(int fd, const fs::path& name, size_t most) {
  constexpr size_t kFirst = size_t{256} << 10, kLeastRoom = size_t{64} << 10;
  std::string contents;
  size_t size = 0;
  for (;;) {
    if (contents.size() - size < kLeastRoom) {
      const size_t room = std::max(2 * contents.size(), kFirst);
      check_machine_memory(room);
      contents.resize(room);
    }
    size_t wanted = contents.size() - size;
    const ssize_t got = retrying([&] {
      return fails_on_purpose(FileCall::read, wanted) ? ssize_t{-1}
                                                      : ::read(fd, contents.data() + size, wanted);
    });
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      struct pollfd ready = {.fd = fd, .events = POLLIN, .revents = 0};
      if (retrying([&] { return ::poll(&ready, 1, -1); }) < 0) fail_io(name, "cannot read", errno);
      continue;
    }
    if (got < 0) fail_io(name, "cannot read", errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
    require(size <= most, ErrorCode::limit, "{}: gives more than {} bytes", display_name(name), most);
    check_limits();
  }
  contents.resize(size);
  return contents;
}

// ---- MappedFile

std::shared_ptr<const MappedFile> MappedFile::open(const fs::path& path) {
  const Descriptor fd(open_for_reading(path));
  return map(fd.get(), path);
}

std::shared_ptr<const MappedFile> MappedFile::map(int fd, const fs::path& name, bool copy_on_write) {
  const auto size = static_cast<size_t>(status_of_regular_file(fd, name).st_size);
  if (size == 0) return std::shared_ptr<const MappedFile>(new MappedFile({}));
  const int access = copy_on_write ? PROT_READ | PROT_WRITE : PROT_READ;
  void* address = ::mmap(nullptr, size, access, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
  if (address == MAP_FAILED) fail_io(name, "cannot map", errno);
  return std::shared_ptr<const MappedFile>(new MappedFile({static_cast<const std::byte*>(address), size}));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace plica
