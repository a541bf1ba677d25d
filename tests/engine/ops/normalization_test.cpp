// Normalizations against their formulas in double.
#include <algorithm>

#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using Ints = std::vector<int64_t>;

struct Moments {
  double mean = 0, variance = 0;
};
Moments moments_of(const std::vector<double>& v) {
  Moments m;
  for (double x : v) m.mean += x / static_cast<double>(v.size());
  for (double x : v) m.variance += (x - m.mean) * (x - m.mean) / static_cast<double>(v.size());
  return m;
}

Tensor converted(const Tensor& t, DataType type) { return tensor(type, t.dims(), doubles(t)); }

// scale * (x - mean) / sqrt(variance + epsilon) + b for [outer, channels, inner]
Tensor naive_batch_norm(const Tensor& x, int64_t channels, int64_t inner, const Tensor& scale,
                        const Tensor& b, const Tensor& mean, const Tensor& variance, double epsilon) {
  auto v = doubles(x);
  const auto s = doubles(scale), shift = doubles(b), m = doubles(mean), var = doubles(variance);
  for (size_t i = 0; i < v.size(); ++i) {
    const size_t c = i / static_cast<size_t>(inner) % static_cast<size_t>(channels);
    v[i] = s[c] * (v[i] - m[c]) / std::sqrt(var[c] + epsilon) + shift[c];
  }
  return tensor(x.type(), x.dims(), v);
}

struct Parameters {
  Tensor scale, b, mean, variance;
  Parameters(Dims dims, DataType type = DataType::float32, DataType statistics = DataType::undefined) {
    if (statistics == DataType::undefined) statistics = type;
    scale = random(type, dims, 0.5, 2, 11);
    b = random(type, dims, -1, 1, 12);
    mean = random(statistics, dims, -1, 1, 13);
    variance = random(statistics, dims, 0.1, 2, 14);
  }
  std::vector<Tensor> inputs(const Tensor& x) const { return {x, scale, b, mean, variance}; }
};

TEST(BatchNormalization, InferenceInAllVersions) {
  const Tensor x = random(DataType::float32, {2, 5, 3, 4});
  const Parameters p({5});
  const Tensor expected = naive_batch_norm(x, 5, 12, p.scale, p.b, p.mean, p.variance, 1e-5);
  const NamedAttributes test = {{"is_test", int64_t{1}}};
  EXPECT_TENSOR(run("BatchNormalization", 1, p.inputs(x),
                    {{"is_test", int64_t{1}}, {"consumed_inputs", Ints{0, 0, 0, 1, 1}}}),
                expected);
  EXPECT_TENSOR(run("BatchNormalization", 6, p.inputs(x), test), expected);
  for (int64_t opset : {7, 8, 9, 13, 14, 15, 23})
    EXPECT_TENSOR(run("BatchNormalization", opset, p.inputs(x)), expected);
  EXPECT_TENSOR(run("BatchNormalization", 9, p.inputs(x), {{"epsilon", 0.5f}}),
                naive_batch_norm(x, 5, 12, p.scale, p.b, p.mean, p.variance, 0.5));
}

TEST(BatchNormalization, Ranks) {
  const Parameters p({3}), one({1});
  for (const Dims& dims : {Dims{4, 3}, Dims{4, 3, 7}, Dims{1, 3, 2, 2, 2}, Dims{0, 3, 2}}) {
    const Tensor x = random(DataType::float32, dims);
    int64_t inner = 1;
    for (size_t i = 2; i < dims.size(); ++i) inner *= dims[i];
    EXPECT_TENSOR(run("BatchNormalization", 9, p.inputs(x)),
                  naive_batch_norm(x, 3, inner, p.scale, p.b, p.mean, p.variance, 1e-5));
  }
  const Tensor vector = random(DataType::float32, {6});
  EXPECT_TENSOR(run("BatchNormalization", 9, one.inputs(vector)),
                naive_batch_norm(vector, 1, 1, one.scale, one.b, one.mean, one.variance, 1e-5));
}

TEST(BatchNormalization, NotSpatial) {
  const Tensor x = random(DataType::float32, {2, 3, 4});
  for (const Dims& dims : {Dims{3, 4}, Dims{12}}) {
    const Parameters p(dims);
    EXPECT_TENSOR(run("BatchNormalization", 7, p.inputs(x), {{"spatial", int64_t{0}}}),
                  naive_batch_norm(x, 12, 1, p.scale, p.b, p.mean, p.variance, 1e-5));
  }
  expect_error(
      [&] {
        run("BatchNormalization", 7, Parameters({3}).inputs(x), {{"spatial", int64_t{0}}});
      },
      ErrorCode::invalid_model, "3 elements for 12");
}

