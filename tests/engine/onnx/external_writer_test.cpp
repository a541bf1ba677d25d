// Models that are saved with external data: what may be at NAME and at NAME.data before, that the two belong
// together at every moment, and whose data are removed.
#include "engine/onnx/external_writer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "engine/core/file_calls.h"
#include "tests/engine/onnx/external_models.h"

namespace plica {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

constexpr int64_t kBytes = 50'000;

// One large weight, all of one byte, and a name that says which.
std::unique_ptr<ModelGraph> model_of(char c) {
  ModelProto proto = small_model();
  proto.set_producer_name(std::string(1, c));
  add_initializer(*proto.mutable_graph(), "w", TensorProto::UINT8, {kBytes}, std::string(kBytes, c));
  return parse(proto);
}

// Which it is; fails unless all of it is.
char model_at(const fs::path& path) {
  const auto model = load_model(path);
  const char c = model->producer_name.at(0);
  for (const uint8_t byte : model->graph.find("w")->initializer()->values<uint8_t>()) {
    if (byte != static_cast<uint8_t>(c)) {
      ADD_FAILURE() << "the model is " << c << ", its data are " << byte;
      break;
    }
  }
  return c;
}

class ExternalWriterTest : public testing::Test {
 protected:
  ~ExternalWriterTest() override { file_fault = nullptr; }

