#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "engine/core/file_calls.h"

namespace plica {
namespace {

namespace fs = std::filesystem;

constexpr int kNumberedTemporaries = 8;

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
  const ssize_t got = retrying([&] { return ::getrandom(noise, sizeof noise, 0); });
  require(got == static_cast<ssize_t>(sizeof noise), ErrorCode::io, "no random numbers: {}",
          std::strerror(errno));
  std::string out;
  for (unsigned char c : noise) out += kLetters[c % kLetters.size()];
  return out;
}

// The first few are numbered, so that what a dead process left is found without a search.
fs::path temporary_name(const fs::path& target, int attempt) {
  constexpr size_t kLongestStem = 200;  // a file name has at most 255 bytes
  const std::string stem = target.filename().native().substr(0, kLongestStem);
  const std::string suffix = attempt < kNumberedTemporaries ? std::to_string(attempt) : "-" + random_suffix();
  return directory_of(target) / ("." + stem + ".plica-tmp" + suffix);
}

std::string name_of_descriptor(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

// Gives an unnamed file a name. (linkat with AT_EMPTY_PATH wants privileges.)
int link_descriptor(int fd, const char* name) {
  return retrying([&] {
    if (fails_on_purpose(FileCall::link)) return -1;
    return ::linkat(AT_FDCWD, name_of_descriptor(fd).c_str(), AT_FDCWD, name, AT_SYMLINK_FOLLOW);
  });
}

int rename_over(const fs::path& from, const fs::path& to) {
  return retrying(
      [&] { return fails_on_purpose(FileCall::rename) ? -1 : ::rename(from.c_str(), to.c_str()); });
}

// EEXIST when there is something.
int rename_to_unused(const fs::path& from, const fs::path& to) {
  const int result = retrying([&] {
    if (fails_on_purpose(FileCall::rename)) return -1;
    return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
  });
  if (result == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  if (::link(from.c_str(), to.c_str()) != 0) return -1;  // a file system without that flag
  return ::unlink(from.c_str());
}

int sync_retrying(int fd) {
  return retrying([&] { return fails_on_purpose(FileCall::sync) ? -1 : ::fsync(fd); });
}

}  // namespace

AtomicFile::AtomicFile(fs::path path, At at) : path_(std::move(path)) {
  if (at == At::unused) {
    target_ = path_;
    create();
    return;
  }
  if (const auto fd = descriptor_of_name(path_)) {
    fd_ = ::fcntl(*fd, F_DUPFD_CLOEXEC, 0);
    if (fd_ < 0) fail_io(path_, "cannot write", errno);
    return;
  }
  struct stat info;
  const bool exists = ::stat(path_.c_str(), &info) == 0;
  if (exists && !S_ISREG(info.st_mode)) {
    fd_ = open_retrying(path_.c_str(), O_WRONLY | O_NOCTTY);
    if (fd_ < 0) fail_io(path_, "cannot write", errno);
    return;
  }
  target_ = follow_links(path_);
  if (exists) {
    replaced_ = info;
    if (::access(target_.c_str(), W_OK) != 0) fail_io(path_, "cannot write", errno);
  }
  create();
  if (exists) set_mode(info.st_mode & 0777);
}

void AtomicFile::create() {
  if (target_.filename().empty()) fail_io(path_, "cannot write", EISDIR);
  if (create_unnamed()) return;
  name_temporary([&](const char* name) {
    fd_ = open_retrying(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
    if (fd_ < 0) return -1;
    if (lock_new()) return 0;
    ::close(std::exchange(fd_, -1));
    errno = EEXIST;
    return -1;
  });
}

// False where there are no unnamed files, or none that could be linked later.
bool AtomicFile::create_unnamed() {
  fd_ = open_retrying(directory_of(target_).c_str(), O_WRONLY | O_TMPFILE, 0666);
  if (fd_ < 0) return false;
  struct stat by_name, here;
  if (::fstat(fd_, &here) == 0 && ::stat(name_of_descriptor(fd_).c_str(), &by_name) == 0 &&
      here.st_ino == by_name.st_ino && here.st_dev == by_name.st_dev) {
    ::flock(fd_, LOCK_EX | LOCK_NB);
    return true;
  }
  ::close(std::exchange(fd_, -1));  // no /proc
  return false;
}

// False when another process took the new file for an abandoned one in the meantime. A file system without
// locks has nothing removed from it.
bool AtomicFile::lock_new() {
  struct stat info;
  return (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) && ::fstat(fd_, &info) == 0 &&
         info.st_nlink > 0;
}

void AtomicFile::name_temporary(const std::function<int(const char*)>& make) {
  constexpr int kMostAttempts = 100;
  for (int attempt = 0;; ++attempt) {
    const fs::path name = temporary_name(target_, attempt);
    const auto is_taken = [&] {
      if (make(name.c_str()) == 0) return false;
      if (errno != EEXIST) fail_io(path_, "cannot write", errno);
      return true;
    };
    if (!is_taken() || (attempt < kNumberedTemporaries && remove_unless_held(name) && !is_taken())) {
      temporary_ = name;
      return;
    }
    if (attempt == kMostAttempts) fail_io(path_, "cannot write", EEXIST);
  }
}

void AtomicFile::set_mode(mode_t mode) {
  if (::fchmod(fd_, mode) == 0) return;
  const int error = errno;
  discard();  // as from a constructor
  fail_io(path_, "cannot set the mode", error);
}

void AtomicFile::discard() {
  // While it is locked, so that the name is no other writer's.
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::write(std::span<const std::byte> bytes) {
  require(fd_ >= 0 && !is_done_, ErrorCode::internal, "writing to a file after commit()");
  constexpr size_t kMostAtOnce = size_t{1} << 30;  // Linux writes less than 2 GiB a call
  size_ += bytes.size();
  while (!bytes.empty()) {
    size_t wanted = std::min(bytes.size(), kMostAtOnce);
    const ssize_t written = retrying([&] {
      return fails_on_purpose(FileCall::write, wanted) ? ssize_t{-1} : ::write(fd_, bytes.data(), wanted);
    });
    if (written < 0) fail_io(path_, "cannot write", errno);
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

void AtomicFile::sync() {
  if (sync_retrying(fd_) != 0) fail_io(path_, "cannot write", errno);
}

bool AtomicFile::place(bool replace) {
  require(fd_ >= 0 && !is_done_, ErrorCode::internal, "commit() of a file twice");
  if (temporary_.empty()) {
    // Most of the time that a large file takes passes while it has no name.
    constexpr size_t kLarge = size_t{1} << 20;
    if (size_ >= kLarge) sync();
    name_temporary([&](const char* name) { return link_descriptor(fd_, name); });
  }
  sync();
  const int result = replace ? rename_over(temporary_, target_) : rename_to_unused(temporary_, target_);
  if (result != 0 && !replace && errno == EEXIST) return false;
  if (result != 0) fail_io(path_, replace ? "cannot replace" : "cannot write", errno);
  is_done_ = true;
  temporary_.clear();
  for (int i = 0; i < kNumberedTemporaries; ++i) remove_unless_held(temporary_name(target_, i));
  // The new name is on the disk when the directory is; some file systems can't sync one (EINVAL).
  const Descriptor directory(open_retrying(directory_of(target_).c_str(), O_RDONLY | O_DIRECTORY));
  if (directory && sync_retrying(directory.get()) != 0 && errno != EINVAL)
    fail_io(path_, "cannot sync its directory", errno);
  return true;
}

void AtomicFile::commit() {
  if (is_direct()) {  // pipes and terminals cannot be synced
    require(fd_ >= 0, ErrorCode::internal, "commit() of a file twice");
    if (::close(std::exchange(fd_, -1)) != 0) fail_io(path_, "cannot write", errno);
    is_done_ = true;
    return;
  }
  place(true);
}

bool AtomicFile::commit_new() { return place(false); }

void write_file(const fs::path& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

bool remove_unless_held(const fs::path& path) {
  // Not blocking: it may be anything.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat info, named;
  return file && ::fstat(file.get(), &info) == 0 && S_ISREG(info.st_mode) && info.st_nlink == 1 &&
         info.st_uid == ::geteuid() && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0 &&
         ::lstat(path.c_str(), &named) == 0 && named.st_ino == info.st_ino && named.st_dev == info.st_dev &&
         ::unlink(path.c_str()) == 0;
}

}  // namespace plica
