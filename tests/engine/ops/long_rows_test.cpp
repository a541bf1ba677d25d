// Kernels with loops for many elements, on sizes around those of vectors and blocks, against plain loops.
#include <random>

#include "op_test.h"

namespace plica::test {
namespace {

Tensor noise(const Dims& dims, uint32_t seed = 1) {
  Tensor t(DataType::float32, dims);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (float& v : t.mutable_values<float>()) v = normal(random);
  return t;
}

Tensor int64s(const Dims& dims, std::vector<int64_t> values) { return Tensor::of(values, dims); }

TEST(LongRows, ExtremesWithNan) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const int64_t length : {1, 7, 31, 32, 33, 64, 100, 1000}) {
    for (const int64_t nan : {int64_t{-1}, int64_t{0}, length / 2, length - 1}) {
      Tensor x = noise({1, length});
      float* v = x.mutable_data<float>();
      for (int64_t i = 0; i < length; ++i) v[i] = std::nearbyint(v[i] * 8);  // with ties
      float most = v[0], least = v[0];
      for (int64_t i = 0; i < length; ++i) {
        most = std::max(most, v[i]);
        least = std::min(least, v[i]);
      }
      if (nan >= 0) v[nan] = most = least = kNan;
      const NamedAttributes last = {{"axes", std::vector<int64_t>{-1}}};
      EXPECT_TENSOR(run("ReduceMax", 13, {x}, last), Tensor::of(std::vector<float>{most}, {1, 1}));
      const std::vector<float> all(v, v + length);
      const auto same = [&](float value) {
        return [value](float e) { return std::isnan(value) ? std::isnan(e) : e == value; };
      };
      for (const auto& [op, value] : {std::pair("ArgMax", most), std::pair("ArgMin", least)}) {
        const int64_t first = std::find_if(all.begin(), all.end(), same(value)) - all.begin();
        EXPECT_TENSOR(run(op, 13, {x}, {{"axis", int64_t{1}}}), int64s({1, 1}, {first}));
        const int64_t final =
            length - 1 - (std::find_if(all.rbegin(), all.rend(), same(value)) - all.rbegin());
        EXPECT_TENSOR(run(op, 13, {x}, {{"axis", int64_t{1}}, {"select_last_index", int64_t{1}}}),
                      int64s({1, 1}, {final}));
      }
      EXPECT_TENSOR(run("ReduceMin", 13, {x}, last), Tensor::of(std::vector<float>{least}, {1, 1}));
    }
  }
}

TEST(LongRows, CumulativeSumsOfColumns) {
  for (const int64_t inner : {1, 5, 128, 300}) {
    for (const int64_t exclusive : {0, 1}) {
      for (const int64_t reverse : {0, 1}) {
        const Tensor x = noise({2, 9, inner});
        Tensor expected(DataType::float32, x.dims());
        for (int64_t o = 0; o < 2; ++o) {
          for (int64_t j = 0; j < inner; ++j) {
            double sum = 0;
            for (int64_t k = 0; k < 9; ++k) {
              const int64_t at = (o * 9 + (reverse ? 8 - k : k)) * inner + j;
              const double before = sum;
              sum += static_cast<double>(x.data<float>()[at]);
              expected.mutable_data<float>()[at] = static_cast<float>(exclusive ? before : sum);
            }
          }
        }
        EXPECT_TENSOR(
            run("CumSum", 14, {x, int64s({}, {1})}, {{"exclusive", exclusive}, {"reverse", reverse}}),
            expected);
      }
    }
  }
}

TEST(LongRows, HalfFloats) {
  // Every 9973rd float: as the conversion of a single one, which tests/engine/core tests.
  std::vector<float> values;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 9973)
    values.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  const Tensor x = Tensor::of(values, {static_cast<int64_t>(values.size())});
  const Tensor half = run("Cast", 13, {x}, {{"to", int64_t{10}}}),
               brain = run("Cast", 13, {x}, {{"to", int64_t{16}}});
  int wrong = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    wrong += half.values<Float16>()[i].bits != Float16(values[i]).bits;
    wrong += brain.values<BFloat16>()[i].bits != BFloat16(values[i]).bits;
  }
  EXPECT_EQ(wrong, 0);
}

