// --max-memory and --timeout, and what would need more than there is.
#include "tests/tools/program.h"

namespace plica {
namespace {

using LimitOptionsTest = ProgramTest;
using Ints = std::vector<int64_t>;

Value* integers(ModelBuilder& b, const std::string& name, const Ints& values) {
  return b.constant(name, Tensor::of(values, {static_cast<int64_t>(values.size())}));
}

// A small file whose result would take terabytes.
std::string bomb(const std::string& op) {
  ModelBuilder b;
  Value* x = b.input("x", Shape{1, 1, 2, 2});
  const int64_t much = 1'000'000'000'000;
  Value* y = nullptr;
  if (op == "ConstantOfShape") y = b.node(op, {integers(b, "shape", {much})}, "y");
  if (op == "Expand")
    y = b.node(op, {b.constant("one", Tensor::vector<float>({1})), integers(b, "shape", {much})}, "y");
  if (op == "Tile") y = b.node(op, {x, integers(b, "repeats", {1, 1, 1'000'000, 1'000'000})}, "y");
  if (op == "Range") {
    y = b.node(op,
               {b.constant("from", Tensor::scalar(0.f)), b.constant("to", Tensor::scalar(1e12f)),
                b.constant("step", Tensor::scalar(1.f))},
               "y");
  }
  if (op == "Resize") {
    Value* sizes = integers(b, "sizes", {1, 1, 1'000'000, 1'000'000});
    y = b.node(op, {x, nullptr, nullptr, sizes}, "y");
  }
  b.output(y);
  return b.bytes();
}

TEST_F(LimitOptionsTest, SmallFilesCannotClaimTerabytes) {
  for (const std::string op : {"ConstantOfShape", "Expand", "Tile", "Range", "Resize"}) {
    SCOPED_TRACE(op);
    const std::string model = write(op + ".onnx", bomb(op));
    expect_failure(4, {"-q", "run", model}, "of memory");
    expect_failure(4, {"-q", "run", model, "--no-optimize"}, "y'");
    expect_failure(4, {"-q", "run", model, "--max-memory", "1GB"}, "TB");
    EXPECT_EQ(plica({"check", model}).code, 0);
    EXPECT_EQ(plica({"inspect", model}).code, 0);
    const Outcome optimized = plica({"optimize", model, path("out.onnx")});
    ASSERT_EQ(optimized.code, 0) << optimized.err;
    EXPECT_LT(fs::file_size(path("out.onnx")), 100'000u);
  }
}

TEST_F(LimitOptionsTest, MemoryIsThatOfTensors) {
  EXPECT_EQ(plica({"run", kDigits, "-i", kTwo, "--max-memory", "100MB"}).code, 0);
  expect_failure(4, {"run", kDigits, "-i", kTwo, "--max-memory", "10kB"}, "allowed");
  expect_failure(2, {"run", kDigits, "--max-memory", "-1"}, "--max-memory");
  expect_failure(2, {"run", kDigits, "--max-memory", "many"}, "--max-memory");
}

// Loop(2^62 times, as long as a condition that stays true): carried = Concat(carried, carried) or
// Neg(carried).
std::string endless(bool growing) {
  ModelBuilder b;
  Value* x = b.input("x", Shape{8});
  Value* trips = b.constant("trips", Tensor::scalar(int64_t{1} << 62));
  Value* go = b.constant("go", Tensor::scalar(true));
  Value* y = b.node("Loop", {trips, go, x}, "y");
  Graph& body = *b.model.graph.add_subgraph(y->producer(), "body");
  body.add_input("i", Type::tensor(DataType::int64, Shape(Dims{})));
  Value* condition = body.add_input("condition", Type::tensor(DataType::boolean, Shape(Dims{})));
  Value* carried = body.add_input("carried", Type::tensor(DataType::float32));
  Value* on = body.add_value("on", Type::tensor(DataType::boolean));
  body.add_node("Identity", "", {condition}, {on});
  Value* next = body.add_value("next", Type::tensor(DataType::float32));
  if (growing) {
    Attributes attributes;
    attributes.set("axis", int64_t{0});
    body.add_node("Concat", "", {carried, carried}, {next}, std::move(attributes));
  } else {
    body.add_node("Neg", "", {carried}, {next});
  }
  body.add_output(on);
  body.add_output(next);
  b.output(y);
  return b.bytes();
}

TEST_F(LimitOptionsTest, EndlessLoopsEnd) {
  const std::string spins = write("spins.onnx", endless(false)), grows = write("grows.onnx", endless(true));
  for (const std::string command : {"run", "bench", "profile"})
    expect_failure(1, {"-q", command, spins, "--timeout", "0.3"}, "time limit of 0.3 s");
  for (const std::string command : {"check", "inspect"})
    expect_failure(1, {"-q", command, spins, "--timeout", "0.000001"}, "time limit");
  expect_failure(4, {"-q", "run", grows, "--max-memory", "50MB", "--timeout", "100"}, "allowed");
  EXPECT_EQ(plica({"optimize", spins, path("out.onnx"), "--timeout", "100"}).code, 0);
  expect_failure(2, {"run", spins, "--timeout", "0"}, "--timeout");
}

}  // namespace
}  // namespace plica
