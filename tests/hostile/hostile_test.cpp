// Every hostile model through the program's commands: an error is one line that says where, an exit code of 4
// or 5 and nothing written; harmless ones work. No signal, 2 seconds and 256 MB at most (three times the time
// under sanitizers, whose own memory is not counted).
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/hostile/hostile.h"

extern char** environ;

namespace plica::hostile {
namespace {

namespace fs = std::filesystem;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
constexpr double kSeconds = kSanitized ? 6 : 2;
constexpr long kKilobytes = 256 * 1000;

Rows all_rows() {
  Rows rows;
  for (const auto& part : {loader_rows(), tensor_rows(), graph_rows(), window_rows(), kernel_rows(),
                           optimizer_rows(), file_rows(), scale_rows()})
    rows.insert(rows.end(), part.begin(), part.end());
  return rows;
}

struct Outcome {
  int code = -1;  // of a signal, its negative
  std::string out, err;
  double seconds = 0;
  long kilobytes = 0;
};

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class HostileTest : public ::testing::TestWithParam<Row> {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "plica_hostile_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    fs::create_directory(directory_ / "model");
    model_ = directory_ / "model" / "model.onnx";
    std::ofstream(model_, std::ios::binary) << GetParam().make();
    if (GetParam().add_files) GetParam().add_files(directory_ / "model");
    files_ = count_files();
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::ptrdiff_t count_files() const {
    return std::distance(fs::directory_iterator(directory_ / "model"), fs::directory_iterator());
  }

  Outcome plica(std::vector<std::string> arguments) {
    const fs::path out = directory_ / "out", err = directory_ / "err";
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    arguments.insert(arguments.begin(), PLICA_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_t pid = 0;
    EXPECT_EQ(::posix_spawn(&pid, PLICA_PROGRAM, &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    const struct rlimit most = {30, 30};  // seconds: a hang ends as a failure
    ::prlimit(pid, RLIMIT_CPU, &most, nullptr);
    int status = 0;
    struct rusage usage = {};
    EXPECT_EQ(::wait4(pid, &status, 0, &usage), pid);
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), contents(out), contents(err),
            seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss};
  }

  // Nothing that any command may do.
  void expect_sane(const Outcome& outcome) {
    EXPECT_GE(outcome.code, 0) << "signal " << -outcome.code << "\n" << outcome.err;
    EXPECT_LT(outcome.seconds, kSeconds);
    if (!kSanitized) {
      EXPECT_LT(outcome.kilobytes, kKilobytes);
    }
    EXPECT_LT(outcome.err.size(), 4000u);
    EXPECT_TRUE(std::ranges::all_of(outcome.err, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }))
        << outcome.err;
    EXPECT_EQ(count_files(), files_) << "something was written";
  }
  void expect_refusal(const Outcome& outcome) {
    expect_sane(outcome);
    EXPECT_THAT(outcome.err, ::testing::StartsWith("plica: "));
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
    // A line about what is given beside the model names that.
    if (!GetParam().runs_alone) {
      EXPECT_THAT(outcome.err, ::testing::HasSubstr("model.onnx"));
    }
  }

  fs::path directory_, model_;
  std::ptrdiff_t files_ = 0;
};

TEST_P(HostileTest, Run) {
  const Row& row = GetParam();
  std::vector<std::string> arguments = {"-q", "run", model_, "--threads", "1"};
  for (std::string option : row.options) {
    if (const size_t at = option.find("{}"); at != std::string::npos)
      option.replace(at, 2, (directory_ / "model").string());
    arguments.push_back(std::move(option));
  }
  for (const bool optimized : {true, false}) {
    if (!optimized) arguments.push_back("--no-optimize");
    const Outcome outcome = plica(arguments);
    if (row.harmless) {
      expect_sane(outcome);
      EXPECT_EQ(outcome.code, 0) << outcome.err;
      continue;
    }
    expect_refusal(outcome);
    const bool out_of_time = std::ranges::count(row.options, "--timeout") != 0;
    EXPECT_TRUE(out_of_time ? outcome.code == 1 : outcome.code == 4 || outcome.code == 5)
        << outcome.code << ": " << outcome.err;
    for (const std::string& part : row.parts) EXPECT_THAT(outcome.err, ::testing::HasSubstr(part));
  }
}

// What depends on values is not seen by these.
TEST_P(HostileTest, CheckAndInspect) {
  for (const std::string command : {"check", "inspect"}) {
    const Outcome outcome = plica({"-q", command, model_});
    expect_sane(outcome);
    EXPECT_THAT(outcome.code, ::testing::AnyOf(0, 4, 5)) << outcome.err;
    if (GetParam().harmless || GetParam().runs_alone) {
      EXPECT_EQ(outcome.code, 0) << outcome.err << outcome.out;
    }
  }
}

TEST_P(HostileTest, Optimize) {
  const fs::path to = directory_ / "optimized.onnx";
  const Outcome outcome = plica({"-q", "optimize", model_, to});
  expect_sane(outcome);
  EXPECT_THAT(outcome.code, ::testing::AnyOf(0, 4, 5)) << outcome.err;
  EXPECT_EQ(fs::exists(to), outcome.code == 0);
  if (outcome.code != 0) expect_refusal(outcome);
  if (!GetParam().harmless) return;
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const Outcome again = plica({"-q", "run", to, "--threads", "1"});
  expect_sane(again);
  EXPECT_EQ(again.code, 0) << again.err;
}

INSTANTIATE_TEST_SUITE_P(All, HostileTest, ::testing::ValuesIn(all_rows()),
                         [](const auto& row) { return row.param.name; });

TEST(Hostile, AreEnough) { EXPECT_GE(all_rows().size(), 150u); }

}  // namespace

void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

}  // namespace plica::hostile
