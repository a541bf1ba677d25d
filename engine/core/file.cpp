#include "engine/core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "engine/core/fail.h"

namespace plica {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_io(const fs::path& path, std::string_view what, int error) {
  fail(ErrorCode::io, "{}: {}: {}", display_name(path), what, std::strerror(error));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

int open_retrying(const char* path, int flags, mode_t mode = 0) {
  int fd;
  do {
    fd = ::open(path, flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

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

// The descriptor that a name such as /dev/stdout or /dev/fd/5 stands for. Opening the name instead would give
// a new file position, so that `plica ... >> log` wrote over the start of log.
std::optional<int> descriptor_of_name(const fs::path& path) {
  const std::string& name = path.native();
  if (name == "/dev/stdout") return STDOUT_FILENO;
  if (name == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view prefix : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!name.starts_with(prefix)) continue;
    int fd = -1;
    const char* end = name.data() + name.size();
    if (auto [p, error] = std::from_chars(name.data() + prefix.size(), end, fd);
        error == std::errc() && p == end) {
      return fd;
    }
  }
  return std::nullopt;
}

// Where the chain of symbolic links that starts at `path` ends; that file need not exist.
fs::path follow_links(const fs::path& path) {
  constexpr int kMostLinks = 40;  // as Linux
  fs::path at = path;
  std::error_code error;
  for (int i = 0; i < kMostLinks; ++i) {
    if (!fs::is_symlink(fs::symlink_status(at, error))) return at;
    const fs::path next = fs::read_symlink(at, error);
    if (error) fail_io(path, "cannot read the symbolic link", error.value());
    at = next.is_absolute() ? next : at.parent_path() / next;
  }
  fail_io(path, "cannot write", ELOOP);
}

fs::path directory_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

std::string random_suffix() {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  unsigned char noise[12];
  ssize_t got;
  do {
    got = ::getrandom(noise, sizeof noise, 0);
  } while (got < 0 && errno == EINTR);
  require(got == static_cast<ssize_t>(sizeof noise), ErrorCode::io, "no random numbers: {}",
          std::strerror(errno));
  std::string out;
  for (unsigned char c : noise) out += kLetters[c % kLetters.size()];
  return out;
}

}  // namespace

std::string display_name(const fs::path& path) {
  const std::string safe = escaped(path.native());
  return safe == path.native() ? safe : "'" + safe + "'";
}

// ---- ReadableFile

std::shared_ptr<const ReadableFile> ReadableFile::open(const fs::path& path) {
  const std::shared_ptr<ReadableFile> file(new ReadableFile(path));
  file->fd_ = open_for_reading(path);
  const struct stat info = status_of_regular_file(file->fd_, path);
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
    const ssize_t got =
        ::pread(fd_, out.data(), std::min(out.size(), kMostAtOnce), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
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

std::shared_ptr<const MappedFile> ReadableFile::map() const { return MappedFile::map(fd_, path_); }

// ---- MappedFile

std::shared_ptr<const MappedFile> MappedFile::open(const fs::path& path) {
  const Descriptor fd(open_for_reading(path));
  return map(fd.get(), path);
}

std::shared_ptr<const MappedFile> MappedFile::map(int fd, const fs::path& name) {
  const auto size = static_cast<size_t>(status_of_regular_file(fd, name).st_size);
  if (size == 0) return std::shared_ptr<const MappedFile>(new MappedFile({}));
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) fail_io(name, "cannot map", errno);
  return std::shared_ptr<const MappedFile>(new MappedFile({static_cast<const std::byte*>(address), size}));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

// ---- AtomicFile

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  if (const auto fd = descriptor_of_name(path_)) {
    fd_ = ::fcntl(*fd, F_DUPFD_CLOEXEC, 0);
    if (fd_ < 0) fail_io(path_, "cannot write", errno);
    return;
  }
  struct stat info;
  if (::stat(path_.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    fd_ = open_retrying(path_.c_str(), O_WRONLY | O_NOCTTY);
    if (fd_ < 0) fail_io(path_, "cannot write", errno);
    return;
  }
  create_temporary();
}

void AtomicFile::create_temporary() {
  target_ = follow_links(path_);
  struct stat old;
  const bool replaces = ::stat(target_.c_str(), &old) == 0;
  if (replaces && ::access(target_.c_str(), W_OK) != 0) fail_io(path_, "cannot write", errno);
  if (target_.filename().empty()) fail_io(path_, "cannot write", EISDIR);

  constexpr size_t kLongestStem = 200;  // a file name has at most 255 bytes
  const std::string stem = target_.filename().native().substr(0, kLongestStem);
  for (int attempt = 0; fd_ < 0; ++attempt) {
    temporary_ = directory_of(target_) / ("." + stem + "." + random_suffix());
    fd_ = open_retrying(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
    if (fd_ < 0 && (errno != EEXIST || attempt == 100)) {
      temporary_.clear();
      fail_io(path_, "cannot write", errno);
    }
  }
  if (replaces && ::fchmod(fd_, old.st_mode & 0777) != 0) {
    const int error = errno;
    discard();
    fail_io(path_, "cannot set the mode", error);
  }
}

void AtomicFile::discard() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::write(std::span<const std::byte> bytes) {
  require(fd_ >= 0, ErrorCode::internal, "writing to a file after commit()");
  constexpr size_t kMostAtOnce = size_t{1} << 30;  // Linux writes less than 2 GiB a call
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), std::min(bytes.size(), kMostAtOnce));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_io(path_, "cannot write", errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AtomicFile::write(const FileRange& range) {
  constexpr size_t kPiece = size_t{256} << 10;  // stays in the cache between its read and its write
  std::vector<std::byte> piece(std::min(range.size, kPiece));
  for (size_t done = 0; done < range.size; done += piece.size()) {
    piece.resize(std::min(piece.size(), range.size - done));
    range.file->read(range.offset + done, piece);
    write(piece);
  }
}

void AtomicFile::commit() {
  require(fd_ >= 0, ErrorCode::internal, "commit() of a file twice");
  if (temporary_.empty()) {  // written directly; pipes and terminals cannot be synced
    if (::close(std::exchange(fd_, -1)) != 0) fail_io(path_, "cannot write", errno);
    return;
  }
  if (::fsync(fd_) != 0) fail_io(path_, "cannot write", errno);
  if (::close(std::exchange(fd_, -1)) != 0) fail_io(path_, "cannot write", errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_io(path_, "cannot replace", errno);
  temporary_.clear();
  // The new name is on the disk when the directory is; some file systems can't sync one (EINVAL).
  const Descriptor directory(open_retrying(directory_of(target_).c_str(), O_RDONLY | O_DIRECTORY));
  if (directory.get() >= 0 && ::fsync(directory.get()) != 0 && errno != EINVAL) {
    fail_io(path_, "cannot sync its directory", errno);
  }
}

void write_file(const fs::path& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

}  // namespace plica
