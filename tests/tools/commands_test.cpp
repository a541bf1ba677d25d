// plica inspect, check, bench and evaluate as processes, and interrupts.
#include <signal.h>

#include "tests/tools/program.h"

namespace plica {
namespace {

using Commands = ProgramTest;

TEST_F(Commands, InspectTells) {
  const json summary = parse_json(plica({"inspect", kDigits, "--json"}));
  EXPECT_EQ(summary["inputs"][0]["shape"], json({"N", 1, 8, 8}));
  EXPECT_EQ(summary["batch_norms"].size(), 7u);
  EXPECT_EQ(summary["opsets"]["ai.onnx"], 17);
  EXPECT_EQ(summary["macs_unknown"], 0);
  EXPECT_GT(summary["macs"], 100000);
  EXPECT_EQ(parse_json(plica({"inspect", kDigits, "--json", "--dim", "N=2"}))["macs"],
            2 * summary["macs"].get<int64_t>());
  EXPECT_THAT(plica({"inspect", kDigits}).out,
              AllOf(HasSubstr("BatchNormalization"), HasSubstr("float32[N, 1, 8, 8]")));
}

TEST_F(Commands, InspectListsValues) {
  ModelBuilder b;
  Value* x = b.input("x", Shape{Dim::symbol("N"), 4});
  b.output(b.node("Relu", {x}, "y"));
  b.output(b.node("Shape", {x}, "sizes"));
  const std::string model = write("net.onnx", b.bytes());
  const auto value = [&](const std::vector<std::string>& more, const char* name) {
    std::vector<std::string> command = {"inspect", model, "--values", "--json"};
    command.insert(command.end(), more.begin(), more.end());
    const json summary = parse_json(plica(command));
    for (const json& v : summary["values"]) {
      if (v["name"] == name) return v;
    }
    return json();
  };
  EXPECT_EQ(value({}, "y")["type"], "float32[N, 4]");
  EXPECT_EQ(value({}, "y")["op_type"], "Relu");
  EXPECT_EQ(value({}, "sizes")["elements"], json({"N", "4"}));
  EXPECT_EQ(value({"--dim", "N=3"}, "y")["type"], "float32[3, 4]");
  EXPECT_EQ(value({"--dim", "N=3"}, "sizes")["elements"], json({"3", "4"}));
  EXPECT_THAT(plica({"inspect", model, "--values"}).out,
              AllOf(HasSubstr("sizes (Shape)"), HasSubstr("N, 4")));
}

TEST_F(Commands, TheListOfOperatorsIsInTheDocumentation) {
  EXPECT_EQ(plica({"list-ops", "--markdown"}).out, slurp(PLICA_SOURCE_DIR "/docs/operators.md"))
      << "plica list-ops --markdown > docs/operators.md";
}

TEST_F(Commands, InspectWritesAPageAndAGraph) {
  EXPECT_EQ(plica({"inspect", kDigits, "--html", "m.html", "--dot", "m.dot"}).code, 0);
  EXPECT_THAT(slurp(path("m.html")),
              AllOf(StartsWith("<!doctype html>"), HasSubstr("digits.onnx"), HasSubstr("<svg")));
  EXPECT_THAT(slurp(path("m.dot")), AllOf(StartsWith("digraph"), HasSubstr("stem.conv")));
  EXPECT_EQ(plica({"inspect", kDigits, "--dot", "-"}).out, slurp(path("m.dot")));
  expect_failure(2, {"inspect", kDigits, "--dot", "-", "--json"}, "standard output");
  write("net.onnx", slurp(kDigits));
  expect_failure(2, {"inspect", "net.onnx", "--html", "net.onnx"}, "net.onnx");
}

TEST_F(Commands, CheckAcceptsAndRefuses) {
  EXPECT_EQ(plica({"check", kDigits}).code, 0);
  const Outcome bad = plica({"check", write("bad.onnx", "no"), "--json"});
  EXPECT_EQ(bad.code, 4);
  EXPECT_EQ(json::parse(bad.out)["valid"], false);
}

TEST_F(Commands, ProfileMeasuresEachStep) {
  const std::vector<std::string> command = {"profile",   kDigits, "--duration", "0",
                                            "--threads", "1",     "--shape",    "image:1x1x8x8"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), command.begin(), command.end());
    return more;
  };
  const json profile = parse_json(plica(with({"--json", "--trace", path("trace.json")})));
  EXPECT_GT(profile["peak_gflops"], 0);
  double flops = 0;
  for (const json& step : profile["steps"]) {
    EXPECT_EQ(step["calls"], profile["runs"]);
    EXPECT_GT(step["bytes"], 0);
    flops += step["flops"].get<double>();
  }
  EXPECT_EQ(flops, 2 * parse_json(plica({"inspect", kDigits, "--json"}))["macs"].get<double>());
  const json trace = json::parse(slurp(path("trace.json")));
  EXPECT_EQ(trace["traceEvents"].size(), profile["runs"].get<size_t>() * (1 + profile["steps"].size()));
  EXPECT_THAT(plica(with({"--top", "1"})).out, HasSubstr("steps more"));
}

