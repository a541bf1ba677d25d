// MatMul and Gemm against triple loops.
#include "engine/core/parallel.h"
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

Tensor naive_product(const Tensor& a, const Tensor& b, int64_t m, int64_t k, int64_t n, bool ta, bool tb) {
  const auto va = doubles(a), vb = doubles(b);
  std::vector<double> y(static_cast<size_t>(m * n), 0);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t p = 0; p < k; ++p) {
        y[static_cast<size_t>(i * n + j)] += va[static_cast<size_t>(ta ? p * m + i : i * k + p)] *
                                             vb[static_cast<size_t>(tb ? j * k + p : p * n + j)];
      }
    }
  }
  return tensor(DataType::float64, {m, n}, y);
}

Tensor converted(const Tensor& t, DataType type) { return tensor(type, t.dims(), doubles(t)); }

TEST(MatMul, OddSizes) {
  for (const auto& [m, k, n] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
           {1, 1, 1}, {3, 5, 2}, {4, 8, 8}, {5, 300, 259}, {67, 13, 515}, {1, 700, 3}}) {
    const Tensor a = random(DataType::float32, {m, k}), b = random(DataType::float32, {k, n}, -1, 1, 2);
    EXPECT_TENSOR(run("MatMul", 13, {a, b}),
                  converted(naive_product(a, b, m, k, n, false, false), DataType::float32), 1e-5, 1e-4);
  }
}

// Sums of small integers are exact: the same in every type, by any blocking and number of threads.
TEST(MatMul, BlocksOfEveryType) {
  for (const DataType type : {DataType::float32, DataType::float64, DataType::int32, DataType::int64}) {
    for (const auto& [m, k, n] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{
             {1, 40, 65}, {7, 260, 130}, {8, 256, 256}, {16, 33, 100}, {17, 300, 64}, {150, 20, 290}}) {
      SCOPED_TRACE(to_string(Dims{m, k, n}));
      Tensor a(DataType::float64, {m, k}), b(DataType::float64, {k, n});
      for (int64_t i = 0; i < a.size(); ++i)
        a.mutable_data<double>()[i] = static_cast<double>(i * 31 % 17 - 8);
      for (int64_t i = 0; i < b.size(); ++i)
        b.mutable_data<double>()[i] = static_cast<double>(i * 37 % 19 - 9);
      const Tensor expected = converted(naive_product(a, b, m, k, n, false, false), type);
      for (const int threads : {1, 2, 5}) {
        const ThreadScope scope(threads);
        EXPECT_TENSOR(run("MatMul", 13, {converted(a, type), converted(b, type)}), expected);
      }
    }
  }
}

TEST(MatMul, Vectors) {
  const Tensor v = floats({3}, {1, 2, 3}), m = floats({3, 2}, {1, 2, 3, 4, 5, 6});
  EXPECT_TENSOR(run("MatMul", 9, {v, v}), floats({}, {14}));
  EXPECT_TENSOR(run("MatMul", 9, {v, m}), floats({2}, {22, 28}));
  EXPECT_TENSOR(run("MatMul", 9, {floats({2, 3}, {1, 0, 0, 0, 1, 1}), v}), floats({2}, {1, 5}));
}

TEST(MatMul, BatchesBroadcast) {
  const Tensor a = iota(DataType::float32, {2, 1, 2, 3}), b = iota(DataType::float32, {4, 3, 2});
  const Tensor y = run("MatMul", 13, {a, b});
  EXPECT_EQ(y.dims(), (Dims{2, 4, 2, 2}));
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t j = 0; j < 4; ++j) {
      const Tensor part = run("MatMul", 13,
                              {Tensor::of(a.values<float>().subspan(static_cast<size_t>(i * 6), 6), {2, 3}),
                               Tensor::of(b.values<float>().subspan(static_cast<size_t>(j * 6), 6), {3, 2})});
      EXPECT_TENSOR(Tensor::of(y.values<float>().subspan(static_cast<size_t>((i * 4 + j) * 4), 4), {2, 2}),
                    part);
    }
  }
  EXPECT_EQ(
      run("MatMul", 13, {Tensor(DataType::float32, {2, 3, 4}), Tensor(DataType::float32, {4, 5})}).dims(),
      (Dims{2, 3, 5}));
}

