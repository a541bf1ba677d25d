#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

Tensor einsum(const std::string& equation, const std::vector<Tensor>& operands) {
  return run("Einsum", 12, operands, {{"equation", equation}});
}

const Tensor kMatrix = floats({2, 3}, {1, 2, 3, 4, 5, 6});

TEST(EinsumTest, OneOperand) {
  EXPECT_TENSOR(einsum("ij->ji", {kMatrix}), floats({3, 2}, {1, 4, 2, 5, 3, 6}));
  EXPECT_TENSOR(einsum("ij->i", {kMatrix}), floats({2}, {6, 15}));
  EXPECT_TENSOR(einsum("ij->", {kMatrix}), floats({}, {21}));
  EXPECT_TENSOR(einsum(" i j ", {kMatrix}), kMatrix);
  // Without an arrow the labels come in the order of their codes, capitals first.
  EXPECT_TENSOR(einsum("ba", {kMatrix}), floats({3, 2}, {1, 4, 2, 5, 3, 6}));
  EXPECT_TENSOR(einsum("aB", {kMatrix}), floats({3, 2}, {1, 4, 2, 5, 3, 6}));
  EXPECT_TENSOR(einsum("->", {floats({}, {7})}), floats({}, {7}));
}

TEST(EinsumTest, Diagonals) {
  const Tensor square = floats({2, 2}, {1, 2, 3, 4}), cube = iota(DataType::float32, {2, 2, 2});
  EXPECT_TENSOR(einsum("ii->i", {square}), floats({2}, {1, 4}));
  EXPECT_TENSOR(einsum("ii", {square}), floats({}, {5}));
  EXPECT_TENSOR(einsum("iji->j", {cube}), floats({2}, {0 + 5, 2 + 7}));
  EXPECT_TENSOR(einsum("...ii->...i", {cube}), floats({2, 2}, {0, 3, 4, 7}));
}

TEST(EinsumTest, TwoOperands) {
  const Tensor other = floats({3, 2}, {1, 0, 2, 1, 0, 3});
  EXPECT_TENSOR(einsum("ij,jk->ik", {kMatrix, other}), floats({2, 2}, {5, 11, 14, 23}));
  EXPECT_TENSOR(einsum("ij,jk", {kMatrix, other}), floats({2, 2}, {5, 11, 14, 23}));
  EXPECT_TENSOR(einsum("ij,jk->ki", {kMatrix, other}), floats({2, 2}, {5, 14, 11, 23}));
  EXPECT_TENSOR(einsum("ij,ji->", {kMatrix, other}), floats({}, {5 + 23}));
  EXPECT_TENSOR(einsum("ij,ij->ij", {kMatrix, kMatrix}), floats({2, 3}, {1, 4, 9, 16, 25, 36}));
  EXPECT_TENSOR(einsum("i,j->ij", {floats({2}, {1, 2}), floats({2}, {3, 4})}), floats({2, 2}, {3, 4, 6, 8}));
  // A label of one operand alone is summed before.
  EXPECT_TENSOR(einsum("ij,k->i", {kMatrix, floats({2}, {3, 4})}), floats({2}, {42, 105}));
}

TEST(EinsumTest, LongSums) {
  const Tensor a = random(DataType::float64, {3, 7, 21}, -1, 1, 1),
               b = random(DataType::float64, {3, 21, 10}, -1, 1, 2);
  const Tensor product = run("MatMul", 13, {a, b});
  EXPECT_TENSOR(einsum("bij,bjk->bik", {a, b}), product);
  EXPECT_TENSOR(einsum("bij,bjk->kbi", {a, b}),
                run("Transpose", 13, {product}, {{"perm", std::vector<int64_t>{2, 0, 1}}}));
}

TEST(EinsumTest, BatchesAndEllipses) {
  const Tensor a = iota(DataType::float32, {2, 2, 2}), b = iota(DataType::float32, {2, 2, 2}, 1);
  const Tensor product = floats({2, 2, 2}, {3, 4, 11, 16, 55, 64, 79, 92});
  EXPECT_TENSOR(einsum("bij,bjk->bik", {a, b}), product);
  EXPECT_TENSOR(einsum("...ij,...jk->...ik", {a, b}), product);
  EXPECT_TENSOR(einsum("...ij,...jk", {a, b}), product);
  // Dims of length 1 stretch.
  EXPECT_TENSOR(einsum("...i,...i->...", {kMatrix, floats({1, 3}, {1, 1, 2})}), floats({2}, {9, 21}));
  EXPECT_TENSOR(einsum("ij,j->i", {kMatrix, floats({1}, {2})}), floats({2}, {12, 30}));
}

