// The files that the program writes, when it is killed, when the disk is full, and when it reads what it
// writes.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <functional>
#include <random>
#include <set>

#include "engine/core/error.h"
#include "tests/tools/program.h"

namespace plica {
namespace {

// A name says which it is, and every weight. Large enough that writing it takes a while.
std::string model_bytes(char which) {
  ModelBuilder b;
  b.model.graph.name = std::string(1, which);
  Value* x = b.input("x", Shape{1, 256, 4, 4});
  const std::vector<float> weights(256 * 256 * 9, static_cast<float>(which));
  b.output(b.node("Conv", {x, b.constant("w", Tensor::of<float>(weights, {256, 256, 3, 3}))}, "y"));
  return b.bytes();
}

// Which model is at `path`; fails unless all of it is.
char model_at(const fs::path& path) {
  const auto model = load_model(path);
  const char which = model->graph.name.at(0);
  for (const Value* value : model->graph.initializers()) {
    for (const float w : value->initializer()->values<float>()) {
      if (w == static_cast<float>(which)) continue;
      ADD_FAILURE() << "model " << which << " has a weight " << w;
      return which;
    }
  }
  return which;
}

class OutputFiles : public ProgramTest {
 protected:
  std::set<std::string> names() const {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(dir_)) out.insert(entry.path().filename());
    return out;
  }
  // Starts the program; killed after so long unless it has ended. Whether it was.
  bool run_and_kill(const std::vector<std::string>& arguments, std::chrono::microseconds after) const {
    const pid_t child = ::fork();
    if (child == 0) {
      std::vector<char*> argv;
      std::string program = PLICA_PROGRAM;
      argv.push_back(program.data());
      std::vector<std::string> words = arguments;
      for (std::string& word : words) argv.push_back(word.data());
      argv.push_back(nullptr);
      const int null = ::open("/dev/null", O_RDWR);
      ::dup2(null, STDOUT_FILENO);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    std::this_thread::sleep_for(after);
    ::kill(child, SIGKILL);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
  }
  // 200 kills, spread over the time that the command takes.
  void expect_old_or_new(const std::vector<std::string>& options) {
    write("a.onnx", model_bytes('a'));
    write("b.onnx", model_bytes('b'));
    const auto command = [&](char which) {
      std::vector<std::string> words = {"optimize", path(std::string(1, which) + ".onnx"), path("out.onnx")};
      words.insert(words.end(), options.begin(), options.end());
      return words;
    };
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(plica(command('a')).code, 0);
    const auto duration =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
    std::mt19937 random(7);
    std::uniform_int_distribution<int64_t> moment(0, duration.count());
    int kept = 0, debris = 0;
    char before = 'a';
    for (int kills = 0, tries = 0; kills < 200 && tries < 2000; ++tries) {
      const char next = before == 'a' ? 'b' : 'a';
      kills += run_and_kill(command(next), std::chrono::microseconds(moment(random)));
      const char now = model_at(path("out.onnx"));
      kept += now == before;
      before = now;
      for (const std::string& name : names()) debris += name.find("plica-tmp") != std::string::npos;
    }
    EXPECT_GT(kept, 0);
    RecordProperty("kept", kept);
    RecordProperty("debris", debris);
    // What was left over goes with the next that succeeds.
    const std::string last(1, before == 'a' ? 'b' : 'a');
    ASSERT_EQ(plica(command(last[0])).code, 0);
    const size_t expected = options.empty() ? 3 : 4;
    EXPECT_EQ(names().size(), expected) << ::testing::PrintToString(names());
    EXPECT_EQ(model_at(path("out.onnx")), last[0]);
  }
};

TEST_F(OutputFiles, TwoHundredKills) { expect_old_or_new({}); }
TEST_F(OutputFiles, TwoHundredKillsWithExternalData) { expect_old_or_new({"--external-data"}); }

// Every option that writes a file, and the file.
std::vector<std::pair<std::string, std::vector<std::string>>> writing_commands() {
  return {
      {"out.npz", {"-q", "run", kDigits, "-i", kTwo, "-o", "out.npz"}},
      {"out.npy", {"-q", "run", kDigits, "-i", kTwo, "-o", "out.npy"}},
      {"out.pb", {"-q", "run", kDigits, "-i", kTwo, "-o", "out.pb"}},
      {"out.onnx", {"optimize", kDigits, "out.onnx"}},
      {"report.json", {"optimize", kDigits, "-", "--report", "report.json"}},
      {"report.html", {"optimize", kDigits, "-", "--report", "report.html"}},
      {"page.html", {"inspect", kDigits, "--html", "page.html"}},
      {"graph.dot", {"inspect", kDigits, "--dot", "graph.dot"}},
      {"trace.json", {"-q", "profile", kDigits, "--duration", "0", "--trace", "trace.json"}},
      {"tuning.json", {"-q", "tune", kDigits, "--threads", "1", "--duration", "0", "--cache", "tuning.json"}},
      {"image.npy", {"-q", "run", kDigits, "-i", kTwo, "--dump-tensors", "."}},
  };
}

// None is written into: who has the old file open, or has it under another name too, keeps it.
TEST_F(OutputFiles, EveryOneIsReplacedAsAWhole) {
  for (const auto& [file, command] : writing_commands()) {
    SCOPED_TRACE(file);
    const Outcome first = plica(command);
    ASSERT_EQ(first.code, 0) << first.err;
    ASSERT_TRUE(fs::is_regular_file(path(file)));
    fs::create_hard_link(path(file), path("other"));
    const std::string old = slurp(path("other"));
    EXPECT_EQ(plica(command).code, 0);
    EXPECT_EQ(slurp(path("other")), old);
    EXPECT_FALSE(fs::equivalent(path(file), path("other")));
    for (const std::string& name : names()) {
      EXPECT_EQ(name.find("plica-tmp"), std::string::npos) << name;
      fs::remove(path(name));
    }
  }
}

TEST_F(OutputFiles, FullDisks) {
  const std::string disk = path("disk");
  fs::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=32k") != 0)
    GTEST_SKIP() << "no disk can be mounted here";
  for (const auto& [file, command] : writing_commands()) {
    SCOPED_TRACE(file);
    if (file == "tuning.json") continue;  // "old" is no tuning file, and read first
    const fs::path old = fs::path(disk) / file;
    std::ofstream(old) << "old";
    std::ofstream(fs::path(disk) / "filler") << std::string(64'000, 'x');
    // From its directory, with both outputs elsewhere.
    const Outcome outcome = plica(command, "cd disk && ");
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(file == "image.npy" ? ".npy: " : file + ": "));
    EXPECT_THAT(outcome.err, HasSubstr("No space left on device"));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(slurp(old), "old");
    for (const auto& entry : fs::directory_iterator(disk)) {
      EXPECT_EQ(entry.path().string().find("plica-tmp"), std::string::npos) << entry.path();
      fs::remove(entry.path());
    }
  }
  EXPECT_EQ(::umount2(disk.c_str(), MNT_DETACH), 0);
}

// A limit on the size of files ends a process that does not ask for an error instead.
TEST_F(OutputFiles, LimitedFileSizes) {
  write("in.onnx", model_bytes('a'));
  write("out.onnx", "old");
  const size_t before = count_files();
  for (const char* option : {"--in-place", "--external-data"}) {
    expect_failure(1, {"optimize", "in.onnx", "out.onnx", option}, "File too large", "ulimit -f 100; ");
    EXPECT_EQ(slurp(path("out.onnx")), "old");
    EXPECT_EQ(count_files(), before);
  }
}

TEST_F(OutputFiles, ModelsThroughPipes) {
  const std::string model = write("in.onnx", model_bytes('a'));
  ASSERT_EQ(plica({"optimize", model, "out.onnx"}).code, 0);
  const std::string optimized = slurp(path("out.onnx"));
  EXPECT_EQ(plica({"optimize", "-", "-"}, "cat in.onnx | ").out, optimized);
  EXPECT_EQ(plica({"optimize", "-", "-"}, "<in.onnx ").out, optimized);
  EXPECT_EQ(plica({"optimize", "/dev/stdin", "-"}, "cat in.onnx | ").out, optimized);
  // Bytes that come slowly, and not in one piece.
  EXPECT_EQ(
      plica({"optimize", "-", "-"}, "(head -c 100000 in.onnx; sleep 0.1; tail -c +100001 in.onnx) | ").out,
      optimized);
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(plica({"optimize", "fifo", "-"}, "(cat in.onnx >fifo &) && timeout 20 ").out, optimized);
  for (const char* command : {"run", "inspect"}) {
    EXPECT_EQ(plica({command, "-"}, "cat in.onnx | ").code, 0) << command;
    expect_failure(4, {command, "-"}, "standard input: ", "head -c 100000 in.onnx | ");
    expect_failure(4, {command, "-"}, "standard input: ", "</dev/null ");
  }
  // OUT is what standard input comes from.
  EXPECT_EQ(plica({"optimize", "-", "in.onnx"}, "<in.onnx ").code, 0);
  EXPECT_EQ(slurp(model), optimized);
}

// The model shrinks, or grows, while it is being worked on: an error, and OUT is as it was.
TEST_F(OutputFiles, InputsThatAreWrittenTo) {
  write("out.onnx", "old");
  const std::string bytes = model_bytes('a');
  const auto result = load_model(write("in.onnx", bytes));
  fs::resize_file(path("in.onnx"), bytes.size() / 2);
  for (const size_t threshold : {0, 1000}) {
    try {
      save_model(*result, path("out.onnx"), {.external_data_threshold = threshold});
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::io);
      EXPECT_THAT(error.message(), AllOf(HasSubstr("in.onnx"), HasSubstr("was written to")));
    }
    EXPECT_EQ(names(), (std::set<std::string>{"in.onnx", "out.onnx"}));
    EXPECT_EQ(slurp(path("out.onnx")), "old");
  }
}

}  // namespace
}  // namespace plica
