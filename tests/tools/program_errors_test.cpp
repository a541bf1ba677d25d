// What the program says and returns when it is used wrongly, or given bad models and inputs.
#include "tests/tools/program.h"

namespace plica {
namespace {

using Errors = ProgramTest;

// ---- usage

TEST_F(Errors, HelpAndVersion) {
  const Outcome help = plica({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* command : {"run", "optimize", "inspect", "bench", "tune", "profile", "test", "evaluate", "check",
                              "list-ops", "list-rules", "version"}) {
    EXPECT_THAT(help.out, HasSubstr(command));
    EXPECT_EQ(plica({command, "--help"}).code, 0) << command;
  }
  EXPECT_THAT(plica({"--version"}).out, StartsWith("plica "));
  EXPECT_THAT(plica({"version"}).out, HasSubstr("oneDNN"));
}

TEST_F(Errors, UsageErrorsAre2) {
  expect_failure(2, {}, "--help");
  expect_failure(2, {"fly"}, "--help");
  expect_failure(2, {"run"}, "MODEL");
  expect_failure(2, {"run", kDigits, "--shape", "image:1xq"}, "--shape");
  expect_failure(2, {"run", kDigits, "--dim", "N"}, "--dim");
  expect_failure(2, {"run", kDigits, "--threads", "0"}, "--threads");
  expect_failure(2, {"run", kDigits, "-i", kTwo, "--mean", "1;2"}, "--mean");
  expect_failure(2, {"run", kDigits, "-i", kTwo, "-i", kTwo}, "twice");
  expect_failure(2, {"optimize", kDigits}, "--in-place");
  expect_failure(2, {"optimize", kDigits, path("o.onnx"), "--report", path("r.txt")}, ".json");
  expect_failure(2, {"optimize", kDigits, path("o.onnx"), "--bisect"}, "--bisect");
  expect_failure(2, {"optimize", kDigits, path("o.onnx"), "--verify", "--tolerance", "-1"}, "--tolerance");
  expect_failure(2, {"test", PLICA_SOURCE_DIR "/models", "--update-list"}, "--list");
}

// ---- bad models

TEST_F(Errors, BadModelsAre4) {
  expect_failure(4, {"run", path("missing.onnx")}, "missing.onnx");
  expect_failure(4, {"inspect", dir_.string()}, dir_.filename().string());
  const std::string whole = slurp(kDigits);
  expect_failure(4, {"run", write("cut.onnx", whole.substr(0, whole.size() / 2))}, "cut.onnx");
  expect_failure(4, {"run", write("text.onnx", "This is no protobuf.\n")}, "text.onnx");
  expect_failure(4, {"run", write("empty.onnx", "")}, "empty.onnx");
  expect_failure(4, {"optimize", path("cut.onnx"), path("out.onnx")}, "cut.onnx");
  expect_failure(4, {"bench", path("text.onnx")}, "text.onnx");
  expect_failure(4, {"inspect", path("new\nline.onnx")}, "new\\x0aline.onnx");
}

TEST_F(Errors, UnknownOperatorsAre5AndAllNamed) {
  ModelBuilder b;
  b.model.opset_imports.emplace_back("com.example", 1);
  Value* x = b.input("x", Shape{2});
  Value* one = b.node("Frobnicate", {x}, "one", {}, "com.example");
  b.output(b.node("Embiggen", {one}, "two"));
  const std::string model = write("odd.onnx", b.bytes());
  for (const char* part : {"Frobnicate", "make_one", "Embiggen", "make_two", "odd.onnx"})
    expect_failure(5, {"run", model}, part);
  const Outcome check = plica({"check", model});
  EXPECT_EQ(check.code, 5);
  EXPECT_THAT(check.out, AllOf(HasSubstr("Frobnicate"), HasSubstr("Embiggen")));
  // Rewriting does not need to know them.
  EXPECT_EQ(plica({"optimize", model, path("still.onnx")}).code, 0);
}

// ---- bad inputs

TEST_F(Errors, BadInputsAre4) {
  const auto fails = [&](const std::string& input, const std::string& part) {
    expect_failure(4, {"run", kDigits, "-i", input}, part);
  };
  write("good.npy", npy(one_image()));
  EXPECT_EQ(plica({"run", kDigits, "-i", "good.npy"}).code, 0);
  EXPECT_EQ(plica({"run", kDigits, "-i", "image=good.npy"}).code, 0);
  fails("picture=good.npy", "'picture'");
  fails("missing.npy", "missing.npy");
  write("shape.npy", npy(Tensor::zeros(DataType::float32, {1, 1, 9, 8})));
  fails("shape.npy", "[1, 1, 9, 8]");
  write("type.npy", npy(Tensor::zeros(DataType::float64, {1, 1, 8, 8})));
  fails("type.npy", "float64");
  write("cut.npy", npy(one_image()).substr(0, 200));
  fails("cut.npy", "cut.npy");
  write("cut.png", slurp(kTwo).substr(0, 100));
  fails("cut.png", "cut.png");
  write("text.jpg", "no picture");
  fails("text.jpg", "text.jpg");
  write("bad.pb", "no tensor");
  fails("bad.pb", "bad.pb");
  write("bad.npz", "PK no archive");
  fails("bad.npz", "bad.npz");
  write("short.raw", "1234");
  fails("short.raw", "256 bytes");
  write("names.npz", tools::serialize_npz({{"a", one_image()}, {"b", one_image()}}));
  fails("names.npz", "'a'");
  expect_failure(4, {"run", kDigits, "--shape", "x:1"}, "'x'");
  expect_failure(4, {"run", kDigits, "--dim", "M=1"}, "'M'");
  expect_failure(4, {"run", kDigits, "-i", kTwo, "--labels", write("few.txt", "a\nb\n")}, "2 labels");
}

TEST_F(Errors, OutputsThatCantBeWrittenAre1) {
  expect_failure(1, {"-q", "run", kDigits, "-o", "/nonexistent/out.npz"}, "/nonexistent/out.npz");
  expect_failure(1, {"optimize", kDigits, "/nonexistent/out.onnx"}, "/nonexistent/out.onnx");
  if (fs::exists("/dev/full")) {
    EXPECT_EQ(plica({"inspect", kDigits}, "exec </dev/null; ", " >/dev/full; exit $?").code, 1);
  }
}

}  // namespace
}  // namespace plica
