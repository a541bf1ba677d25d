// The user's own inputs for --data.
#include "tools/samples.h"

#include "tests/tools/program.h"

namespace plica::tools {
namespace {

Model two_inputs(Dim batch) {
  ModelBuilder b;
  Value* x = b.input("x", Shape{batch, 2});
  Value* y = b.input("y", Shape{batch, 2});
  b.output(b.node("Add", {x, y}, "z"));
  return Model::parse(b.bytes());
}

Tensor counted(int64_t rows, float first) {
  Tensor t(DataType::float32, {rows, 2});
  for (int64_t i = 0; i < 2 * rows; ++i) t.mutable_data<float>()[i] = first + static_cast<float>(i);
  return t;
}

class SamplesTest : public ProgramTest {
 protected:
  std::string arrays(int64_t x_rows, int64_t y_rows) {
    return write("data.npz", serialize_npz({{"x", counted(x_rows, 0)},
                                            {"y", counted(y_rows, 100)},
                                            {"labels", Tensor::vector<int64_t>({1, 2, 3})}}));
  }
};

TEST_F(SamplesTest, RowsBecomeSets) {
  const Model open = two_inputs(Dim::symbol("N"));
  const Samples all = Samples::open(arrays(37, 37), open, {});
  ASSERT_EQ(all.size(), 3);
  EXPECT_EQ(all[0].at("x").dims(), (Dims{16, 2}));
  EXPECT_EQ(all[2].at("x").dims(), (Dims{5, 2}));
  EXPECT_EQ(all[2].at("x").data<float>()[0], 64);
  EXPECT_EQ(all[2].at("y").data<float>()[9], 100 + 73);
  EXPECT_EQ(all[0].size(), 2u);
  EXPECT_EQ(Samples::open(arrays(37, 37), open, {.limit = 4})[0].at("y").dims(), (Dims{4, 2}));
}

TEST_F(SamplesTest, ADeclaredBatchIsKept) {
  const Model fixed = two_inputs(3);
  const Samples all = Samples::open(arrays(7, 7), fixed, {});
  ASSERT_EQ(all.size(), 2);
  EXPECT_EQ(all[1].at("x").dims(), (Dims{3, 2}));
  EXPECT_EQ(all[1].at("x").data<float>()[0], 6);
  const Samples given = Samples::open(arrays(8, 8), two_inputs(Dim::symbol("N")),
                                      {.sizes = {.symbols = {{"N", 2}}, .shapes = {}}});
  EXPECT_EQ(given.size(), 4);
}

TEST_F(SamplesTest, ArraysOfDifferentLengthsAreOneSet) {
  const Samples one = Samples::open(arrays(4, 1), two_inputs(Dim()), {});
  ASSERT_EQ(one.size(), 1);
  EXPECT_EQ(one[0].at("x").dims(), (Dims{4, 2}));
  EXPECT_EQ(one[0].at("y").dims(), (Dims{1, 2}));
}

TEST_F(SamplesTest, FilesOfADirectory) {
  fs::create_directories(dir_ / "set" / "a");
  fs::copy(kTwo, dir_ / "set" / "a" / "one.png");
  fs::copy(kTwo, dir_ / "set" / "two.png");
  write("set/notes.txt", "no sample");
  const Samples samples = Samples::open(path("set"), Model::load(kDigits), {});
  ASSERT_EQ(samples.size(), 2);
  EXPECT_EQ(samples[1].at("image").dims(), (Dims{1, 1, 8, 8}));
  EXPECT_EQ(plica({"optimize", kDigits, "o.onnx", "--data", "set"}).code, 0);
}

TEST_F(SamplesTest, WhatIsWrongIsNamed) {
  const std::string lacking = write("lacking.npz", serialize_npz({{"x", counted(2, 0)}}));
  write("empty.npz", serialize_npz({{"image", Tensor(DataType::float32, {0, 1, 8, 8})}}));
  fs::create_directories(dir_ / "none");
  expect_failure(4, {"optimize", kDigits, "o.onnx", "--data", lacking}, "'image'");
  expect_failure(4, {"optimize", kDigits, "o.onnx", "--data", "empty.npz"}, "no samples");
  expect_failure(4, {"optimize", kDigits, "o.onnx", "--data", "none"}, "no samples");
  expect_failure(4, {"optimize", kDigits, "o.onnx", "--data", "absent.npz"}, "absent.npz");
  expect_failure(4, {"optimize", kDigits, "o.onnx", "--data", kDigits}, "digits.onnx");
}

}  // namespace
}  // namespace plica::tools
