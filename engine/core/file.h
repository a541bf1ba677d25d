// Files: reading by position or by mapping, and writing so that a reader sees the old file or the whole new
// one.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace plica {

// A path for a message: as it is, or quoted with its control bytes escaped when it has any.
std::string display_name(const std::filesystem::path& path);

// A file, whatever it is called.
struct FileId {
  dev_t device = 0;
  ino_t number = 0;
  static FileId of(const struct stat& info) { return {info.st_dev, info.st_ino}; }
  bool operator==(const FileId&) const = default;
};

// A regular file that is kept open and read by position: no byte of it is touched before it is asked for, and
// a file that shrinks meanwhile is an error, where a mapping would end the process with SIGBUS. One that is
// replaced (as AtomicFile does) stays readable as it was. Reads are safe from several threads.
class ReadableFile {
 public:
  static std::shared_ptr<const ReadableFile> open(const std::filesystem::path& path);
  // Of an open descriptor, which stays the caller's; `name` is for messages.
  static std::shared_ptr<const ReadableFile> of(int fd, const std::filesystem::path& name);
  ~ReadableFile();
  ReadableFile(const ReadableFile&) = delete;
  ReadableFile& operator=(const ReadableFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  size_t size() const { return size_; }
  const FileId& id() const { return id_; }
  // Fills `out` from `offset` on, which must lie in the file. Throws io, also when the file was written to
  // since open().
  void read(size_t offset, std::span<std::byte> out) const;
  // Pages that somebody writes to become copies of the process's own.
  std::shared_ptr<const class MappedFile> map() const;

 private:
  explicit ReadableFile(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
  int fd_ = -1;
  FileId id_;
  size_t size_ = 0;
  timespec modified_{};
};

// What is left to read of a pipe, a terminal or any other descriptor, which stays the caller's. Throws io,
// and limit for more than `most` bytes.
std::string read_to_end(int fd, const std::filesystem::path& name, size_t most);

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
  static std::shared_ptr<const MappedFile> map(int fd, const std::filesystem::path& name,
                                               bool copy_on_write = false);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

// Writes a file so that a reader, and whoever starts after the power failed, sees the old one or the whole
// new one. The destructor drops what was not committed. Throws io, naming the file. A symbolic link stays
// one: the file that it points to is replaced. A new file gets the mode that the umask leaves, a replaced one
// keeps its own; a file that may not be written is not replaced. What is no regular file (a pipe,
// /dev/stdout) is written directly.
//
// The new contents have no name (O_TMPFILE) until commit(), so that a process that is killed leaves nothing.
// Where the file system has no such files, and for the moment between linking and renaming, the name is
// ".NAME.plica-tmp0" (or 1, 2, ...) beside the target. A writer's file is locked for as long as the writer
// lives: one of that name that nobody has locked is of a dead process, and the next writer of NAME removes
// it.
//
// Thread safety: none; several objects of one path may commit in any order.
class AtomicFile {
 public:
  enum class At {
    any,     // replaces what is there
    unused,  // for commit_new(): no link is followed, nothing is replaced or written into
  };
  explicit AtomicFile(std::filesystem::path path, At at = At::any);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(const FileRange& range);  // copied piece by piece
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

  // Puts the file in its place, synced, and syncs the directory.
  void commit();
  // False when something has that name by now. The file stays locked until the destructor.
  bool commit_new();

  bool is_placed() const { return is_done_; }
  bool is_direct() const { return target_.empty(); }
  // The status of the file that commit() replaces.
  const std::optional<struct stat>& replaced() const { return replaced_; }
  void set_mode(mode_t mode);

 private:
  void create();
  bool create_unnamed();
  void name_temporary(const std::function<int(const char*)>& make);
  bool lock_new();
  void sync();
  bool place(bool replace);
  void discard();

  std::filesystem::path path_, target_, temporary_;  // as given; links followed; empty: it has no name
  std::optional<struct stat> replaced_;
  size_t size_ = 0;
  int fd_ = -1;
  bool is_done_ = false;
};

void write_file(const std::filesystem::path& path, std::string_view contents);

// Removes a regular file of this user's that has no other name and that no AtomicFile holds; says whether it
// did.
bool remove_unless_held(const std::filesystem::path& path);

}  // namespace plica
