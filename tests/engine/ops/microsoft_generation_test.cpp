// com.microsoft: what stands around models that generate text, and MurmurHash3.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

Tensor ms(const std::string& op, const std::vector<Tensor>& inputs, const NamedAttributes& attributes = {}) {
  return run(op, 1, inputs, attributes, "com.microsoft");
}

TEST(NGramRepeatBlock, ForbidsWhatFollowedBefore) {
  // 1 2 has been followed by 3 and by 0; 3 3 is new.
  const Tensor ids = ints({2, 8}, {1, 2, 3, 1, 2, 0, 1, 2, 0, 0, 0, 1, 2, 2, 3, 3}),
               scores = iota(DataType::float32, {2, 4});
  const auto with = [](int64_t n) { return NamedAttributes{{"ngram_size", n}}; };
  EXPECT_TENSOR(ms("NGramRepeatBlock", {ids, scores}, with(3)),
                floats({2, 4}, {-kInfinity, 1, 2, -kInfinity, 4, 5, 6, 7}));
  // No token a second time.
  EXPECT_TENSOR(ms("NGramRepeatBlock", {ints({1, 2}, {1, 3}), floats({1, 4}, {1, 2, 3, 4})}, with(1)),
                floats({1, 4}, {1, -kInfinity, 3, -kInfinity}));
  EXPECT_TENSOR(ms("NGramRepeatBlock", {ids, scores}, with(INT64_MAX)), scores);
  EXPECT_TENSOR(ms("NGramRepeatBlock", {ints({0, 3}, {}), floats({0, 4}, {})}, with(1)), floats({0, 4}, {}));
  expect_error(
      [&] {
        ms("NGramRepeatBlock", {ids, scores}, with(0));
      },
      ErrorCode::invalid_model, "ngram_size is 0");
  expect_error(
      [&] {
        ms("NGramRepeatBlock", {ints({1, 1}, {4}), floats({1, 4}, {0, 0, 0, 0})}, with(1));
      },
      ErrorCode::invalid_argument, "token 4");
  expect_error(
      [&] {
        ms("NGramRepeatBlock", {ids, floats({1, 4}, {0, 0, 0, 0})}, with(1));
      },
      ErrorCode::invalid_model, "batch_size");
}

TEST(UnfoldTensor, Windows) {
  const auto with = [](int64_t dim, int64_t size, int64_t step) {
    return NamedAttributes{{"dim", dim}, {"size", size}, {"step", step}};
  };
  EXPECT_TENSOR(ms("UnfoldTensor", {ints({6}, {0, 1, 2, 3, 4, 5})}, with(-1, 3, 2)),
                ints({2, 3}, {0, 1, 2, 2, 3, 4}));
  EXPECT_TENSOR(ms("UnfoldTensor", {ints({3, 2}, {0, 1, 2, 3, 4, 5})}, with(0, 2, 1)),
                ints({2, 2, 2}, {0, 2, 1, 3, 2, 4, 3, 5}));
  EXPECT_TENSOR(ms("UnfoldTensor", {ints({2}, {7, 8})}, with(0, 2, INT64_MAX)), ints({1, 2}, {7, 8}));
  EXPECT_TENSOR(ms("UnfoldTensor", {ints({0, 2}, {})}, with(1, 1, 1)), ints({0, 2, 1}, {}));
  expect_error(
      [&] {
        ms("UnfoldTensor", {ints({2}, {7, 8})}, with(0, 3, 1));
      },
      ErrorCode::invalid_model, "windows of 3 in an axis of 2");
  expect_error(
      [&] {
        ms("UnfoldTensor", {ints({2}, {7, 8})}, with(0, 1, 0));
      },
      ErrorCode::invalid_model, "positive");
}

TEST(DynamicTimeWarping, CheapestPath) {
  const auto path = [](Dims dims, const std::vector<double>& costs) {
    return ms("DynamicTimeWarping", {floats(std::move(dims), costs)});
  };
  const auto steps = [](int64_t n, const std::vector<double>& v) {
    return tensor(DataType::int32, {2, n}, v);
  };
  // Down the ones and along them to the right, with a short cut.
  EXPECT_TENSOR(path({3, 3}, {1, 9, 9, 1, 9, 9, 1, 1, 1}), steps(4, {0, 1, 2, 2, 0, 0, 1, 2}));
  EXPECT_TENSOR(path({1, 3, 3}, {0, 9, 9, 9, 0, 9, 9, 9, 0}), steps(3, {0, 1, 2, 0, 1, 2}));
  EXPECT_TENSOR(path({1, 3}, {1, 1, 1}), steps(3, {0, 0, 0, 0, 1, 2}));
  EXPECT_TENSOR(path({2, 1}, {1, 1}), steps(2, {0, 1, 0, 0}));
  // Of equals, from the left.
  EXPECT_TENSOR(path({2, 2}, {0, 0, 0, 0}), steps(3, {0, 1, 1, 0, 0, 1}));
  EXPECT_EQ(path({2, 2}, {kNan, kNan, kNan, kNan}).dim(0), 2);
  expect_error([&] { path({0, 3}, {}); }, ErrorCode::invalid_model, "no costs");
  expect_error([&] { path({2, 1, 1}, {1, 1}); }, ErrorCode::invalid_model, "one matrix");
}

TEST(MurmurHash3, KnownValues) {
  const auto hashes = [](const Tensor& x, int64_t positive = 1, int64_t seed = 0) {
    return ms("MurmurHash3", {x}, {{"positive", positive}, {"seed", seed}});
  };
  // Of the empty string with seeds 0 and 1; the others, of 1 to 9 bytes, as ONNX Runtime 1.32 gives them.
  EXPECT_TENSOR(hashes(Tensor::of(std::vector<std::string>{""}, {1})), tensor(DataType::uint32, {1}, {0}));
  EXPECT_TENSOR(hashes(Tensor::of(std::vector<std::string>{""}, {1}), 1, 1),
                tensor(DataType::uint32, {1}, {1364076727}));
  EXPECT_TENSOR(hashes(Tensor::of(std::vector<std::string>{"a", "abcd", "123456789"}, {3})),
                tensor(DataType::uint32, {3}, {1009084850, 1139631978, 3036607362}));
  EXPECT_TENSOR(hashes(Tensor::vector<int32_t>({0, 1}), 0),
                tensor(DataType::int32, {2}, {593689054, -68075478}));
  EXPECT_TENSOR(hashes(ints({1}, {1})), tensor(DataType::uint32, {1}, {1392991556}));
}

}  // namespace
}  // namespace plica::test