  fs::path at(const std::string& name) const { return dir_.path() / name; }
  Names names() const {
    Names out;
    for (const auto& entry : fs::directory_iterator(dir_.path())) out.insert(entry.path().filename());
    return out;
  }
  static void save(const ModelGraph& model, const fs::path& path) {
    save_model(model, path, {.external_data_threshold = 1000});
  }
  std::string text_of(const std::string& name) const {
    std::ifstream in(at(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TemporaryDirectory dir_;
  const fs::path net_ = at("net");
};

TEST_F(ExternalWriterTest, TheUsualNameWheneverItIsFree) {
  save(*model_of('a'), net_);
  EXPECT_EQ(names(), (Names{"net", "net.data"}));
  save(*model_of('b'), net_);
  EXPECT_EQ(names(), (Names{"net", "net.1.data"}));
  EXPECT_EQ(model_at(net_), 'b');
  save(*model_of('c'), net_);
  EXPECT_EQ(names(), (Names{"net", "net.data"}));
  EXPECT_EQ(model_at(net_), 'c');
}

TEST_F(ExternalWriterTest, TheSameDataStay) {
  save(*model_of('a'), net_);
  const std::string model = text_of("net");
  struct stat before, after;
  ASSERT_EQ(::stat(at("net.data").c_str(), &before), 0);
  for (int i = 0; i < 3; ++i) save(*model_of('a'), net_);
  ASSERT_EQ(::stat(at("net.data").c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(text_of("net"), model);  // the same command makes the same files
  EXPECT_EQ(names(), (Names{"net", "net.data"}));
  // Not when there is more in the file, or less.
  write_text(at("net.data"), text_of("net.data") + "x");
  save(*model_of('a'), net_);
  EXPECT_EQ(names(), (Names{"net", "net.1.data"}));
  write_text(at("net.data"), std::string(10, 'a'));
  save(*model_of('a'), net_);
  EXPECT_EQ(model_at(net_), 'a');
}

TEST_F(ExternalWriterTest, WhatIsThereIsLeftAlone) {
  write_text(at("precious"), "kept");
  const std::vector<std::pair<std::string, std::function<void(const fs::path&)>>> kinds = {
      {"symbolic link", [&](const fs::path& p) { fs::create_symlink("precious", p); }},
      {"dangling link", [&](const fs::path& p) { fs::create_symlink("nowhere", p); }},
      {"hard link", [&](const fs::path& p) { fs::create_hard_link(at("precious"), p); }},
      {"FIFO", [&](const fs::path& p) { ASSERT_EQ(::mkfifo(p.c_str(), 0600), 0); }},
      {"directory", [&](const fs::path& p) { fs::create_directory(p); }},
      {"device",
       [&](const fs::path& p) {
         if (::mknod(p.c_str(), S_IFCHR | 0600, ::makedev(1, 3)) != 0) fs::create_directory(p);
       }},
      {"held by a writer", [&](const fs::path& p) { write_text(p, "half"); }},
      {"somebody's file", [&](const fs::path& p) { write_text(p, "kept"); }},
  };
  for (const auto& [kind, make] : kinds) {
    SCOPED_TRACE(kind);
    make(at("net.data"));
    const int held = kind == "held by a writer" ? ::open(at("net.data").c_str(), O_RDONLY | O_CLOEXEC) : -1;
    if (held >= 0) {
      ASSERT_EQ(::flock(held, LOCK_EX), 0);
    }
    const auto before = fs::symlink_status(at("net.data")).type();
    save(*model_of('a'), net_);
    EXPECT_EQ(names(), (Names{"net", "net.data", "net.1.data", "precious"}));
    EXPECT_EQ(model_at(net_), 'a');
    save(*model_of('b'), net_);  // it replaces a model now, whose data go; what is no data file stays
    EXPECT_EQ(fs::symlink_status(at("net.data")).type(),
              kind == "somebody's file" ? fs::file_type::not_found : before);
    EXPECT_EQ(text_of("precious"), "kept");
    EXPECT_EQ(model_at(net_), 'b');
    if (held >= 0) ::close(held);
    for (const std::string& name : names()) {
      if (name != "precious") fs::remove_all(at(name));
    }
  }
}

TEST_F(ExternalWriterTest, WhereTheModelGoes) {
  fs::create_directory(at("elsewhere"));
  write_text(at("elsewhere") / "target", "old");
  fs::create_symlink("elsewhere/target", net_);
  save(*model_of('a'), net_);  // a link that the user names is followed, and the data are beside its name
  EXPECT_TRUE(fs::is_symlink(net_));
  EXPECT_EQ(names(), (Names{"elsewhere", "net", "net.data"}));
  EXPECT_EQ(model_at(net_), 'a');
  fs::remove(net_);

  write_text(at("other"), "kept");
  fs::create_hard_link(at("other"), net_);
  save(*model_of('b'), net_);
  EXPECT_EQ(text_of("other"), "kept");
  EXPECT_EQ(model_at(net_), 'b');
  fs::remove(net_);

  fs::create_directory(net_);
  expect_error(error_of([&] { save(*model_of('a'), net_); }), ErrorCode::io, net_.string());
  fs::remove(net_);
  expect_error(error_of([&] { save(*model_of('a'), "/dev/null"); }), ErrorCode::io, "no place beside it");
  EXPECT_FALSE(fs::exists("/dev/null.data"));
}

TEST_F(ExternalWriterTest, DirectoriesThatCannotBeWritten) {
  const fs::path locked = at("locked");
  fs::create_directory(locked);
  ASSERT_EQ(::chmod(locked.c_str(), 0555), 0);
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
  const bool is_root = ::geteuid() == 0;
  if (is_root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const Error error = error_of([&] { save(*model_of('a'), locked / "net"); });
  if (is_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  expect_error(error, ErrorCode::io, "Permission denied");
  EXPECT_TRUE(fs::is_empty(locked));
}

TEST_F(ExternalWriterTest, DataGetTheModelsMode) {
  save(*model_of('a'), net_);
  ASSERT_EQ(::chmod(net_.c_str(), 0600), 0);
  save(*model_of('b'), net_);
  for (const char* name : {"net", "net.1.data"}) {
    struct stat info;
    ASSERT_EQ(::stat(at(name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(ExternalWriterTest, InPlaceWhileItIsBeingRead) {
  save(*model_of('a'), net_);
  auto model = load_model(net_);
  model->doc_string = "changed";
  save(*model, net_);  // the data are the same
  EXPECT_EQ(names(), (Names{"net", "net.data"}));
  // Now other data, of which a part is still to be read from those that they replace.
  const auto again = load_model(net_);
  Value* more =
      again->graph.add_initializer("more", Tensor::of<uint8_t>(std::vector<uint8_t>(5000, 7), {5000}));
  ASSERT_NE(more, nullptr);
  again->producer_name = "a";
  save(*again, net_);
  EXPECT_EQ(names(), (Names{"net", "net.1.data"}));
  EXPECT_EQ(model_at(net_), 'a');
}

// A model that names another one's data: those are not removed when the other is replaced by it.
TEST_F(ExternalWriterTest, TheInputsDataStay) {
  save(*model_of('a'), net_);
  write_text(at("in"), text_of("net"));  // names net.data as well
  const auto in = load_model(at("in"));
  in->graph.add_initializer("more", Tensor::of<uint8_t>(std::vector<uint8_t>(5000, 7), {5000}));
  save(*in, net_);
  EXPECT_EQ(names(), (Names{"in", "net", "net.data", "net.1.data"}));
  EXPECT_EQ(model_at(at("in")), 'a');
  EXPECT_EQ(model_at(net_), 'a');
}

// ---- the pair, when things go wrong

int calls_left = 0, call_error = 0;
int fail_at_last(FileCall, size_t& size) {
  size = std::min<size_t>(size, 20'000);
  return --calls_left == 0 ? call_error : 0;
}
int die_at_last(FileCall, size_t& size) {
  size = std::min<size_t>(size, 20'000);
  if (--calls_left == 0) ::kill(::getpid(), SIGKILL);
  return 0;
}

// Every system call in turn, until none is left to fail.
TEST_F(ExternalWriterTest, EveryCallMayFail) {
  const auto old = model_of('a'), next = model_of('b');
  int failures = 0;
  for (int n = 1; n < 200; ++n) {
    SCOPED_TRACE(n);
    save(*old, net_);
    const Names before = names();
    calls_left = n;
    call_error = n % 2 == 0 ? ENOSPC : EIO;
    file_fault = fail_at_last;
    bool has_failed = false;
    try {
      save(*next, net_);
    } catch (const Error& error) {
      has_failed = true;
      EXPECT_EQ(error.code(), ErrorCode::io);
      EXPECT_NE(error.message().find("saving " + net_.string()), std::string::npos) << error.message();
    }
    file_fault = nullptr;
    const bool was_called = calls_left <= 0;
    const char now = model_at(net_);
    EXPECT_TRUE(now == 'b' || has_failed);
    if (now == 'a') {
      EXPECT_EQ(names(), before);
    }
    EXPECT_LE(names().size(), 3u);  // the old data may be left when syncing the directory failed
    failures += has_failed;
    if (!was_called) {
      EXPECT_GT(failures, 10);
      return;
    }
  }
  FAIL() << "it never succeeded";
}

// Killed at every system call in turn.
TEST_F(ExternalWriterTest, KilledAtEveryCall) {
  const auto old = model_of('a'), next = model_of('b');
  int killed = 0, kept = 0;
  for (int n = 1; n < 200; ++n) {
    SCOPED_TRACE(n);
    save(*old, net_);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      calls_left = n;
      file_fault = die_at_last;
      save(*next, net_);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    const char now = model_at(net_);
    if (WIFEXITED(status)) {
      EXPECT_EQ(now, 'b');
      EXPECT_GT(killed, 10);
      EXPECT_GT(kept, 10);
      save(*next, net_);
      EXPECT_EQ(names().size(), 2u);  // what the others left is gone
      return;
    }
    ++killed;
    kept += now == 'a';
  }
  FAIL() << "it never succeeded";
}

// Readers while the model is saved again and again: always a model with its own data.
TEST_F(ExternalWriterTest, ReadersSeePairs) {
  const auto a = model_of('a'), b = model_of('b');
  save(*a, net_);
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) EXPECT_NO_THROW(model_at(net_));
  });
  for (int i = 0; i < 200; ++i) save(i % 2 == 0 ? *b : *a, net_);
  done = true;
  reader.join();
  EXPECT_EQ(names().size(), 2u);
}

TEST_F(ExternalWriterTest, SeveralWriters) {
  const auto a = model_of('a'), b = model_of('b');
  std::jthread other([&] {
    for (int i = 0; i < 100; ++i) save(*a, net_);
  });
  for (int i = 0; i < 100; ++i) {
    save(*b, net_);
    const char now = model_at(net_);
    EXPECT_TRUE(now == 'a' || now == 'b');
  }
  other.join();
  EXPECT_NO_THROW(model_at(net_));
  save(*a, net_);
  save(*b, net_);
  EXPECT_EQ(names().size(), 2u);
}

}  // namespace
}  // namespace plica