TEST_F(Commands, BenchGivesWhatPeersReads) {
  const json bench = parse_json(
      plica({"bench", kDigits, "--duration", "0", "--threads", "1", "--shape", "image:1x1x8x8", "--json"}));
  for (const char* key : {"load_ms", "first_run_ms", "peak_rss_bytes"}) EXPECT_GT(bench[key], 0) << key;
  for (const char* key : {"min", "median", "p90", "p99"}) EXPECT_GT(bench["latency_ms"][key], 0) << key;
  EXPECT_EQ(bench["threads"], 1);
  EXPECT_GE(bench["runs"], 5);
  EXPECT_EQ(bench["model"], kDigits);
  EXPECT_GT(parse_json(plica(
                {"bench", kDigits, "--duration", "0", "--compare", kDigits, "--json"}))["compare"]["ratio"],
            0);
}

TEST_F(Commands, BenchOfStreamsAndSizes) {
  const json streams = parse_json(plica({"bench", kDigits, "--duration", "0", "--streams", "3", "--threads",
                                         "1", "--shape", "image:1x1x8x8", "--json"}));
  EXPECT_EQ(streams["streams"], 3);
  EXPECT_GE(streams["runs"], 3 * 5);
  EXPECT_GT(streams["runs_per_second"], 0);
  const json sweep =
      parse_json(plica({"bench", kDigits, "--duration", "0", "--sweep", "image:1..7..3x1x8x8", "--json"}));
  EXPECT_EQ(sweep["sizes"], 3);  // 1, 4, 7
  EXPECT_EQ(sweep["runs"].get<int>() % 3, 0);
  EXPECT_GT(sweep["new_size_ms"]["median"], 0);
  for (const char* bad :
       {"image:7..1x1x8x8", "image:1..7..0x1x8x8", "image:1..ax1x8x8", "image:0..99999x1x8x8"})
    EXPECT_EQ(plica({"bench", kDigits, "--sweep", bad}).code, 2) << bad;
}

TEST_F(Commands, EvaluateComparesModels) {
  const json result = parse_json(plica({"evaluate", kDigits, "--data", kTestData, "--fold", "--json"}));
  ASSERT_EQ(result["models"].size(), 2u);
  for (const json& model : result["models"]) {
    EXPECT_EQ(model["samples"], 540);
    EXPECT_EQ(model["top1_correct"], 536);
    EXPECT_EQ(model["agreeing"], 540);
  }
  EXPECT_EQ(result["models"][0]["batch_norms"], 7);
  EXPECT_EQ(result["models"][1]["batch_norms"], 0);
  for (const char* digit : {"2", "7"}) fs::create_directories(dir_ / "data" / digit);
  fs::copy(kTwo, dir_ / "data/2/a.png");
  fs::copy(PLICA_SOURCE_DIR "/models/digits/pictures/seven.png", dir_ / "data/7/b.png");
  EXPECT_EQ(parse_json(plica({"evaluate", kDigits, "--data", "data", "--json"}))["models"][0]["top1_correct"],
            2);
  expect_failure(4, {"evaluate", kDigits, "--data", "missing.npz"}, "missing.npz");
  expect_failure(4, {"evaluate", kDigits, "--data", write("none.npz", tools::serialize_npz({}))}, "'image'");
}

TEST_F(Commands, AnInterruptEndsItWith130AndLeavesNothing) {
  const std::string out = path("out.onnx");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::execl(PLICA_PROGRAM, "plica", "bench", kDigits.c_str(), "--duration", "600", "-q",
            static_cast<char*>(nullptr));
    ::_exit(127);
  }
  std::this_thread::sleep_for(
      std::chrono::milliseconds(300));  // whenever the signal comes, the outcome is the same
  ::kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status)) GTEST_SKIP() << "the signal came before the program began";
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_EQ(count_files(), 0u);
}

}  // namespace
}  // namespace plica
