// Batches of products with Transposes around them.
#include <algorithm>
#include <numeric>

#include "runtime_test.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

Value* transpose(GraphMaker& g, Value* x, Ints perm) {
  return g.node("Transpose", {x}, {{"perm", std::move(perm)}});
}

// As exporters write it: [N, T, heads * size] to [N, heads, T, size] and back.
TEST(BatchProduct, Attention) {
  for (const int64_t images : {1, 3}) {
    GraphMaker g;
    const int64_t length = 11, heads = 3, size = 8, width = heads * size;
    Value* x = g.input({images, length, width});
    const auto split = [&](Ints perm) {
      Value* y = g.node("MatMul", {x, g.weights({width, width})});
      return transpose(g, g.node("Reshape", {y, g.ints({0, 0, heads, size})}), std::move(perm));
    };
    Value* scores = g.node("MatMul", {split({0, 2, 1, 3}), split({0, 2, 3, 1})});
    scores =
        g.node("Add", {g.node("Mul", {scores, g.scalar(0.35f)}), g.constant(g.random({length, length}))});
    Value* y = g.node("MatMul", {g.node("Softmax", {scores}, {{"axis", int64_t{-1}}}), split({0, 2, 1, 3})});
    g.output(g.node("Reshape", {transpose(g, y, {0, 2, 1, 3}), g.ints({0, 0, width})}));
    const PlanInfo info = check_against_reference(g, g.feed(), 24 * 24 * 11);
    EXPECT_EQ(count_steps(info, "reorder"), 0) << steps_of(info);
    EXPECT_EQ(count_steps(info, "MatMul"), 5) << steps_of(info);
  }
}

// Any order of axes, on all three sides, with and without functions of one element behind.
TEST(BatchProduct, AnyOrder) {
  for (const size_t rank : {3u, 4u, 5u}) {
    for (uint32_t seed = 0; seed < 24; ++seed) {
      SCOPED_TRACE(seed);
      GraphMaker g(seed + 1);
      std::mt19937 random(seed);
      const auto shuffled = [&] {
        Ints order(rank);
        std::iota(order.begin(), order.end(), 0);
        std::shuffle(order.begin(), order.end(), random);
        return order;
      };
      Dims batch;
      for (size_t i = 0; i + 2 < rank; ++i) batch.push_back(g.pick(1, 4));
      const int64_t m = g.pick(1, 9), k = g.pick(1, 9), n = g.pick(1, 20);
      const auto operand = [&](int64_t rows, int64_t columns) {
        const Ints perm = shuffled();
        Dims dims = batch, stored(rank);
        dims.push_back(rows);
        dims.push_back(columns);
        for (size_t i = 0; i < rank; ++i) stored[static_cast<size_t>(perm[i])] = dims[i];
        return transpose(g, g.input(stored), perm);
      };
      Value* y = g.node("MatMul", {operand(m, k), operand(k, n)});
      if (seed % 2) y = g.node("Relu", {g.node("Mul", {y, g.scalar(0.5f)})});
      if (seed % 3 == 0) y = g.node("Erf", {y});
      g.output(transpose(g, y, shuffled()));
      check_against_reference(g, g.feed(), static_cast<double>(k));
    }
  }
}

TEST(BatchProduct, WhatOthersReadToo) {
  GraphMaker g;
  Value* a = transpose(g, g.input({2, 5, 3, 4}), {0, 2, 1, 3});
  Value* b = transpose(g, g.input({2, 6, 3, 4}), {0, 2, 3, 1});
  Value* y = g.node("MatMul", {a, b});
  g.output(a);
  g.output(g.node("Relu", {b}));
  g.output(transpose(g, y, {0, 2, 1, 3}));
  g.output(g.node("Add", {y, g.input({3, 5, 6})}));
  check_against_reference(g, g.feed(), 4);
}

TEST(BatchProduct, AnOperandWithItself) {
  GraphMaker g;
  Value* x = g.input({2, 5, 3, 5});
  Value* t = transpose(g, x, {0, 2, 1, 3});
  g.output(g.node("MatMul", {t, t}));
  g.output(g.node("MatMul", {transpose(g, x, {0, 2, 1, 3}), transpose(g, x, {0, 2, 3, 1})}));
  g.output(g.node("MatMul", {g.input({0, 4, 5}), transpose(g, g.input({0, 3, 5}), {0, 2, 1})}));
  g.output(g.node("MatMul", {g.input({2, 4, 0}), transpose(g, g.input({2, 3, 0}), {0, 2, 1})}));
  check_against_reference(g, g.feed(), 5);
}

}  // namespace
}  // namespace plica::testing