TEST(LongRows, QuantizedBytes) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                  kInf = std::numeric_limits<float>::infinity();
  for (const int64_t axis : {0, 1, 2}) {
    const Dims dims = {3, 40, 50};
    Tensor x = noise(dims);
    std::copy_n(std::vector<float>{kNan, kInf, -kInf, 1e30f}.begin(), 4, x.mutable_data<float>());
    const int64_t scales = dims[static_cast<size_t>(axis)];
    Tensor scale(DataType::float32, {scales}), zero(DataType::int8, {scales});
    for (int64_t i = 0; i < scales; ++i) {
      scale.mutable_data<float>()[i] = 0.01f * static_cast<float>(i + 1);
      zero.mutable_data<int8_t>()[i] = static_cast<int8_t>(i - 5);
    }
    Tensor expected(DataType::int8, dims);
    for (int64_t i = 0; i < x.size(); ++i) {
      const int64_t s = axis == 0 ? i / 2000 : axis == 1 ? i / 50 % 40 : i % 50;
      const float q = std::nearbyint(x.data<float>()[i] / scale.data<float>()[s]) + zero.data<int8_t>()[s];
      expected.mutable_data<int8_t>()[i] =
          std::isnan(q) ? int8_t{0} : static_cast<int8_t>(std::clamp(q, -128.f, 127.f));
    }
    EXPECT_TENSOR(run("QuantizeLinear", 13, {x, scale, zero}, {{"axis", axis}}), expected);
    Tensor back(DataType::float32, dims);
    for (int64_t i = 0; i < x.size(); ++i) {
      const int64_t s = axis == 0 ? i / 2000 : axis == 1 ? i / 50 % 40 : i % 50;
      back.mutable_data<float>()[i] =
          static_cast<float>(expected.data<int8_t>()[i] - zero.data<int8_t>()[s]) * scale.data<float>()[s];
    }
    EXPECT_TENSOR(run("DequantizeLinear", 13, {expected, scale, zero}, {{"axis", axis}}), back);
  }
}

TEST(LongRows, ElementsByIndices) {
  const Dims data_dims = {4, 5, 6}, dims = {3, 5, 4};
  const Tensor x = noise(data_dims);
  for (const int64_t axis : {0, 1, 2}) {
    const int64_t size = data_dims[static_cast<size_t>(axis)];
    std::vector<int64_t> indices;
    Tensor gathered(DataType::float32, dims), scattered = x.clone();
    const Tensor updates = noise(dims, 2);
    for (int64_t a = 0, i = 0; a < 3; ++a) {
      for (int64_t b = 0; b < 5; ++b) {
        for (int64_t c = 0; c < 4; ++c, ++i) {
          const int64_t index = (a * 7 + b * 3 + c) % size;
          indices.push_back(i % 3 == 0 ? index - size : index);
          const int64_t p = axis == 0 ? index : a, q = axis == 1 ? index : b, r = axis == 2 ? index : c;
          gathered.mutable_data<float>()[i] = x.data<float>()[(p * 5 + q) * 6 + r];
          scattered.mutable_data<float>()[(p * 5 + q) * 6 + r] = updates.data<float>()[i];
        }
      }
    }
    const Tensor places = int64s(dims, indices);
    EXPECT_TENSOR(run("GatherElements", 13, {x, places}, {{"axis", axis}}), gathered);
    EXPECT_TENSOR(run("ScatterElements", 13, {x, places, updates}, {{"axis", axis}}), scattered);
    indices[7] = size;
    expect_error(
        [&] {
          run("GatherElements", 13, {x, int64s(dims, indices)}, {{"axis", axis}});
        },
        ErrorCode::invalid_argument, "out of range");
  }
}

// Rows without negative indices, which take a way of their own, but for one that is out of range.
TEST(LongRows, ElementsInRange) {
  const Tensor x = noise({2, 7});
  std::vector<int64_t> indices(2 * 45);
  Tensor expected(DataType::float32, {2, 45});
  for (size_t i = 0; i < indices.size(); ++i) {
    indices[i] = static_cast<int64_t>(i * 5 % 7);
    expected.mutable_data<float>()[i] = x.data<float>()[(i < 45 ? 0 : 7) + indices[i]];
  }
  const auto gather = [&] {
    return run("GatherElements", 13, {x, int64s({2, 45}, indices)}, {{"axis", int64_t{1}}});
  };
  EXPECT_TENSOR(gather(), expected);
  for (const size_t at : {0, 31, 44, 45, 89}) {
    const int64_t good = indices[at];
    for (const int64_t bad : {int64_t{7}, int64_t{-8}, INT64_MAX, INT64_MIN}) {
      indices[at] = bad;
      expect_error(gather, ErrorCode::invalid_argument, "out of range for an axis of size 7");
    }
    indices[at] = good - 7;
    EXPECT_TENSOR(gather(), expected);
    indices[at] = good;
  }
}