TEST(MatMul, TypesAndEmptyTensors) {
  EXPECT_TENSOR(run("MatMul", 9,
                    {Tensor::of<int32_t>({1, -2, 3, 4}, {2, 2}), Tensor::of<int32_t>({5, 6, -7, 8}, {2, 2})}),
                Tensor::of<int32_t>({19, -10, -13, 50}, {2, 2}));
  EXPECT_TENSOR(
      run("MatMul", 9,
          {Tensor::of<uint64_t>({uint64_t{1} << 63, 3}, {1, 2}), Tensor::of<uint64_t>({2, 5}, {2, 1})}),
      Tensor::of<uint64_t>({15}, {1, 1}));
  for (DataType type : {DataType::float16, DataType::bfloat16, DataType::float64}) {
    EXPECT_TENSOR(run("MatMul", 13, {tensor(type, {1, 2}, {1.5, 2}), tensor(type, {2, 1}, {4, 0.5})}),
                  tensor(type, {1, 1}, {7}));
  }
  EXPECT_TENSOR(run("MatMul", 13, {Tensor(DataType::float32, {2, 0}), Tensor(DataType::float32, {0, 2})}),
                floats({2, 2}, {0, 0, 0, 0}));
  EXPECT_EQ(run("MatMul", 13, {Tensor(DataType::float32, {0, 3}), Tensor(DataType::float32, {3, 2})}).dims(),
            (Dims{0, 2}));
}

TEST(MatMul, Refuses) {
  const auto refuse = [](const Tensor& a, const Tensor& b, const char* part) {
    expect_error([&] { run("MatMul", 13, {a, b}); }, ErrorCode::invalid_model, part);
  };
  const Tensor m(DataType::float32, {2, 3});
  refuse(m, m, "3 columns, the second 2 rows");
  refuse(m, Tensor(DataType::float32, {}), "scalar");
  refuse(Tensor(DataType::float32, {2, 2, 3}), Tensor(DataType::float32, {3, 3, 2}), "cannot be broadcast");
  refuse(m, Tensor(DataType::float64, {3, 2}), "element types");
  refuse(Tensor(DataType::int8, {2, 3}), Tensor(DataType::int8, {3, 2}), "element type int8");
}

TEST(MatMul, KeepsSymbols) {
  const Facts a = typed(DataType::float32, Shape{symbol("N"), symbol("T"), 8}),
              b = typed(DataType::float32, Shape{8, symbol("M")});
  EXPECT_EQ(inferred_type("MatMul", 13, {a, b}), "float32[N, T, M]");
  EXPECT_EQ(inferred_type("MatMul", 13, {a, typed(DataType::float32, Shape{8})}), "float32[N, T]");
  EXPECT_EQ(inferred_type("MatMul", 13, {a, typed(DataType::undefined)}), "float32[...]");
}

TEST(Gemm, TransposedScaledAndBroadcast) {
  const int64_t m = 7, k = 9, n = 11;
  for (bool ta : {false, true}) {
    for (bool tb : {false, true}) {
      const Tensor a = random(DataType::float32, ta ? Dims{k, m} : Dims{m, k}),
                   b = random(DataType::float32, tb ? Dims{n, k} : Dims{k, n}, -1, 1, 2);
      const auto product = doubles(naive_product(a, b, m, k, n, ta, tb));
      for (const Dims& dims : {Dims{}, Dims{1}, Dims{n}, Dims{1, n}, Dims{m, 1}, Dims{m, n}, Dims{1, 1}}) {
        const Tensor c = random(DataType::float32, dims, -1, 1, 3);
        const auto vc = doubles(c);
        std::vector<double> expected(product.size());
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t j = 0; j < n; ++j) {
            const int64_t row = dims.size() == 2 && dims[0] != 1 ? i * dims[1] : 0,
                          column = !dims.empty() && dims.back() != 1 ? j : 0;
            const size_t at = static_cast<size_t>(i * n + j);
            expected[at] = 0.5 * product[at] + 2 * vc[static_cast<size_t>(row + column)];
          }
        }
        const NamedAttributes attributes = {
            {"alpha", 0.5f}, {"beta", 2.0f}, {"transA", int64_t{ta}}, {"transB", int64_t{tb}}};
        EXPECT_TENSOR(run("Gemm", 13, {a, b, c}, attributes), floats({m, n}, expected), 1e-5, 1e-5);
      }
    }
  }
}

