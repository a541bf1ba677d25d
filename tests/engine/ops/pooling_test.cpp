// Pools against loops over whole windows, and values worked out by hand.
#include <algorithm>

#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using Ints = std::vector<int64_t>;

struct Pool2d {
  Ints kernel, strides = {1, 1}, dilations = {1, 1}, pads = {0, 0, 0, 0};
  Dims output;
};

// fold(values of the window inside the input, number of its positions within the input with its padding)
template <class Fold>
Tensor naive_pool(const Tensor& x, const Pool2d& p, const Fold& fold) {
  const auto v = doubles(x);
  const int64_t h = x.dim(2), w = x.dim(3);
  std::vector<double> y;
  for (int64_t plane = 0; plane < x.dim(0) * x.dim(1); ++plane) {
    for (int64_t i = 0; i < p.output[0]; ++i) {
      for (int64_t j = 0; j < p.output[1]; ++j) {
        std::vector<double> window;
        int64_t padded = 0;
        for (int64_t a = 0; a < p.kernel[0]; ++a) {
          for (int64_t b = 0; b < p.kernel[1]; ++b) {
            const int64_t r = i * p.strides[0] + a * p.dilations[0] - p.pads[0],
                          c = j * p.strides[1] + b * p.dilations[1] - p.pads[1];
            padded += r < h + p.pads[2] && c < w + p.pads[3];
            if (r >= 0 && r < h && c >= 0 && c < w)
              window.push_back(v[static_cast<size_t>((plane * h + r) * w + c)]);
          }
        }
        y.push_back(fold(window, padded));
      }
    }
  }
  return tensor(x.type(), {x.dim(0), x.dim(1), p.output[0], p.output[1]}, y);
}

NamedAttributes attributes_of(const Pool2d& p, NamedAttributes more = {}) {
  more.insert(
      more.end(),
      {{"kernel_shape", p.kernel}, {"strides", p.strides}, {"dilations", p.dilations}, {"pads", p.pads}});
  return more;
}

double largest(const std::vector<double>& window, int64_t) { return *std::ranges::max_element(window); }
double sum(const std::vector<double>& window) {
  double s = 0;
  for (double v : window) s += v;
  return s;
}

const Pool2d kPlain{.kernel = {3, 2}, .output = {6, 8}};
const Pool2d kPadded{.kernel = {3, 3}, .strides = {2, 2}, .pads = {1, 0, 2, 1}, .output = {5, 4}};
const Pool2d kDilated{
    .kernel = {2, 3}, .strides = {1, 2}, .dilations = {3, 2}, .pads = {1, 1, 1, 1}, .output = {7, 4}};
const Pool2d kCeil{.kernel = {3, 3}, .strides = {3, 3}, .pads = {1, 1, 1, 1}, .output = {3, 4}};

TEST(MaxPool, Windows) {
  for (DataType type : {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16,
                        DataType::int8, DataType::uint8}) {
    const Tensor x = random(type, {2, 3, 8, 9}, type == DataType::uint8 ? 0 : -100, 100);
    for (const Pool2d& p : {kPlain, kPadded, kDilated})
      EXPECT_TENSOR(run("MaxPool", 22, {x}, attributes_of(p)), naive_pool(x, p, largest));
    EXPECT_TENSOR(run("MaxPool", 12, {x}, attributes_of(kCeil, {{"ceil_mode", int64_t{1}}})),
                  naive_pool(x, kCeil, largest));
  }
}

TEST(MaxPool, OneAndThreeAxes) {
  EXPECT_TENSOR(run("MaxPool", 8, {floats({1, 1, 5}, {1, 3, 2, 5, 4})},
                    {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}}),
                floats({1, 1, 2}, {3, 5}));
  EXPECT_TENSOR(
      run("MaxPool", 8, {iota(DataType::float32, {1, 1, 2, 3, 4})}, {{"kernel_shape", Ints{2, 2, 2}}}),
      floats({1, 1, 1, 2, 3}, {17, 18, 19, 21, 22, 23}));
}