TEST(LongRows, Comparisons) {
  constexpr int64_t kCount = 77;
  for (const DataType type : {DataType::int64, DataType::uint64, DataType::int32, DataType::uint8,
                              DataType::int8, DataType::float32, DataType::float64, DataType::float16}) {
    SCOPED_TRACE(to_string(type));
    std::vector<double> a(kCount), b(kCount);
    for (size_t i = 0; i < a.size(); ++i) {
      a[i] = static_cast<double>(i * 3 % 5);
      b[i] = static_cast<double>(i * 2 % 7);
    }
    const Tensor x = tensor(type, {kCount}, a), y = tensor(type, {kCount}, b), two = tensor(type, {}, {2});
    const auto expect = [&](const char* op, auto holds) {
      std::vector<double> both, left, right;
      for (size_t i = 0; i < a.size(); ++i) {
        both.push_back(holds(a[i], b[i]));
        left.push_back(holds(2., b[i]));
        right.push_back(holds(a[i], 2.));
      }
      EXPECT_EQ(doubles(run(op, 16, {x, y})), both) << op;
      EXPECT_EQ(doubles(run(op, 16, {two, y})), left) << op;
      EXPECT_EQ(doubles(run(op, 16, {x, two})), right) << op;
    };
    expect("Equal", std::equal_to<>());
    expect("Less", std::less<>());
    expect("Greater", std::greater<>());
    expect("LessOrEqual", std::less_equal<>());
    expect("GreaterOrEqual", std::greater_equal<>());
  }
}

TEST(LongRows, TopOfEveryKind) {
  // Ties and both zeros by position, also where all are sorted.
  const Tensor x = Tensor::vector<float>({0.f, -0.f, 3, -2, 3, 0.f, -7, 1});
  for (const int64_t k : {1, 3, 5, 8}) {
    const std::vector<int64_t> down = {2, 4, 7, 0, 1, 5, 3, 6}, up = {6, 3, 0, 1, 5, 7, 2, 4};
    for (const int64_t largest : {0, 1}) {
      const auto r = run_all("TopK", 11, {x, int64s({1}, {k})}, {{"largest", largest}}, 2);
      const auto& order = largest ? down : up;
      EXPECT_TENSOR(r[1], int64s({k}, std::vector<int64_t>(order.begin(), order.begin() + k)));
    }
  }
  EXPECT_TENSOR(run("TopK", 24, {Tensor::vector<int64_t>({INT64_MIN, 5, INT64_MAX, -1}), int64s({1}, {4})}),
                Tensor::vector<int64_t>({INT64_MAX, 5, -1, INT64_MIN}));
  EXPECT_TENSOR(run("TopK", 24, {Tensor::vector<int8_t>({-128, 5, 127, -1}), int64s({1}, {4})}),
                Tensor::vector<int8_t>({127, 5, -1, -128}));
  EXPECT_TENSOR(run("TopK", 24, {Tensor::vector<double>({-1.5, 2.5, 1e300, -1e-300}), int64s({1}, {3})}),
                Tensor::vector<double>({1e300, 2.5, -1e-300}));
}

TEST(LongRows, PaddingByReflection) {
  const Tensor x = Tensor::vector<float>({1, 2, 3, 4, 5});
  const auto pad = [&](int64_t begin, int64_t end, const char* mode) {
    return run("Pad", 19, {x, int64s({2}, {begin, end})}, {{"mode", std::string(mode)}});
  };
  EXPECT_TENSOR(pad(2, 3, "reflect"), Tensor::vector<float>({3, 2, 1, 2, 3, 4, 5, 4, 3, 2}));
  EXPECT_TENSOR(pad(-1, 2, "reflect"), Tensor::vector<float>({2, 3, 4, 5, 4, 3}));
  EXPECT_TENSOR(pad(2, -1, "edge"), Tensor::vector<float>({1, 1, 1, 2, 3, 4}));
  EXPECT_TENSOR(pad(2, 2, "wrap"), Tensor::vector<float>({4, 5, 1, 2, 3, 4, 5, 1, 2}));
  EXPECT_TENSOR(pad(0, 0, "reflect"), x);
}

}  // namespace
}  // namespace plica::test
