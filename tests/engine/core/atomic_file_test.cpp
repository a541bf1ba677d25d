// AtomicFile when something goes wrong: each system call in turn, processes that die, other writers, and what
// others have put in the way.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "engine/core/error.h"
#include "engine/core/file.h"
#include "engine/core/file_calls.h"

namespace plica {
namespace {

namespace fs = std::filesystem;

// The n-th call of a kind (0: none) fails with an errno; reads and writes do less than they were asked.
struct Plan {
  bool named = false;  // there are no unnamed files
  FileCall call = FileCall::open;
  int n = 0, error = 0;
  size_t most = 0;  // bytes a call; 0: all
};
Plan plan;
int calls_seen = 0, opens_seen = 0;

int follow_plan(FileCall call, size_t& size) {
  if (plan.most != 0 && (call == FileCall::read || call == FileCall::write)) size = std::min(size, plan.most);
  // The first file that is opened is the unnamed one.
  if (plan.named && call == FileCall::open && ++opens_seen == 1) return EOPNOTSUPP;
  if (plan.n == 0 || call != plan.call) return 0;
  ++calls_seen;
  return calls_seen == plan.n ? plan.error : 0;
}

class AtomicFileTest : public testing::Test {
 protected:
  AtomicFileTest() {
    std::string name = (fs::temp_directory_path() / "plica-atomic-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  ~AtomicFileTest() override {
    file_fault = nullptr;
    fs::remove_all(dir_);
  }

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
  static void inject(const Plan& what) {
    plan = what;
    calls_seen = opens_seen = 0;
    file_fault = follow_plan;
  }
  // The message of the Error(io) that writing with these faults ends in; empty: it succeeded.
  std::string fails(const Plan& what, const fs::path& path, std::string_view contents) {
    inject(what);
    std::string message;
    try {
      write_file(path, contents);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::io);
      message = error.message();
    }
    file_fault = nullptr;
    return message;
  }
  // Runs `body` in a child, which is killed when it returns.
  template <class F>
  static void die_after(F&& body) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      body();
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  }