TEST(Gemm, WithoutC) {
  EXPECT_TENSOR(run("Gemm", 11, {floats({1, 2}, {1, 2}), floats({2, 1}, {3, 4})}, {{"alpha", 2.0f}}),
                floats({1, 1}, {22}));
  expect_error(
      [] {
        run("Gemm", 9, {floats({1, 2}, {1, 2}), floats({2, 1}, {3, 4})});
      },
      ErrorCode::invalid_model, "input 2 is missing");
}

TEST(Gemm, Types) {
  EXPECT_TENSOR(run("Gemm", 13,
                    {Tensor::of<int64_t>({1, 2}, {1, 2}), Tensor::of<int64_t>({int64_t{1} << 53, 3}, {2, 1}),
                     Tensor::of<int64_t>({1}, {1})}),
                Tensor::of<int64_t>({(int64_t{1} << 53) + 7}, {1, 1}));
  EXPECT_TENSOR(run("Gemm", 13, {Tensor::of<int32_t>({3}, {1, 1}), Tensor::of<int32_t>({5}, {1, 1})},
                    {{"alpha", 0.5f}}),
                Tensor::of<int32_t>({7}, {1, 1}));
  for (DataType type : {DataType::float16, DataType::bfloat16, DataType::float64}) {
    EXPECT_TENSOR(run("Gemm", 13,
                      {tensor(type, {1, 2}, {1, 2}), tensor(type, {2, 1}, {3, 4}), tensor(type, {1}, {0.5})}),
                  tensor(type, {1, 1}, {11.5}));
  }
}

TEST(Gemm, OldBroadcastAttribute) {
  const Tensor a = floats({2, 1}, {1, 2}), b = floats({1, 2}, {3, 4}), c = floats({2}, {10, 20});
  EXPECT_TENSOR(run("Gemm", 6, {a, b, c}, {{"broadcast", int64_t{1}}}), floats({2, 2}, {13, 24, 16, 28}));
  expect_error([&] { run("Gemm", 6, {a, b, c}); }, ErrorCode::invalid_model, "C has rank 1");
  expect_error(
      [&] {
        run("Gemm", 7, {a, b, c}, {{"broadcast", int64_t{1}}});
      },
      ErrorCode::invalid_model, "'broadcast'");
}

TEST(Gemm, RefusesAndKeepsSymbols) {
  const Tensor a(DataType::float32, {2, 3}), b(DataType::float32, {3, 4});
  expect_error([&] { run("Gemm", 13, {a, a}); }, ErrorCode::invalid_model, "3 columns, the second 2 rows");
  expect_error(
      [&] {
        run("Gemm", 13, {a, b, Tensor(DataType::float32, {3})});
      },
      ErrorCode::invalid_model, "does not broadcast");
  expect_error(
      [&] {
        run("Gemm", 13, {a, b, Tensor(DataType::float32, {1, 2, 4})});
      },
      ErrorCode::invalid_model, "C has rank 3");
  expect_error(
      [&] {
        run("Gemm", 13, {Tensor(DataType::float32, {2, 3, 1}), b});
      },
      ErrorCode::invalid_model, "matrices");
  EXPECT_EQ(
      inferred_type("Gemm", 13,
                    {typed(DataType::float32, Shape{symbol("N"), 3}), typed(DataType::float32, Shape{5, 3})},
                    {{"transB", int64_t{1}}}),
      "float32[N, 5]");
}

}  // namespace
}  // namespace plica::test