TEST(BatchNormalization, Types) {
  for (DataType type : {DataType::float64, DataType::float16, DataType::bfloat16}) {
    const Tensor x = random(type, {2, 3, 4});
    const Parameters p({3}, type);
    const double tolerance = type == DataType::float64 ? 1e-12 : type == DataType::float16 ? 2e-3 : 1e-2;
    EXPECT_TENSOR(run("BatchNormalization", 14, p.inputs(x)),
                  naive_batch_norm(x, 3, 4, p.scale, p.b, p.mean, p.variance, 1e-5f), tolerance, tolerance);
  }
  const Tensor x = random(DataType::float16, {2, 3, 4});
  const Parameters mixed({3}, DataType::bfloat16, DataType::float32);
  EXPECT_TENSOR(run("BatchNormalization", 15, mixed.inputs(x)),
                naive_batch_norm(x, 3, 4, mixed.scale, mixed.b, mixed.mean, mixed.variance, 1e-5), 2e-3,
                2e-3);
  expect_error([&] { run("BatchNormalization", 9, mixed.inputs(x)); }, ErrorCode::invalid_model, "");
}

TEST(BatchNormalization, Training) {
  const Tensor x = random(DataType::float32, {4, 2, 3}, -3, 3);
  const Parameters p({2});
  std::vector<double> mean, variance, running_mean, running_variance;
  const auto v = doubles(x), in_mean = doubles(p.mean), in_variance = doubles(p.variance);
  for (size_t c = 0; c < 2; ++c) {
    std::vector<double> channel;
    for (size_t n = 0; n < 4; ++n)
      channel.insert(channel.end(), v.begin() + static_cast<std::ptrdiff_t>((n * 2 + c) * 3),
                     v.begin() + static_cast<std::ptrdiff_t>((n * 2 + c) * 3 + 3));
    const Moments m = moments_of(channel);
    mean.push_back(m.mean);
    variance.push_back(m.variance);
    running_mean.push_back(in_mean[c] * 0.75 + m.mean * 0.25);
    running_variance.push_back(in_variance[c] * 0.75 + m.variance * 0.25);
  }
  const auto y =
      run_all("BatchNormalization", 15, p.inputs(x), {{"training_mode", int64_t{1}}, {"momentum", 0.75f}}, 3);
  EXPECT_TENSOR(y[0],
                naive_batch_norm(x, 2, 3, p.scale, p.b, floats({2}, mean), floats({2}, variance), 1e-5));
  EXPECT_TENSOR(y[1], floats({2}, running_mean));
  EXPECT_TENSOR(y[2], floats({2}, running_variance));
}

TEST(BatchNormalization, Refuses) {
  const Tensor x = random(DataType::float32, {2, 3, 4});
  const Parameters p({3}), four({4});
  expect_error([&] { run("BatchNormalization", 6, p.inputs(x)); }, ErrorCode::unsupported, "is_test");
  expect_error([&] { run_all("BatchNormalization", 9, p.inputs(x), {}, 5); }, ErrorCode::unsupported,
               "before opset 14");
  expect_error([&] { run_all("BatchNormalization", 14, p.inputs(x), {}, 3); }, ErrorCode::invalid_model,
               "training_mode is 0");
  expect_error([&] { run("BatchNormalization", 9, four.inputs(x)); }, ErrorCode::invalid_model,
               "scale has 4 elements for 3 channels");
  expect_error(
      [&] {
        run("BatchNormalization", 9, Parameters({3, 1}).inputs(x));
      },
      ErrorCode::invalid_model, "scale has rank 2");
  const auto f = [](Shape s) { return typed(DataType::float32, std::move(s)); };
  EXPECT_EQ(inferred_type("BatchNormalization", 9,
                          {f({symbol("N"), Dim(), symbol("H")}), f({3}), f({3}), f({3}), f({3})}),
            "float32[N, 3, H]");
}