  fs::path dir_;
};

// Every call once, with every errno that it may give: the old file is whole and nothing lies about, or the
// new one is there. EINTR and short writes are no errors.
TEST_F(AtomicFileTest, EveryCallMayFail) {
  const std::string old(3000, 'o'), contents(5'000'000, 'n');  // large: synced twice
  int failures = 0;
  for (const bool named : {false, true}) {
    for (const FileCall call :
         {FileCall::open, FileCall::write, FileCall::sync, FileCall::link, FileCall::rename}) {
      for (const int error : {ENOSPC, EIO, EDQUOT, EINTR, EROFS}) {
        for (int n = 1; n <= 4; ++n) {
          SCOPED_TRACE(testing::Message()
                       << "call " << static_cast<int>(call) << " number " << n << " fails with "
                       << std::strerror(error) << (named ? ", named" : ""));
          const fs::path path = dir_ / "out";
          write_file(path, old);
          const std::string message = fails(
              {.named = named, .call = call, .n = n, .error = error, .most = 2'000'000}, path, contents);
          if (message.empty()) {
            EXPECT_EQ(read(path), contents);
          } else {
            ++failures;
            EXPECT_NE(error, EINTR);
            EXPECT_TRUE(message.starts_with(path.string() + ": ")) << message;
            EXPECT_NE(message.find(std::strerror(error)), std::string::npos) << message;
            // After the rename only the directory's sync can fail, and then the new file is there.
            const std::string now = read(path);
            EXPECT_TRUE(now == old || (call == FileCall::sync && now == contents));
          }
          EXPECT_EQ(names(), std::set<std::string>{"out"});
        }
      }
    }
  }
  EXPECT_GT(failures, 30);
}

// Where unnamed files can't be made (EOPNOTSUPP), the same by a temporary name.
TEST_F(AtomicFileTest, WithoutUnnamedFiles) {
  const fs::path path = dir_ / "out";
  inject({.named = true});
  {
    AtomicFile file(path);
    file.write("one");
    EXPECT_EQ(names(), std::set<std::string>{".out.plica-tmp0"});
    {
      inject({.named = true});
      AtomicFile other(path);  // beside a living writer
      other.write("two");
      EXPECT_EQ(names(), (std::set<std::string>{".out.plica-tmp0", ".out.plica-tmp1"}));
    }
    EXPECT_EQ(names(), std::set<std::string>{".out.plica-tmp0"});
    file.commit();
  }
  EXPECT_EQ(read(path), "one");
  EXPECT_EQ(names(), std::set<std::string>{"out"});
  inject({.named = true});
  AtomicFile fresh(dir_ / "fresh", AtomicFile::At::unused);
  fresh.write("three");
  EXPECT_TRUE(fresh.commit_new());
  EXPECT_EQ(read(dir_ / "fresh"), "three");
}

TEST_F(AtomicFileTest, WhatDeadProcessesLeaveIsRemoved) {
  const fs::path path = dir_ / "out";
  write_file(path, "old");
  die_after([&] {
    inject({.named = true});
    static AtomicFile file(path);
    file.write("half");
  });
  EXPECT_EQ(names(), (std::set<std::string>{".out.plica-tmp0", "out"}));
  EXPECT_EQ(read(path), "old");
  // Not what others have locked, have under another name too, or that is no file.
  write_file(dir_ / ".out.plica-tmp1", "held");
  const int held = ::open((dir_ / ".out.plica-tmp1").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(::flock(held, LOCK_EX), 0);
  write_file(dir_ / "precious", "kept");
  fs::create_hard_link(dir_ / "precious", dir_ / ".out.plica-tmp2");
  fs::create_symlink("precious", dir_ / ".out.plica-tmp3");
  fs::create_directory(dir_ / ".out.plica-tmp4");
  ASSERT_EQ(::mkfifo((dir_ / ".out.plica-tmp5").c_str(), 0600), 0);
  write_file(path, "new");
  EXPECT_EQ(read(path), "new");
  EXPECT_EQ(names(), (std::set<std::string>{".out.plica-tmp1", ".out.plica-tmp2", ".out.plica-tmp3",
                                            ".out.plica-tmp4", ".out.plica-tmp5", "out", "precious"}));
  EXPECT_EQ(read(dir_ / "precious"), "kept");
  ::close(held);
}

TEST_F(AtomicFileTest, KilledBeforeCommitItLeavesNothing) {
  write_file(dir_ / "out", "old");
  {
    AtomicFile probe(dir_ / "out");
    if (names().size() != 1) GTEST_SKIP() << "no unnamed files on this file system";
  }
  die_after([&] {
    static AtomicFile file(dir_ / "out");
    file.write(std::string(100'000, 'x'));
  });
  EXPECT_EQ(names(), std::set<std::string>{"out"});
  EXPECT_EQ(read(dir_ / "out"), "old");
}

TEST_F(AtomicFileTest, WhereNothingIsYet) {
  const fs::path path = dir_ / "out";
  const auto refused = [&] {
    AtomicFile file(path, AtomicFile::At::unused);
    file.write("new");
    return !file.commit_new();
  };
  write_file(dir_ / "secret", "kept");
  fs::create_symlink("secret", path);
  EXPECT_TRUE(refused());
  EXPECT_TRUE(fs::is_symlink(path));
  fs::remove(path);
  fs::create_symlink("missing", path);
  EXPECT_TRUE(refused());
  fs::remove(path);
  fs::create_hard_link(dir_ / "secret", path);
  EXPECT_TRUE(refused());
  fs::remove(path);
  fs::create_directory(path);
  EXPECT_TRUE(refused());
  fs::remove(path);
  EXPECT_EQ(read(dir_ / "secret"), "kept");
  EXPECT_EQ(names(), std::set<std::string>{"secret"});
  EXPECT_FALSE(refused());
  EXPECT_EQ(read(path), "new");
}

// Two threads commit to one name, another reads: always one of the two, whole.
TEST_F(AtomicFileTest, WritersOfOneName) {
  const fs::path path = dir_ / "out";
  const std::string a(20'000, 'a'), b(10'000, 'b');
  write_file(path, a);
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      const std::string got = read(path);
      EXPECT_TRUE(got == a || got == b) << got.size();
    }
  });
  std::thread one([&] {
    for (int i = 0; i < 50; ++i) write_file(path, a);
  });
  for (int i = 0; i < 50; ++i) write_file(path, b);
  one.join();
  done = true;
  reader.join();
  write_file(path, a);
  EXPECT_EQ(names(), std::set<std::string>{"out"});
}

// A disk of 64 KiB.
TEST_F(AtomicFileTest, FullDisk) {
  const fs::path disk = dir_ / "disk";
  fs::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k") != 0)
    GTEST_SKIP() << "no disk can be mounted here: " << std::strerror(errno);
  write_file(disk / "out", "old");
  const std::string message = fails({}, disk / "out", std::string(200'000, 'x'));
  EXPECT_EQ(message, (disk / "out").string() + ": cannot write: No space left on device");
  EXPECT_EQ(read(disk / "out"), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(disk), fs::directory_iterator()), 1);
  EXPECT_EQ(fails({}, disk / "out", std::string(20'000, 'x')), "");  // the space is free again
  EXPECT_EQ(::umount(disk.c_str()), 0);
}

TEST_F(AtomicFileTest, ReadsMayFailAndBeShort) {
  const fs::path path = dir_ / "in";
  std::string contents(100'000, ' ');
  for (size_t i = 0; i < contents.size(); ++i) contents[i] = static_cast<char>(i * 7 >> 3);
  write_file(path, contents);
  const auto file = ReadableFile::open(path);
  std::string out(contents.size(), ' ');
  const std::span<std::byte> bytes = std::as_writable_bytes(std::span(out));
  inject({.call = FileCall::read, .n = 2, .error = EINTR, .most = 4099});
  file->read(0, bytes);
  EXPECT_EQ(out, contents);
  inject({.call = FileCall::read, .n = 3, .error = EIO, .most = 4099});
  try {
    file->read(0, bytes);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_EQ(error.message(), path.string() + ": cannot read: Input/output error");
  }
}

TEST_F(AtomicFileTest, ReadsPipesToTheirEnd) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  ASSERT_EQ(::fcntl(ends[1], F_SETFL, 0), 0);  // only reading does not block
  const std::string contents(1'000'000, 'p');
  const auto through = [&](size_t most) {
    std::thread writer([&, to = ::dup(ends[1])] {
      size_t done = 0;
      while (done < contents.size()) {
        const ssize_t n = ::write(to, contents.data() + done, contents.size() - done);
        if (n < 0) break;
        done += static_cast<size_t>(n);
      }
      ::close(to);
    });
    ::close(ends[1]);
    std::string got;
    try {
      got = read_to_end(ends[0], "pipe", most);
    } catch (const Error& error) {
      got = error.message();
      EXPECT_EQ(error.code(), ErrorCode::limit);
    }
    EXPECT_NE(::fcntl(ends[0], F_GETFD), -1);  // still the caller's
    ::close(ends[0]);
    writer.join();
    return got;
  };
  EXPECT_TRUE(through(1'000'000) == contents);
  const auto old_handler = ::signal(SIGPIPE, SIG_IGN);
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  EXPECT_EQ(through(999'999), "pipe: gives more than 999999 bytes");
  ::signal(SIGPIPE, old_handler);
  EXPECT_THROW(read_to_end(-1, "none", 1), Error);
}

}  // namespace
}  // namespace plica