TEST(EinsumTest, ManyOperands) {
  // x' A y, twice, with a label that the last operand still needs.
  EXPECT_TENSOR(einsum("i,ij,j->", {floats({2}, {1, 2}), kMatrix, floats({3}, {1, 0, 1})}),
                floats({}, {4 + 20}));
  EXPECT_TENSOR(einsum("ij,ik,i->jk", {kMatrix, kMatrix, floats({2}, {1, 0})}),
                floats({3, 3}, {1, 2, 3, 2, 4, 6, 3, 6, 9}));
}

TEST(EinsumTest, OtherTypes) {
  EXPECT_TENSOR(
      einsum("i,i->", {tensor(DataType::int8, {2}, {100, 3}), tensor(DataType::int8, {2}, {3, -1})}),
      tensor(DataType::int8, {}, {297 - 256}));
  EXPECT_TENSOR(
      einsum("i,i->", {tensor(DataType::uint64, {2}, {5, 7}), tensor(DataType::uint64, {2}, {2, 3})}),
      tensor(DataType::uint64, {}, {31}));
  EXPECT_TENSOR(
      einsum("i,i->", {tensor(DataType::int16, {2}, {-5, 7}), tensor(DataType::int16, {2}, {2, 3})}),
      tensor(DataType::int16, {}, {11}));
  EXPECT_TENSOR(einsum("i->", {tensor(DataType::float16, {3}, {0.5, 0.25, 1})}),
                tensor(DataType::float16, {}, {1.75}));
  const NamedAttributes attributes = {{"equation", std::string("i->")}};
  const Tensor bf16 = tensor(DataType::bfloat16, {2}, {1, 2});
  EXPECT_TENSOR(run("Einsum", 28, {bf16}, attributes), tensor(DataType::bfloat16, {}, {3}));
  expect_error([&] { run("Einsum", 27, {bf16}, attributes); }, ErrorCode::invalid_model, "bfloat16");
}

TEST(EinsumTest, EmptyDims) {
  EXPECT_TENSOR(einsum("ij,jk->ik", {floats({2, 0}, {}), floats({0, 2}, {})}), floats({2, 2}, {0, 0, 0, 0}));
  EXPECT_EQ(einsum("ij,jk->ik", {floats({0, 2}, {}), floats({2, 3}, {1, 2, 3, 4, 5, 6})}).dims(),
            (Dims{0, 3}));
}

TEST(EinsumTest, InfersSymbols) {
  const auto type = [](const char* equation, const std::vector<Facts>& inputs) {
    return inferred_type("Einsum", 12, inputs, {{"equation", std::string(equation)}});
  };
  const auto f32 = [](Shape shape) { return typed(DataType::float32, std::move(shape)); };
  EXPECT_EQ(type("bij,bjk->bik", {f32({symbol("N"), 2, symbol("M")}), f32({symbol("N"), symbol("M"), 5})}),
            "float32[N, 2, 5]");
  EXPECT_EQ(type("ij,jk->ik", {f32({symbol("N"), 2}), typed(DataType::float32)}), "float32[?, ?]");
  EXPECT_EQ(type("i...,i->...", {f32({3, symbol("N"), 4}), f32({3})}), "float32[N, 4]");
  EXPECT_EQ(type("...i->...", {typed(DataType::float32)}), "float32[...]");
  EXPECT_EQ(type("i,i->i", {f32({1}), f32({symbol("N")})}), "float32[N]");
}

TEST(EinsumTest, Refuses) {
  const auto refuse = [](const char* equation, const std::vector<Tensor>& operands, const char* part) {
    expect_error([&] { einsum(equation, operands); }, ErrorCode::invalid_model, part);
  };
  refuse("ij,jk->ik", {kMatrix}, "more terms");
  refuse("ij->i", {kMatrix, kMatrix}, "1 terms for 2");
  refuse("ijk->i", {kMatrix}, "rank 2");
  refuse("i->i", {kMatrix}, "rank 2");
  refuse("ijk...->i", {kMatrix}, "rank 2");
  refuse("ij->k", {kMatrix}, "no operand has");
  refuse("ij->ii", {kMatrix}, "repeats");
  refuse("ij->i->j", {kMatrix}, "character");
  refuse("i1->i", {kMatrix}, "character");
  refuse("i.j->i", {kMatrix}, "character");
  refuse("......->...", {kMatrix}, "two ellipses");
  refuse("ij->i,j", {kMatrix}, "character");
  refuse("ii->i", {kMatrix}, "label i");
  refuse("ij,jk->ik", {kMatrix, kMatrix}, "label j");
  refuse("...i,...j->ij", {kMatrix, floats({2}, {1, 2})}, "ellipsis");
  refuse("...,...->...", {kMatrix, floats({2, 2}, {1, 2, 3, 4})}, "ellipsis");
}

}  // namespace
}  // namespace plica::test
