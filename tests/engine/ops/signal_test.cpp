#include <numbers>

#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using Complex = std::complex<double>;

// By the definition, in O(n^2).
std::vector<Complex> transform(const std::vector<Complex>& x, double sign = -1) {
  const auto n = x.size();
  std::vector<Complex> y(n);
  for (size_t k = 0; k < n; ++k) {
    for (size_t j = 0; j < n; ++j)
      y[k] += x[j] * std::polar(1.0, sign * 2 * std::numbers::pi * static_cast<double>(j * k % n) /
                                         static_cast<double>(n));
  }
  return y;
}

std::vector<Complex> complexes(const Tensor& t) {
  const auto parts = doubles(t);
  std::vector<Complex> out(parts.size() / 2);
  for (size_t i = 0; i < out.size(); ++i) out[i] = {parts[2 * i], parts[2 * i + 1]};
  return out;
}

Tensor tensor_of(DataType type, const std::vector<Complex>& values, Dims dims) {
  std::vector<double> parts;
  for (const Complex& v : values) parts.insert(parts.end(), {v.real(), v.imag()});
  return tensor(type, std::move(dims), parts);
}

const NamedAttributes kInverse{{"inverse", int64_t{1}}}, kOnesided{{"onesided", int64_t{1}}},
    kInverseOnesided{{"inverse", int64_t{1}}, {"onesided", int64_t{1}}};

TEST(Dft, AnyLength) {
  // Radices 2, 4 and odd ones, their products, and lengths with a large prime factor.
  for (const int64_t n : {1, 2, 3, 4, 5, 6, 8, 11, 12, 16, 30, 31, 37, 60, 74, 97, 128, 143, 210, 331}) {
    const Tensor x = random(DataType::float64, {1, n, 2}, -1, 1, static_cast<uint64_t>(n));
    const Tensor expected = tensor_of(DataType::float64, transform(complexes(x)), {1, n, 2});
    EXPECT_TENSOR(run("DFT", 20, {x}), expected, 1e-10, 1e-11) << n;
    EXPECT_TENSOR(run("DFT", 17, {expected}, kInverse), x, 1e-10, 1e-11) << n;
  }
}

TEST(Dft, RealSignals) {
  for (const int64_t n : {1, 2, 5, 8, 37}) {
    const Tensor x = random(DataType::float64, {n, 1});
    std::vector<Complex> signal;
    for (const double v : doubles(x)) signal.emplace_back(v);
    std::vector<Complex> spectrum = transform(signal);
    EXPECT_TENSOR(run("DFT", 20, {x}), tensor_of(DataType::float64, spectrum, {n, 2}), 1e-10, 1e-11);
    spectrum.resize(static_cast<size_t>(n / 2 + 1));
    const Tensor half = run("DFT", 20, {x}, kOnesided);
    EXPECT_TENSOR(half, tensor_of(DataType::float64, spectrum, {n / 2 + 1, 2}), 1e-10, 1e-11);
    EXPECT_TENSOR(run("DFT", 20, {half, ints({}, {n})}, kInverseOnesided), x, 1e-10, 1e-11);
  }
  // Without a length, that of the shortest signal with such a spectrum: [1, 0, 0] has 4 elements.
  EXPECT_TENSOR(run("DFT", 17, {floats({1, 3, 2}, {4, 0, 0, 0, 0, 9})}, kInverseOnesided),
                floats({1, 4, 1}, {1, 1, 1, 1}));
}

TEST(Dft, AxesAndLengths) {
  // Axis 0 of [2, 3]: the sum and the difference of the rows.
  const Tensor x = iota(DataType::float32, {2, 3, 1});
  const Tensor expected = floats({2, 3, 2}, {3, 0, 5, 0, 7, 0, -3, 0, -3, 0, -3, 0});
  EXPECT_TENSOR(run("DFT", 20, {x, {}, ints({}, {0})}), expected);
  EXPECT_TENSOR(run("DFT", 20, {x, {}, ints({}, {-3})}), expected);
  EXPECT_TENSOR(run("DFT", 17, {x}, {{"axis", int64_t{0}}}), expected);
  // Cut to one element, or padded with a zero.
  EXPECT_TENSOR(run("DFT", 20, {x, ints({}, {1})}), floats({2, 1, 2}, {0, 0, 3, 0}));
  EXPECT_TENSOR(run("DFT", 17, {floats({1, 1, 1}, {5}), Tensor::scalar<int32_t>(3)}),
                floats({1, 3, 2}, {5, 0, 5, 0, 5, 0}));
  for (const DataType type : {DataType::float16, DataType::bfloat16})
    EXPECT_TENSOR(run("DFT", 20, {tensor(type, {2, 1}, {1, 2})}), tensor(type, {2, 2}, {3, 0, -1, 0}));
  EXPECT_EQ(run("DFT", 20, {Tensor(DataType::float32, {0, 4, 1})}).dims(), (Dims{0, 4, 2}));
}