TEST(MaxPool, Indices) {
  const Tensor x = floats({1, 2, 2, 3}, {1, 5, 5, 2, 0, 9, 7, 7, 7, 7, 7, 7});
  const NamedAttributes attributes = {{"kernel_shape", Ints{2, 2}}};
  auto y = run_all("MaxPool", 12, {x}, attributes, 2);
  EXPECT_TENSOR(y[0], floats({1, 2, 1, 2}, {5, 9, 7, 7}));
  EXPECT_TENSOR(y[1], ints({1, 2, 1, 2}, {1, 5, 6, 7}));
  y = run_all("MaxPool", 12, {x}, {{"kernel_shape", Ints{2, 2}}, {"storage_order", int64_t{1}}}, 2);
  EXPECT_TENSOR(y[1], ints({1, 2, 1, 2}, {2, 5, 6, 8}));  // column * 2 + row
}

TEST(MaxPool, NanWins) {
  const Tensor x = floats({1, 1, 4}, {1, kNan, 3, 4});
  EXPECT_TENSOR(run("MaxPool", 12, {x}, {{"kernel_shape", Ints{2}}}), floats({1, 1, 3}, {kNan, kNan, 4}));
  EXPECT_TENSOR(run_all("MaxPool", 12, {x}, {{"kernel_shape", Ints{2}}}, 2)[1], ints({1, 1, 3}, {1, 1, 3}));
}

TEST(MaxPool, HugeKernelsOfPaddingEnd) {
  const int64_t huge = int64_t{1} << 40;
  EXPECT_TENSOR(run("MaxPool", 12, {floats({1, 1, 2, 2}, {1, 2, 3, 4})},
                    {{"kernel_shape", Ints{huge, huge}}, {"pads", Ints{huge - 2, huge - 2, 0, 0}}}),
                floats({1, 1, 1, 1}, {4}));
}

TEST(AveragePool, Windows) {
  for (DataType type : {DataType::float32, DataType::float64}) {
    const Tensor x = random(type, {2, 3, 8, 9});
    const auto inside = [](const auto& w, int64_t) { return sum(w) / static_cast<double>(w.size()); };
    const auto all = [](const auto& w, int64_t padded) { return sum(w) / static_cast<double>(padded); };
    for (const Pool2d& p : {kPlain, kPadded, kDilated}) {
      EXPECT_TENSOR(run("AveragePool", 22, {x}, attributes_of(p)), naive_pool(x, p, inside));
      EXPECT_TENSOR(run("AveragePool", 19, {x}, attributes_of(p, {{"count_include_pad", int64_t{1}}})),
                    naive_pool(x, p, all));
    }
    // What a window of ceil_mode has beyond the padding counts for nothing.
    EXPECT_TENSOR(run("AveragePool", 19, {x}, attributes_of(kCeil, {{"ceil_mode", int64_t{1}}})),
                  naive_pool(x, kCeil, inside));
    EXPECT_TENSOR(run("AveragePool", 19, {x},
                      attributes_of(kCeil, {{"ceil_mode", int64_t{1}}, {"count_include_pad", int64_t{1}}})),
                  naive_pool(x, kCeil, all));
  }
}

TEST(AveragePool, Versions) {
  const Tensor x = floats({1, 1, 3}, {3, 6, 9});
  const NamedAttributes same = {{"kernel_shape", Ints{3}}, {"auto_pad", std::string("SAME_UPPER")}};
  EXPECT_TENSOR(run("AveragePool", 1, {x}, same), floats({1, 1, 3}, {4.5, 6, 7.5}));
  EXPECT_TENSOR(run("AveragePool", 7, {tensor(DataType::float16, {1, 1, 3}, {3, 6, 9})}, same),
                tensor(DataType::float16, {1, 1, 3}, {4.5, 6, 7.5}));
  expect_error(
      [&] {
        run("AveragePool", 1, {x}, {{"kernel_shape", Ints{3}}, {"count_include_pad", int64_t{1}}});
      },
      ErrorCode::invalid_model, "count_include_pad");
  expect_error(
      [&] {
        run("AveragePool", 11, {x}, {{"kernel_shape", Ints{1}}, {"dilations", Ints{1}}});
      },
      ErrorCode::invalid_model, "dilations");
}

TEST(LpPool, Windows) {
  const Tensor x = random(DataType::float32, {1, 2, 8, 9});
  for (int64_t p : {1, 2, 3}) {
    const auto norm = [p](const auto& window, int64_t) {
      double s = 0;
      for (double v : window) s += std::pow(std::abs(v), static_cast<double>(p));
      return std::pow(s, 1 / static_cast<double>(p));
    };
    for (const Pool2d& pool : {kPlain, kPadded, kDilated})
      EXPECT_TENSOR(run("LpPool", 18, {x}, attributes_of(pool, {{"p", p}})), naive_pool(x, pool, norm));
  }
  EXPECT_TENSOR(run("LpPool", 1, {floats({1, 1, 2}, {3, 4})}, {{"kernel_shape", Ints{2}}, {"p", 2.0f}}),
                floats({1, 1, 1}, {5}));
  expect_error(
      [&] {
        run("LpPool", 2, {x}, {{"kernel_shape", Ints{2, 2}}, {"p", int64_t{0}}});
      },
      ErrorCode::invalid_model, "p is 0");
}