// The rows of `length` elements normalized in place by f(row).
template <class F>
Tensor by_rows(const Tensor& x, int64_t length, const F& f) {
  auto v = doubles(x);
  for (size_t i = 0; i < v.size(); i += static_cast<size_t>(length)) {
    std::vector<double> row(v.begin() + static_cast<std::ptrdiff_t>(i),
                            v.begin() + static_cast<std::ptrdiff_t>(i) + length);
    f(row, i / static_cast<size_t>(length));
    std::ranges::copy(row, v.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return tensor(x.type(), x.dims(), v);
}
void standardize(std::vector<double>& row, double epsilon = 1e-5) {
  const Moments m = moments_of(row);
  for (double& v : row) v = (v - m.mean) / std::sqrt(m.variance + epsilon);
}

TEST(InstanceNormalization, Values) {
  const Tensor x = random(DataType::float32, {2, 3, 4, 5}, 5, 9), scale = floats({3}, {1, 2, -1}),
               b = floats({3}, {0, 1, 2});
  const Tensor expected = by_rows(x, 20, [&](auto& row, size_t i) {
    standardize(row);
    for (double& v : row) v = v * doubles(scale)[i % 3] + doubles(b)[i % 3];
  });
  for (int64_t opset : {1, 6, 22})
    EXPECT_TENSOR(run("InstanceNormalization", opset, {x, scale, b}), expected, 1e-4, 1e-5);
  EXPECT_TENSOR(run("InstanceNormalization", 22,
                    {converted(x, DataType::float16), converted(scale, DataType::float16),
                     converted(b, DataType::float16)}),
                converted(expected, DataType::float16), 2e-2, 2e-2);
  expect_error(
      [&] {
        run("InstanceNormalization", 6, {x, floats({2}, {1, 1}), b});
      },
      ErrorCode::invalid_model, "scale has shape [2]");
}

TEST(GroupNormalization, ByGroupAndByChannel) {
  const Tensor x = random(DataType::float32, {2, 4, 3});
  const auto expected = [&](const Tensor& scale, const Tensor& b, bool per_group) {
    return by_rows(x, 6, [&](auto& row, size_t i) {
      standardize(row);
      for (size_t j = 0; j < row.size(); ++j) {
        const size_t at = per_group ? i % 2 : i % 2 * 2 + j / 3;
        row[j] = row[j] * doubles(scale)[at] + doubles(b)[at];
      }
    });
  };
  const Tensor s2 = floats({2}, {2, 3}), b2 = floats({2}, {1, -1}), s4 = floats({4}, {1, 2, 3, 4}),
               b4 = floats({4}, {0, 1, 0, -1});
  EXPECT_TENSOR(run("GroupNormalization", 18, {x, s2, b2}, {{"num_groups", int64_t{2}}}),
                expected(s2, b2, true));
  EXPECT_TENSOR(run("GroupNormalization", 21, {x, s4, b4}, {{"num_groups", int64_t{2}}}),
                expected(s4, b4, false));
  expect_error(
      [&] {
        run("GroupNormalization", 21, {x, s4, b4}, {{"num_groups", int64_t{3}}});
      },
      ErrorCode::invalid_model, "do not divide into 3 groups");
  expect_error(
      [&] {
        run("GroupNormalization", 21, {x, s2, b2}, {{"num_groups", int64_t{2}}});
      },
      ErrorCode::invalid_model, "expected [4]");
}

TEST(LayerNormalization, AxesAndStatistics) {
  const Tensor x = random(DataType::float32, {2, 3, 4}, 1, 4), scale = random(DataType::float32, {3, 4}),
               b = random(DataType::float32, {4});
  const auto y =
      run_all("LayerNormalization", 17, {x, scale, b}, {{"axis", int64_t{-2}}, {"epsilon", 0.01f}}, 3);
  EXPECT_TENSOR(y[0],
                by_rows(x, 12,
                        [&](auto& row, size_t) {
                          standardize(row, 0.01f);
                          for (size_t j = 0; j < row.size(); ++j)
                            row[j] = row[j] * doubles(scale)[j] + doubles(b)[j % 4];
                        }),
                1e-4, 1e-5);
  const auto v = doubles(x);
  const Moments first = moments_of({v.begin(), v.begin() + 12});
  EXPECT_EQ(y[1].dims(), (Dims{2, 1, 1}));
  EXPECT_NEAR(y[1].data<float>()[0], first.mean, 1e-5);
  EXPECT_NEAR(y[2].data<float>()[0], 1 / std::sqrt(first.variance + 0.01), 1e-4);
  EXPECT_TENSOR(run("LayerNormalization", 17, {x, floats({1}, {1})}),
                by_rows(x, 4, [](auto& row, size_t) { standardize(row); }), 1e-4, 1e-5);
  expect_error(
      [&] {
        run("LayerNormalization", 17, {x, floats({3}, {1, 1, 1})});
      },
      ErrorCode::invalid_model, "scale of shape [3]");
  expect_error(
      [&] {
        run("LayerNormalization", 17, {x, floats({1}, {1})}, {{"axis", int64_t{3}}});
      },
      ErrorCode::invalid_model, "axis 3");
  EXPECT_EQ(to_string(infer_all("LayerNormalization", 17,
                                {typed(DataType::float16, Shape{symbol("N"), 4}),
                                 typed(DataType::float16, Shape{4})},
                                {}, 2)[1]
                          .type),
            "float32[N, 1]");
}

TEST(RMSNormalization, Values) {
  const Tensor x = random(DataType::float32, {3, 4}), scale = floats({4}, {1, 2, 3, 4});
  EXPECT_TENSOR(run("RMSNormalization", 23, {x, scale}), by_rows(x, 4, [&](auto& row, size_t) {
                  double squares = 0;
                  for (double v : row) squares += v * v / 4;
                  for (size_t j = 0; j < 4; ++j)
                    row[j] = row[j] / std::sqrt(squares + 1e-5) * static_cast<double>(j + 1);
                }));
}

TEST(LRN, Channels) {
  const Tensor x = random(DataType::float32, {2, 6, 3, 2});
  const auto v = doubles(x);
  for (int64_t size : {1, 3, 4}) {
    auto expected = v;
    for (int64_t n = 0; n < 2; ++n) {
      for (int64_t c = 0; c < 6; ++c) {
        for (int64_t i = 0; i < 6; ++i) {
          double squares = 0;
          for (int64_t k = std::max<int64_t>(0, c - (size - 1) / 2); k <= std::min<int64_t>(5, c + size / 2);
               ++k) {
            const double e = v[static_cast<size_t>((n * 6 + k) * 6 + i)];
            squares += e * e;
          }
          expected[static_cast<size_t>((n * 6 + c) * 6 + i)] /=
              std::pow(2.0 + 0.5 / static_cast<double>(size) * squares, 0.75);
        }
      }
    }
    EXPECT_TENSOR(run("LRN", 13, {x}, {{"size", size}, {"alpha", 0.5f}, {"bias", 2.0f}}),
                  floats(x.dims(), expected));
  }
  EXPECT_EQ(run("LRN", 1, {x}, {{"size", INT64_MAX}}).dims(), x.dims());
  expect_error([&] { run("LRN", 13, {x}, {{"size", int64_t{0}}}); }, ErrorCode::invalid_model, "size is 0");
}

TEST(LpNormalization, AxesAndZeros) {
  const Tensor x = floats({2, 3}, {3, -4, 0, 0, 0, 0});
  EXPECT_TENSOR(run("LpNormalization", 1, {x}), floats({2, 3}, {0.6, -0.8, 0, 0, 0, 0}));
  EXPECT_TENSOR(run("LpNormalization", 22, {x}, {{"p", int64_t{1}}}),
                floats({2, 3}, {3.0 / 7, -4.0 / 7, 0, 0, 0, 0}));
  EXPECT_TENSOR(run("LpNormalization", 1, {x}, {{"axis", int64_t{0}}}), floats({2, 3}, {1, -1, 0, 0, 0, 0}));
  expect_error(
      [&] {
        run("LpNormalization", 1, {x}, {{"p", int64_t{3}}});
      },
      ErrorCode::invalid_model, "p is 3");
}

TEST(MeanVarianceNormalization, Axes) {
  const Tensor x = random(DataType::float32, {3, 2, 4}, 2, 5);
  const auto standard = [](auto& row, size_t) { standardize(row, 0); };
  EXPECT_TENSOR(run("MeanVarianceNormalization", 9, {x}, {{"axes", Ints{1, 2}}}), by_rows(x, 8, standard),
                1e-4, 1e-5);
  // Over the first and the last axis: the middle one is a row each when it comes first.
  const NamedAttributes swap = {{"perm", Ints{1, 0, 2}}};
  const Tensor swapped = run("Transpose", 13, {x}, swap);
  EXPECT_TENSOR(
      run("Transpose", 13, {run("MeanVarianceNormalization", 13, {x}, {{"axes", Ints{0, -1}}})}, swap),
      by_rows(swapped, 12, standard), 1e-4, 1e-5);
  expect_error([&] { run("MeanVarianceNormalization", 13, {x}); }, ErrorCode::invalid_model, "axis 3");
}

}  // namespace
}  // namespace plica::test
