// The system calls of this directory's files: descriptors that close themselves, calls that are repeated when
// a signal interrupts them, and the one seam through which a test makes them fail.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string_view>
#include <utility>

namespace plica {

enum class FileCall { open, read, write, sync, link, rename };

// Asked before each call what becomes of it: 0, or the errno that it fails with. For read and write `size` is
// how many bytes are wanted and may be lowered (never to 0), as the system may do fewer. Only for tests;
// null: nothing.
using FileFault = int (*)(FileCall call, size_t& size);
inline std::atomic<FileFault> file_fault = nullptr;

// Whether the call is to fail; errno says how.
inline bool fails_on_purpose(FileCall call, size_t& size) {
  const FileFault fault = file_fault.load(std::memory_order_relaxed);
  if (fault == nullptr) [[likely]]
    return false;
  const int error = fault(call, size);
  if (error != 0) errno = error;
  return error != 0;
}
inline bool fails_on_purpose(FileCall call) {
  size_t unused = 0;
  return fails_on_purpose(call, unused);
}

// Calls f until no signal interrupts it: f() as a system call, -1 and errno.
template <class F>
auto retrying(F&& f) {
  decltype(f()) result;
  do {
    result = f();
  } while (result < 0 && errno == EINTR);
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

inline int open_retrying(const char* path, int flags, mode_t mode = 0) {
  return retrying(
      [&] { return fails_on_purpose(FileCall::open) ? -1 : ::open(path, flags | O_CLOEXEC, mode); });
}

// Throws io: "path: what: the system's words".
[[noreturn]] void fail_io(const std::filesystem::path& path, std::string_view what, int error);

}  // namespace plica