TEST(Pools, Refuse) {
  const Tensor x(DataType::float32, {1, 1, 4, 4});
  const auto refuse = [&](const Tensor& in, const NamedAttributes& a, const char* part) {
    expect_error([&] { run("MaxPool", 12, {in}, a); }, ErrorCode::invalid_model, part);
  };
  refuse(x, {}, "'kernel_shape' is missing");
  refuse(x, {{"kernel_shape", Ints{2}}}, "'kernel_shape' has 1 values");
  refuse(x, {{"kernel_shape", Ints{2, 0}}}, "'kernel_shape' contains 0");
  refuse(x, {{"kernel_shape", Ints{5, 2}}}, "spans 5 elements");
  refuse(x, {{"kernel_shape", Ints{2, 2}}, {"storage_order", int64_t{2}}}, "storage_order");
  refuse(Tensor(DataType::float32, {1, 4}), {{"kernel_shape", Ints{2}}}, "rank 2");
  refuse(Tensor(DataType::int32, {1, 1, 4, 4}), {{"kernel_shape", Ints{2, 2}}}, "int32");
}

TEST(Pools, KeepSymbolsAndEmptyBatches) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 3, symbol("H"), 10});
  EXPECT_EQ(inferred_type("MaxPool", 12, {x}, {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}}),
            "float32[N, 3, H, 10]");
  EXPECT_EQ(inferred_type("AveragePool", 11, {x}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}),
            "float32[N, 3, ?, 5]");
  EXPECT_EQ(inferred_type("GlobalAveragePool", 1, {x}), "float32[N, 3, 1, 1]");
  EXPECT_EQ(
      run("MaxPool", 12, {Tensor(DataType::float32, {0, 2, 4, 4})}, {{"kernel_shape", Ints{2, 2}}}).dims(),
      (Dims{0, 2, 3, 3}));
}

TEST(GlobalPools, Values) {
  const Tensor x = random(DataType::float32, {2, 3, 5, 7});
  const auto v = doubles(x);
  std::vector<double> mean, max, norm1, norm2, norm3;
  for (size_t plane = 0; plane < 6; ++plane) {
    const std::vector<double> part(v.begin() + static_cast<std::ptrdiff_t>(plane * 35),
                                   v.begin() + static_cast<std::ptrdiff_t>(plane * 35 + 35));
    mean.push_back(sum(part) / 35);
    max.push_back(largest(part, 0));
    double s1 = 0, s2 = 0, s3 = 0;
    for (double e : part) s1 += std::abs(e), s2 += e * e, s3 += std::abs(e * e * e);
    norm1.push_back(s1), norm2.push_back(std::sqrt(s2)), norm3.push_back(std::cbrt(s3));
  }
  const Dims dims = {2, 3, 1, 1};
  EXPECT_TENSOR(run("GlobalAveragePool", 1, {x}), floats(dims, mean));
  EXPECT_TENSOR(run("GlobalMaxPool", 1, {x}), floats(dims, max));
  EXPECT_TENSOR(run("GlobalLpPool", 2, {x}), floats(dims, norm2));
  EXPECT_TENSOR(run("GlobalLpPool", 1, {x}, {{"p", 1.0f}}), floats(dims, norm1));
  EXPECT_TENSOR(run("GlobalLpPool", 22, {x}, {{"p", int64_t{3}}}), floats(dims, norm3));
  EXPECT_TENSOR(run("GlobalAveragePool", 22, {tensor(DataType::bfloat16, {1, 1, 4}, {1, 2, 3, 4})}),
                tensor(DataType::bfloat16, {1, 1, 1}, {2.5}));
  EXPECT_TENSOR(run("GlobalMaxPool", 1, {floats({1, 1, 3}, {1, kNan, 2})}), floats({1, 1, 1}, {kNan}));
  expect_error([] { run("GlobalMaxPool", 1, {floats({3}, {1, 2, 3})}); }, ErrorCode::invalid_model, "rank 1");
}

}  // namespace
}  // namespace plica::test
