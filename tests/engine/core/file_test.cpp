#include "engine/core/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "engine/core/error.h"

namespace plica {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  FileTest() {
    std::string name = (fs::temp_directory_path() / "plica-file-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  ~FileTest() override { fs::remove_all(dir_); }

  static std::string read(const fs::path& path) {
    std::stringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
  }
  std::set<std::string> names() const {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(dir_)) out.insert(entry.path().filename());
    return out;
  }
  template <class F>
  static Error error_of(F&& f) {
    try {
      f();
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "nothing was thrown";
    return {ErrorCode::internal, ""};
  }
  void expect_io_error_naming(const fs::path& path, const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_TRUE(error.message().starts_with(path.string() + ": ")) << error.message();
    EXPECT_EQ(error.message().find('\n'), std::string::npos);
  }

  fs::path dir_;
};

TEST_F(FileTest, WritesAndMaps) {
  const fs::path path = dir_ / "a";
  const std::string contents("one\0two", 7);
  write_file(path, contents);
  EXPECT_EQ(read(path), contents);
  const auto file = MappedFile::open(path);
  ASSERT_EQ(file->bytes().size(), contents.size());
  EXPECT_EQ(std::memcmp(file->bytes().data(), contents.data(), contents.size()), 0);
  EXPECT_EQ(names(), std::set<std::string>{"a"});
  write_file(dir_ / "empty", "");
  EXPECT_TRUE(MappedFile::open(dir_ / "empty")->bytes().empty());
}

TEST_F(FileTest, OldContentsUntilCommit) {
  const fs::path path = dir_ / "a";
  write_file(path, "old");
  {
    AtomicFile file(path);
    file.write("new");
    EXPECT_EQ(read(path), "old");
    EXPECT_LE(names().size(), 2u);  // the new one has no name where the file system can do that
  }  // not committed
  EXPECT_EQ(read(path), "old");
  EXPECT_EQ(names(), std::set<std::string>{"a"});
  AtomicFile file(path);
  file.write("ne");
  file.write("w");
  file.commit();
  EXPECT_EQ(read(path), "new");
  EXPECT_EQ(names(), std::set<std::string>{"a"});
}

TEST_F(FileTest, WhatIsMappedStaysAsItWas) {
  const fs::path path = dir_ / "a";
  write_file(path, std::string(10000, 'x'));
  const auto before = MappedFile::open(path);
  write_file(path, "y");
  EXPECT_EQ(before->bytes().size(), 10000u);
  EXPECT_EQ(before->bytes()[9999], std::byte{'x'});
  EXPECT_EQ(read(path), "y");
}

TEST_F(FileTest, Modes) {
  const mode_t old = ::umask(027);
  write_file(dir_ / "new", "x");
  ::umask(old);
  struct stat info;
  ASSERT_EQ(::stat((dir_ / "new").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  ASSERT_EQ(::chmod((dir_ / "new").c_str(), 0604), 0);
  write_file(dir_ / "new", "y");
  ASSERT_EQ(::stat((dir_ / "new").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0604u);
}

TEST_F(FileTest, WritesThroughLinks) {
  fs::create_directory(dir_ / "sub");
  write_file(dir_ / "sub" / "file", "old");
  fs::create_symlink("sub/file", dir_ / "one");
  fs::create_symlink("one", dir_ / "two");
  write_file(dir_ / "two", "new");
  EXPECT_EQ(read(dir_ / "sub" / "file"), "new");
  EXPECT_TRUE(fs::is_symlink(dir_ / "one") && fs::is_symlink(dir_ / "two"));
  fs::create_symlink("sub/other", dir_ / "dangling");
  write_file(dir_ / "dangling", "made");
  EXPECT_EQ(read(dir_ / "sub" / "other"), "made");
  fs::create_symlink("loop", dir_ / "loop");
  expect_io_error_naming(dir_ / "loop", error_of([&] { write_file(dir_ / "loop", "x"); }));
}

TEST_F(FileTest, FailuresNameTheFileAndLeaveNothing) {
  expect_io_error_naming(dir_ / "no" / "a", error_of([&] { write_file(dir_ / "no" / "a", "x"); }));
  expect_io_error_naming(dir_, error_of([&] { write_file(dir_, "x"); }));
  expect_io_error_naming(dir_ / "none", error_of([&] { MappedFile::open(dir_ / "none"); }));
  expect_io_error_naming(dir_, error_of([&] { MappedFile::open(dir_); }));
  ASSERT_EQ(::mkfifo((dir_ / "fifo").c_str(), 0600), 0);
  expect_io_error_naming(dir_ / "fifo",
                         error_of([&] { MappedFile::open(dir_ / "fifo"); }));  // and does not hang
  EXPECT_EQ(names(), std::set<std::string>{"fifo"});
}

TEST_F(FileTest, ReadOnlyFilesAreNotReplaced) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everything";
  write_file(dir_ / "a", "old");
  ASSERT_EQ(::chmod((dir_ / "a").c_str(), 0444), 0);
  expect_io_error_naming(dir_ / "a", error_of([&] { write_file(dir_ / "a", "x"); }));
  ASSERT_EQ(::chmod(dir_.c_str(), 0555), 0);
  expect_io_error_naming(dir_ / "b", error_of([&] { write_file(dir_ / "b", "x"); }));
  ASSERT_EQ(::chmod(dir_.c_str(), 0755), 0);
  EXPECT_EQ(names(), std::set<std::string>{"a"});
}

// No space: a limit on the size of files fails the same way as a full disk, after a short write.
TEST_F(FileTest, NoSpace) {
  const fs::path path = dir_ / "a";
  write_file(path, "old");
  struct rlimit old_limit;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit = old_limit;
  limit.rlim_cur = 100'000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const Error error = error_of([&] { write_file(path, std::string(300'000, 'x')); });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::signal(SIGXFSZ, old_handler);
  expect_io_error_naming(path, error);
  EXPECT_EQ(read(path), "old");
  EXPECT_EQ(names(), std::set<std::string>{"a"});
  expect_io_error_naming("/dev/full", error_of([&] { write_file("/dev/full", "x"); }));
}