TEST(Dft, InferenceAndErrors) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), symbol("L"), 1}),
              z = typed(DataType::float32, Shape{symbol("N"), 5, 2});
  EXPECT_EQ(inferred_type("DFT", 20, {x}), "float32[N, L, 2]");
  EXPECT_EQ(inferred_type("DFT", 20, {x, Facts::of(ints({}, {9}))}, kOnesided), "float32[N, 5, 2]");
  EXPECT_EQ(inferred_type("DFT", 20, {z}, kInverseOnesided), "float32[N, 8, 1]");
  // Along an axis that is not known sizes stay unless the transform changes them.
  EXPECT_EQ(inferred_type("DFT", 20, {z, {}, typed(DataType::int64)}), "float32[N, 5, 2]");
  EXPECT_EQ(inferred_type("DFT", 20, {x, {}, typed(DataType::int64)}, kOnesided), "float32[?, ?, 2]");
  Facts length = typed(DataType::int64, Shape{});
  length.elements = {symbol("M")};
  EXPECT_EQ(inferred_type("DFT", 20, {z, length}), "float32[N, M, 2]");
  const Tensor real = floats({1, 2, 1}, {1, 2});
  expect_error(
      [&] {
        run("DFT", 20, {real, ints({}, {0})});
      },
      ErrorCode::invalid_model, "length of the transform is 0");
  expect_error(
      [&] {
        run("DFT", 20, {real, {}, ints({}, {2})});
      },
      ErrorCode::invalid_model, "axis 2 is that of the real");
  expect_error([&] { run("DFT", 20, {real, {}, ints({}, {-1})}); }, ErrorCode::invalid_model, "axis -1");
  expect_error([&] { run("DFT", 20, {real}, kInverseOnesided); }, ErrorCode::invalid_model, "complex input");
  expect_error(
      [&] {
        run("DFT", 20, {floats({2, 2}, {1, 2, 3, 4})}, kOnesided);
      },
      ErrorCode::invalid_model, "real input");
  expect_error(
      [&] {
        run("DFT", 20, {floats({1, 3}, {1, 2, 3})});
      },
      ErrorCode::invalid_model, "last axis has 3");
}

TEST(Stft, Frames) {
  // Frames [0, 1], [2, 3], each a sum and a difference.
  const Tensor x = iota(DataType::float32, {1, 5, 1}), two = ints({}, {2});
  EXPECT_TENSOR(run("STFT", 17, {x, two, {}, two}), floats({1, 2, 2, 2}, {1, 0, -1, 0, 5, 0, -1, 0}));
  EXPECT_TENSOR(run("STFT", 17, {x, two, floats({2}, {1, 3})}),
                floats({1, 2, 2, 2}, {3, 0, -3, 0, 11, 0, -7, 0}));
  EXPECT_TENSOR(run("STFT", 17, {floats({1, 2, 2}, {1, 1, 2, -1}), two, {}, two}, {{"onesided", int64_t{0}}}),
                floats({1, 1, 2, 2}, {3, 0, -1, 2}));
  EXPECT_EQ(run("STFT", 17, {x, two}).dims(), (Dims{1, 1, 3, 2}));  // the frame is the signal
  const Facts signal = typed(DataType::float32, Shape{symbol("N"), symbol("L"), 1}),
              window = typed(DataType::float32, Shape{16});
  EXPECT_EQ(inferred_type("STFT", 17, {signal, Facts::of(ints({}, {4})), window}), "float32[N, ?, 9, 2]");
  expect_error(
      [&] {
        run("STFT", 17, {x, ints({}, {0}), {}, two});
      },
      ErrorCode::invalid_model, "frame step is 0");
  expect_error([&] { run("STFT", 17, {x, two, {}, ints({}, {6})}); }, ErrorCode::invalid_model, "a frame 6");
  expect_error(
      [&] {
        run("STFT", 17, {x, two, floats({2}, {1, 1}), ints({}, {3})});
      },
      ErrorCode::invalid_model, "window has 2");
  expect_error(
      [&] {
        run("STFT", 17, {floats({1, 2, 2}, {1, 1, 2, -1}), two});
      },
      ErrorCode::invalid_model, "real signal");
}

