// plica compile, and what the other commands do with its files.
#include "tests/tools/program.h"

namespace plica {
namespace {

class CompileCommand : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    ASSERT_EQ(plica({"compile", kDigits, path("digits.plica")}).code, 0);
  }
};

TEST_F(CompileCommand, SaysWhatItWrote) {
  const Outcome text = plica({"compile", kDigits, path("again.plica"), "--threads", "1,2"});
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.out, HasSubstr("packed tensors of"));
  const Outcome outcome = plica({"compile", kDigits, path("again.plica"), "--json"});
  const json report = json::parse(outcome.out);
  EXPECT_EQ(report["schema"], 1);
  EXPECT_EQ(report["plans"], 1);
  EXPECT_EQ(report["file_bytes"], fs::file_size(path("again.plica")));
  EXPECT_GT(report["packed"], 0);
}

TEST_F(CompileCommand, StandsForTheModel) {
  const auto classes = [&](const std::string& model) {
    return json::parse(plica({"run", model, "-i", kTwo, "--json"}).out)["classes"];
  };
  EXPECT_EQ(classes(path("digits.plica")), classes(kDigits));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"inspect"},
        {"check"},
        {"profile", "--top", "3"},
        {"bench", "--duration", "0.01"},
        {"tune", "--duration", "0.01", "--cache", path("tuning.json")}}) {
    std::vector<std::string> words = command;
    words.insert(words.begin() + 1, path("digits.plica"));
    const Outcome outcome = plica(words);
    EXPECT_EQ(outcome.code, 0) << command[0] << ": " << outcome.err;
  }
  // Back to ONNX.
  ASSERT_EQ(plica({"optimize", path("digits.plica"), path("back.onnx"), "--verify"}).code, 0);
  EXPECT_EQ(classes(path("back.onnx")), classes(kDigits));
  // By the standard input, when that is a file.
  EXPECT_EQ(plica({"run", "-"}, "", " < digits.plica").code, 0);
}

TEST_F(CompileCommand, ForAnotherCpuIsPackedAnewAndSaysSo) {
  const std::string there = "ONEDNN_MAX_CPU_ISA=SSE41 ";
  const Outcome other = plica({"run", path("digits.plica"), "-i", kTwo}, there);
  EXPECT_EQ(other.code, 0);
  EXPECT_THAT(other.err, HasSubstr("digits.plica is compiled for cpu '"));
  EXPECT_THAT(other.err, HasSubstr("', here '"));
  EXPECT_EQ(std::count(other.err.begin(), other.err.end(), '\n'), 1);
  const Outcome quiet = plica({"run", path("digits.plica"), "-i", kTwo, "-q"}, there);
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ(quiet.out, other.out);
  // Compiled anew there.
  EXPECT_EQ(plica({"compile", path("digits.plica"), path("sse.plica")}, there).code, 0);
  EXPECT_EQ(plica({"run", path("sse.plica"), "-i", kTwo}, there).err, "");
}

TEST_F(CompileCommand, WrongUse) {
  expect_failure(2, {"compile", kDigits}, "OUT");
  expect_failure(2, {"compile", kDigits, "-"}, "OUT must be a file");
  expect_failure(2, {"compile", path("digits.plica"), path("digits.plica")}, "digits.plica");
  expect_failure(1, {"-q", "compile", kDigits, "/dev/null"}, "/dev/null: a compiled file is mapped");
  expect_failure(4, {"compile", path("none.onnx"), path("x.plica")}, "none.onnx");
  // Cut, it is no model.
  fs::resize_file(path("digits.plica"), fs::file_size(path("digits.plica")) - 1);
  expect_failure(4, {"run", path("digits.plica")}, "digits.plica: it is not complete");
}

}  // namespace
}  // namespace plica
