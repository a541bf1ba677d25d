#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

const Tensor kA = Tensor::vector({1.f, 2.f}), kB = Tensor::vector({3.f});

Tensor sequence(std::vector<Tensor> elements) {
  return Tensor::container(DataType::sequence, std::move(elements));
}

void expect_elements(const Tensor& actual, const std::vector<Tensor>& expected) {
  ASSERT_EQ(actual.type(), DataType::sequence);
  ASSERT_EQ(actual.elements().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_TENSOR(actual.elements()[i], expected[i]);
}

TEST(Sequence, Construct) {
  expect_elements(run("SequenceConstruct", 11, {kA, kB}), {kA, kB});
  expect_elements(run("SequenceEmpty", 11, {}), {});
  expect_error(
      [] {
        run("SequenceConstruct", 11, {kA, Tensor::scalar<int64_t>(1)});
      },
      ErrorCode::invalid_model, "float32 and int64");
}

TEST(Sequence, Insert) {
  const Tensor s = sequence({kA, kB}), c = Tensor::vector({9.f});
  expect_elements(run("SequenceInsert", 11, {s, c}), {kA, kB, c});
  expect_elements(run("SequenceInsert", 11, {s, c, Tensor::scalar<int64_t>(0)}), {c, kA, kB});
  expect_elements(run("SequenceInsert", 11, {s, c, Tensor::scalar<int32_t>(-1)}), {kA, c, kB});
  expect_elements(run("SequenceInsert", 11, {s, c, Tensor::scalar<int64_t>(2)}), {kA, kB, c});
  expect_elements(s, {kA, kB});
  expect_error(
      [&] {
        run("SequenceInsert", 11, {s, c, Tensor::scalar<int64_t>(3)});
      },
      ErrorCode::invalid_argument, "position 3 is out of range for a sequence of 2");
  expect_error(
      [&] {
        run("SequenceInsert", 11, {s, Tensor::scalar<int64_t>(1)});
      },
      ErrorCode::invalid_model, "int64 cannot be put into a sequence of float32");
}

TEST(Sequence, EraseAtLength) {
  const Tensor s = sequence({kA, kB});
  expect_elements(run("SequenceErase", 11, {s}), {kA});
  expect_elements(run("SequenceErase", 11, {s, Tensor::scalar<int64_t>(-2)}), {kB});
  EXPECT_TENSOR(run("SequenceAt", 11, {s, Tensor::scalar<int64_t>(-1)}), kB);
  EXPECT_TENSOR(run("SequenceLength", 11, {s}), Tensor::scalar<int64_t>(2));
  expect_error(
      [&] {
        run("SequenceAt", 11, {s, Tensor::scalar<int64_t>(-3)});
      },
      ErrorCode::invalid_argument, "position -3");
  expect_error([&] { run("SequenceErase", 11, {sequence({})}); }, ErrorCode::invalid_argument, "empty");
  expect_error([&] { run("SequenceLength", 11, {kA}); }, ErrorCode::invalid_model, "float32");
  expect_error([&] { run("Relu", 14, {s}); }, ErrorCode::invalid_model, "is of kind sequence");
}

TEST(Sequence, Split) {
  const Tensor x = Tensor::of({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}, {2, 3});
  expect_elements(
      run("SplitToSequence", 11, {x}, {{"axis", int64_t{1}}}),
      {Tensor::of({1.f, 4.f}, {2, 1}), Tensor::of({2.f, 5.f}, {2, 1}), Tensor::of({3.f, 6.f}, {2, 1})});
  expect_elements(run("SplitToSequence", 11, {x}, {{"keepdims", int64_t{0}}}),
                  {Tensor::vector({1.f, 2.f, 3.f}), Tensor::vector({4.f, 5.f, 6.f})});
  expect_elements(run("SplitToSequence", 11, {x, Tensor::scalar<int64_t>(2)}, {{"axis", int64_t{-1}}}),
                  {Tensor::of({1.f, 2.f, 4.f, 5.f}, {2, 2}), Tensor::of({3.f, 6.f}, {2, 1})});
  expect_elements(run("SplitToSequence", 11, {x, Tensor::vector<int64_t>({0, 2})}),
                  {Tensor(DataType::float32, {0, 3}), x});
  expect_error(
      [&] {
        run("SplitToSequence", 11, {x, Tensor::vector<int64_t>({1, 2})});
      },
      ErrorCode::invalid_argument, "adds up to 3, the axis has 2");
  expect_error(
      [&] {
        run("SplitToSequence", 11, {x, Tensor::scalar<int64_t>(0)});
      },
      ErrorCode::invalid_argument, "split is 0");
}

TEST(Sequence, Concat) {
  EXPECT_TENSOR(run("ConcatFromSequence", 11, {sequence({kA, kB})}, {{"axis", int64_t{0}}}),
                Tensor::vector({1.f, 2.f, 3.f}));
  EXPECT_TENSOR(
      run("ConcatFromSequence", 11, {sequence({kA, kA})}, {{"axis", int64_t{-1}}, {"new_axis", int64_t{1}}}),
      Tensor::of({1.f, 1.f, 2.f, 2.f}, {2, 2}));
  const Tensor words = Tensor::vector<std::string>({"a", "b"});
  EXPECT_TENSOR(run("ConcatFromSequence", 11, {sequence({words, words})}, {{"axis", int64_t{0}}}),
                Tensor::vector<std::string>({"a", "b", "a", "b"}));
  expect_error(
      [] {
        run("ConcatFromSequence", 11, {sequence({kA, kB})}, {{"axis", int64_t{0}}, {"new_axis", int64_t{1}}});
      },
      ErrorCode::invalid_argument, "cannot be put together");
  expect_error(
      [] {
        run("ConcatFromSequence", 11, {sequence({})}, {{"axis", int64_t{0}}});
      },
      ErrorCode::invalid_argument, "empty");
}

TEST(Sequence, Optional) {
  const Tensor full = run("Optional", 15, {kA});
  ASSERT_EQ(full.type(), DataType::optional);
  EXPECT_TENSOR(run("OptionalGetElement", 15, {full}), kA);
  EXPECT_TENSOR(run("OptionalGetElement", 18, {kB}), kB);
  EXPECT_TENSOR(run("OptionalHasElement", 15, {full}), Tensor::scalar(true));
  const Tensor none = run("Optional", 15, {}, {{"type", Type::tensor(DataType::float32)}});
  EXPECT_TENSOR(run("OptionalHasElement", 15, {none}), Tensor::scalar(false));
  EXPECT_TENSOR(run("OptionalHasElement", 18, {kA}), Tensor::scalar(true));
  EXPECT_TENSOR(run("OptionalHasElement", 18, {}), Tensor::scalar(false));
  expect_error([&] { run("OptionalGetElement", 15, {none}); }, ErrorCode::invalid_argument,
               "the optional is empty");
  expect_error([] { run("Optional", 15, {}); }, ErrorCode::invalid_model, "neither an input nor a type");
}

}  // namespace
}  // namespace plica::test