TEST(Windows, Values) {
  const Tensor four = ints({}, {4}), five = Tensor::scalar<int32_t>(5);
  const NamedAttributes symmetric{{"periodic", int64_t{0}}};
  EXPECT_TENSOR(run("HannWindow", 17, {four}), floats({4}, {0, .5, 1, .5}));
  EXPECT_TENSOR(run("HannWindow", 17, {five}, symmetric), floats({5}, {0, .5, 1, .5, 0}));
  EXPECT_TENSOR(run("HammingWindow", 17, {four}), floats({4}, {4.0 / 46, 25.0 / 46, 1, 25.0 / 46}));
  EXPECT_TENSOR(run("BlackmanWindow", 17, {five}, symmetric), floats({5}, {0, .34, 1, .34, 0}));
  EXPECT_TENSOR(run("HannWindow", 17, {ints({}, {1})}, symmetric), floats({1}, {1}));
  EXPECT_TENSOR(run("HannWindow", 17, {ints({}, {0})}), floats({0}, {}));
  EXPECT_TENSOR(run("HannWindow", 17, {four}, {{"output_datatype", int64_t{11}}}),
                tensor(DataType::float64, {4}, {0, .5, 1, .5}), 1e-15);
  EXPECT_TENSOR(run("HannWindow", 17, {four}, {{"output_datatype", int64_t{7}}}), ints({4}, {0, 0, 1, 0}), 0);
  EXPECT_EQ(inferred_type("HannWindow", 17, {typed(DataType::int64)}), "float32[?]");
  expect_error([&] { run("HannWindow", 17, {ints({}, {-1})}); }, ErrorCode::invalid_argument, "size is -1");
  expect_error(
      [&] {
        run("HannWindow", 17, {ints({2}, {1, 2})});
      },
      ErrorCode::invalid_model, "must have one");
  expect_error(
      [&] {
        run("HannWindow", 17, {four}, {{"output_datatype", int64_t{8}}});
      },
      ErrorCode::invalid_model, "output_datatype is 8");
}

TEST(MelWeightMatrix, Triangles) {
  const auto matrix = [](int64_t bins, int64_t length, int64_t rate, float low, float high) {
    return run(
        "MelWeightMatrix", 17,
        {ints({}, {bins}), ints({}, {length}), ints({}, {rate}), Tensor::scalar(low), Tensor::scalar(high)});
  };
  // mel(1000) = 999.99, so the edges are at 0, 333.3 and 666.6 mel: 0, 240.9, 564.7 Hz; times 17 / 1700: 0,
  // 2, 5.
  EXPECT_TENSOR(matrix(1, 16, 1700, 0, 1000), floats({9, 1}, {0, .5, 1, 2.0 / 3, 1.0 / 3, 0, 0, 0, 0}), 1e-6);
  EXPECT_EQ(matrix(0, 16, 1700, 0, 1000).dims(), (Dims{9, 0}));
  expect_error([&] { matrix(2, 16, 1000, 0, 20000); }, ErrorCode::invalid_argument,
               "above half of the sample rate");
  expect_error([&] { matrix(2, 16, 0, 0, 200); }, ErrorCode::invalid_argument, "sample rate is 0");
  expect_error([&] { matrix(2, 16, 1000, 300, 200); }, ErrorCode::invalid_argument, "edges are 300 and 200");
  expect_error([&] { matrix(2, 16, 1000, 0, kNan); }, ErrorCode::invalid_argument, "edges");
}

TEST(Stft, ARealSignalNeedsNoAxisForItsPart) {
  const Tensor x = Tensor::of({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}, {1, 6});
  const Tensor step = Tensor::scalar<int64_t>(2), length = Tensor::scalar<int64_t>(4);
  EXPECT_TENSOR(run("STFT", 17, {x, step, Tensor(), length}),
                run("STFT", 17, {x.reshaped({1, 6, 1}), step, Tensor(), length}));
}

}  // namespace
}  // namespace plica::test
