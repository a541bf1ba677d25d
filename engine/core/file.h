// Files: reading by position or by mapping, and writing so that a reader sees the old file or the whole new
// one.
#pragma once

#include <cstddef>
#include <ctime>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace plica {

// A path for a message: as it is, or quoted with its control bytes escaped when it has any.
std::string display_name(const std::filesystem::path& path);

// A regular file that is kept open and read by position: no byte of it is touched before it is asked for, and
// a file that shrinks meanwhile is an error, where a mapping would end the process with SIGBUS. One that is
// replaced (as AtomicFile does) stays readable as it was. Reads are safe from several threads.
class ReadableFile {
 public:
  static std::shared_ptr<const ReadableFile> open(const std::filesystem::path& path);
  ~ReadableFile();
  ReadableFile(const ReadableFile&) = delete;
  ReadableFile& operator=(const ReadableFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  size_t size() const { return size_; }
  // Fills `out` from `offset` on, which must lie in the file. Throws io, also when the file was written to
  // since open().
  void read(size_t offset, std::span<std::byte> out) const;
  std::shared_ptr<const class MappedFile> map() const;

 private:
  explicit ReadableFile(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
  int fd_ = -1;
  size_t size_ = 0;
  timespec modified_{};
};

struct FileRange {
  std::shared_ptr<const ReadableFile> file;
  size_t offset = 0, size = 0;
  void read(std::span<std::byte> out) const { file->read(offset, out); }  // as many bytes as `size`
};

// A read-only mapping of a regular file (an empty file maps to an empty span). Throws io.
class MappedFile {
 public:
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  // Of an open descriptor, which stays the caller's; `name` is for messages.
  static std::shared_ptr<const MappedFile> map(int fd, const std::filesystem::path& name);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

// Writes to a temporary file beside `path`; commit() syncs and renames it into place, the destructor removes
// what was not committed. Throws io, naming the file. A symbolic link stays one: the file that it points to
// is replaced. A new file gets the mode that the umask leaves, a replaced one keeps its own; a file that may
// not be written is not replaced. What is no regular file (a pipe, /dev/stdout) is written directly.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(const FileRange& range);  // copied piece by piece
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  void commit();

 private:
  void create_temporary();
  void discard();

  std::filesystem::path path_, target_, temporary_;  // as given; links followed; empty when written directly
  int fd_ = -1;
};

void write_file(const std::filesystem::path& path, std::string_view contents);

}  // namespace plica
