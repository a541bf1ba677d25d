// plica optimize as a process.
#include "tests/tools/program.h"

namespace plica {
namespace {

using OptimizeCommand = ProgramTest;

TEST_F(OptimizeCommand, OptimizeFoldsVerifiesAndReports) {
  const Outcome outcome =
      plica({"optimize", kDigits, "out.onnx", "--explain", "--verify", "--report", "report.json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("7 of 7 batch norms folded"), HasSubstr("equal on 3 inputs")));
  const json report = json::parse(slurp(path("report.json")));
  EXPECT_EQ(report["schema"], 1);
  EXPECT_EQ(report["batch_norms"].size(), 7u);
  EXPECT_EQ(report["verify"]["equal"], true);
  EXPECT_EQ(report["verify"]["inputs"], 3);
  EXPECT_EQ(parse_json(plica({"inspect", "out.onnx", "--json"}))["batch_norms"].size(), 0u);
  EXPECT_EQ(parse_json(plica({"optimize", kDigits, "out2.onnx", "--verify=5", "--json"}))["verify"]["inputs"],
            5);
  EXPECT_EQ(slurp(path("out.onnx")), slurp(path("out2.onnx")));
  EXPECT_EQ(count_files(), 3u);
}

TEST_F(OptimizeCommand, ADifferenceIs3AndNothingIsWritten) {
  const Outcome outcome = plica({"optimize", kDigits, "out.onnx", "--tolerance", "0"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.out, HasSubstr("different on 3 inputs"));
  EXPECT_THAT(outcome.err, HasSubstr("nothing was written"));
  EXPECT_EQ(count_files(), 0u);
  // But the report, which was asked for, is.
  EXPECT_EQ(plica({"optimize", kDigits, "out.onnx", "--tolerance", "0", "--report", "r.json"}).code, 3);
  EXPECT_EQ(count_files(), 1u);
  EXPECT_EQ(json::parse(slurp(path("r.json")))["verify"]["equal"], false);
}

TEST_F(OptimizeCommand, TheUsersDataIsVerifiedOn) {
  const Outcome outcome =
      plica({"optimize", kDigits, "out.onnx", "--data", kTestData, "--limit", "100", "--json"});
  const json report = parse_json(outcome);
  EXPECT_EQ(report["verify"]["equal"], true);
  EXPECT_EQ(report["verify"]["given"], 7);  // 100 samples, 16 at once
  EXPECT_EQ(report["verify"]["seeded"], 0);
  EXPECT_EQ(parse_json(plica(
                {"optimize", kDigits, "o.onnx", "--data", kTwo, "--verify=2", "--json"}))["verify"]["inputs"],
            3);
}

TEST_F(OptimizeCommand, ReportsCarryTheirChannels) {
  EXPECT_EQ(plica({"optimize", kDigits, "o.onnx", "--report", "r.json"}).code, 0);
  const json whole = json::parse(slurp(path("r.json")));
  EXPECT_EQ(whole["model"], "digits.onnx");
  EXPECT_EQ(whole["batch_norms"][0]["channels"]["gain"]["values"].size(), 16u);
  EXPECT_FALSE(
      parse_json(plica({"optimize", kDigits, "o.onnx", "--json"}))["batch_norms"][0]["channels"]["gain"]
          .contains("values"));
  EXPECT_EQ(plica({"optimize", kDigits, "o.onnx", "--report", "r.html"}).code, 0);
  EXPECT_THAT(slurp(path("r.html")),
              AllOf(StartsWith("<!doctype html>"), HasSubstr("stem.bn"), HasSubstr("<svg")));
}

TEST_F(OptimizeCommand, HealthIsShown) {
  const std::string sick = conv_batch_norm_model(0);
  write("sick.onnx", sick);
  EXPECT_THAT(plica({"optimize", "sick.onnx", "o.onnx"}).out,
              HasSubstr("health of batch norms: 1 warning (--explain lists them)"));
  EXPECT_THAT(plica({"optimize", "sick.onnx", "o.onnx", "--explain"}).out,
              AllOf(HasSubstr("warning: 1 of 2 channels have variance 0"), HasSubstr("(channel 0)")));
  EXPECT_THAT(plica({"inspect", "sick.onnx"}).out,
              AllOf(HasSubstr("1 warning"), HasSubstr("warning: make_y: 1 of 2 channels have variance 0")));
  const json inspected = parse_json(plica({"inspect", "sick.onnx", "--json"}));
  EXPECT_EQ(inspected["batch_norms"][0]["health"][0]["kind"], "zero_variance");
}

TEST_F(OptimizeCommand, OptimizeDoesNotOverwriteItsInput) {
  write("net.onnx", slurp(kDigits));
  fs::create_symlink("net.onnx", dir_ / "link.onnx");
  expect_failure(2, {"optimize", "net.onnx", "net.onnx"}, "--in-place");
  expect_failure(2, {"optimize", "net.onnx", "./link.onnx"}, "--in-place");
  expect_failure(2, {"optimize", "net.onnx", "o.onnx", "--report", "net.onnx"}, "--report");
  EXPECT_EQ(slurp(path("net.onnx")), slurp(kDigits));
  EXPECT_EQ(plica({"optimize", "net.onnx", "--in-place"}).code, 0);
  EXPECT_LT(fs::file_size(path("net.onnx")), fs::file_size(kDigits));
  EXPECT_EQ(count_files(), 2u);
}

TEST_F(OptimizeCommand, OptimizePipes) {
  EXPECT_EQ(plica({"optimize", kDigits, "file.onnx"}).code, 0);
  const Outcome piped = plica({"optimize", "-", "-"}, "cat " + quote(kDigits) + " | ");
  EXPECT_EQ(piped.code, 0) << piped.err;
  EXPECT_EQ(piped.out, slurp(path("file.onnx")));
}

TEST_F(OptimizeCommand, OptimizeObeysItsOptions) {
  const auto folded = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"optimize", kDigits, "o.onnx", "--json"});
    int64_t count = 0;
    const json report = parse_json(plica(options));
    for (const json& norm : report["batch_norms"]) count += norm["verdict"] == "folded";
    return count;
  };
  EXPECT_EQ(folded({}), 7);
  EXPECT_EQ(folded({"--disable", "fold_affines"}), 0);
  EXPECT_EQ(folded({"--only", "fold_affine_backward"}), 7);
  EXPECT_EQ(folded({"--max-rewrites", "0"}), 0);
  EXPECT_EQ(folded({"--keep", "stem.bn"}), 6);
  expect_failure(4, {"optimize", kDigits, "new.onnx", "--disable", "no_such_rule"}, "no_such_rule");
  expect_failure(4, {"optimize", kDigits, "new.onnx", "--dump-after", "no_such_pass"}, "no_such_pass");
  const json rules = parse_json(plica({"list-rules", "--json"}))["rules"];
  const std::string pass = rules[0]["pass"];
  EXPECT_THAT(plica({"optimize", kDigits, "o.onnx", "--dump-after", pass}).out, HasSubstr("# after " + pass));
}

TEST_F(OptimizeCommand, OptimizePutsDataOutside) {
  EXPECT_EQ(plica({"optimize", kDigits, "o.onnx", "--external-data"}).code, 0);
  EXPECT_TRUE(fs::exists(dir_ / "o.onnx.data"));
  EXPECT_LT(fs::file_size(dir_ / "o.onnx"), 20000u);
  EXPECT_THAT(plica({"run", "o.onnx", "-i", kTwo}).out, StartsWith("2  "));
}

}  // namespace
}  // namespace plica