TEST_F(FileTest, PipesAreWrittenDirectly) {
  const fs::path path = dir_ / "fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = read(path); });
  const std::string contents(200'000, 'x');  // more than a pipe holds
  write_file(path, contents);
  reader.join();
  EXPECT_EQ(got, contents);
  EXPECT_TRUE(fs::is_fifo(path));
}

TEST_F(FileTest, DescriptorsByNameKeepTheirPosition) {
  const int fd = ::open((dir_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::write(fd, "before ", 7), 7);
  write_file("/dev/fd/" + std::to_string(fd), "after");
  EXPECT_EQ(read(dir_ / "log"), "before after");
  EXPECT_EQ(::write(fd, "!", 1), 1);  // it is still open
  ::close(fd);
  EXPECT_EQ(error_of([&] { write_file("/dev/fd/" + std::to_string(fd), "x"); }).code(), ErrorCode::io);
}

TEST_F(FileTest, LongAndOddNames) {
  const fs::path path = dir_ / std::string(255, 'n');
  write_file(path, "x");
  EXPECT_EQ(read(path), "x");
  EXPECT_EQ(display_name("plain name"), "plain name");
  EXPECT_EQ(display_name(path), path.string());
  EXPECT_EQ(display_name("line\nbreak"), "'line\\x0abreak'");
}

TEST_F(FileTest, ReadsByPosition) {
  const fs::path path = dir_ / "f";
  write_file(path, "0123456789");
  const auto file = ReadableFile::open(path);
  EXPECT_EQ(file->size(), 10u);
  std::string out(4, ' ');
  file->read(3, std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(out, "3456");
  file->read(10, {});
  EXPECT_EQ(error_of([&] { file->read(7, std::as_writable_bytes(std::span(out))); }).code(),
            ErrorCode::internal);
  EXPECT_EQ(file->map()->bytes().size(), 10u);

  write_file(path, "replaced");
  file->read(0, std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(out, "0123");
}

TEST_F(FileTest, ReadingAFileThatIsWrittenToFails) {
  const fs::path path = dir_ / "f";
  std::string out(4, ' ');
  const auto read_after = [&](auto&& change) {
    write_file(path, "0123456789");
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(1));
    const auto file = ReadableFile::open(path);
    change();
    return error_of([&] { file->read(6, std::as_writable_bytes(std::span(out))); });
  };
  expect_io_error_naming(path, read_after([&] { fs::resize_file(path, 7); }));
  expect_io_error_naming(path, read_after([&] { fs::resize_file(path, 1000); }));
  expect_io_error_naming(path, read_after([&] { std::fstream(path, std::ios::in | std::ios::out) << "x"; }));
}

TEST_F(FileTest, ReadableFilesAreRegular) {
  for (const fs::path& path : {dir_, dir_ / "missing", fs::path("/dev/null")})
    expect_io_error_naming(path, error_of([&] { ReadableFile::open(path); }));
}

TEST_F(FileTest, WritesRangesOfOtherFiles) {
  std::string bytes(size_t{1} << 20, ' ');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i >> 7);
  write_file(dir_ / "from", bytes);
  const auto from = ReadableFile::open(dir_ / "from");
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{256} << 10, (size_t{256} << 10) + 1, size_t{1000000}}) {
    AtomicFile to(dir_ / "to");
    to.write("<");
    to.write(FileRange{from, 33, size});
    to.write(">");
    to.commit();
    EXPECT_TRUE(read(dir_ / "to") == "<" + bytes.substr(33, size) + ">") << size;
  }
}

}  // namespace
}  // namespace plica
