// com.microsoft: DynamicQuantizeLSTM.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

const std::string kDomain = "com.microsoft";

std::vector<Tensor> dynamic_lstm(const std::vector<Tensor>& inputs, const NamedAttributes& attributes = {}) {
  return run_all("DynamicQuantizeLSTM", 1, inputs, attributes, 3, kDomain);
}

// Gates i and o are 1 and f is 0, all by the bias; so H = C = W x + R h, with h and x quantized.
std::vector<Tensor> linear_inputs() {
  const Tensor w = tensor(DataType::int8, {1, 1, 8}, {10, 10, 10, 10, 10, 10, 14, 8}),  // (2, -1)
      r = tensor(DataType::uint8, {1, 2, 8}, {0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 10}),
               bias = floats({1, 16}, {1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  return {floats({3, 1, 1}, {1, 0, 0.301}),
          w,
          r,
          bias,
          {},
          {},
          {},
          {},
          floats({1}, {0.5}),
          tensor(DataType::int8, {1}, {10}),
          floats({1}, {0.1}),
          tensor(DataType::uint8, {1}, {0})};
}
const NamedAttributes kLinear = {{"activations", std::vector<std::string>{"Affine", "Affine", "Affine"}}};

TEST(DynamicQuantizeLstm, QuantizesWhatItMultiplies) {
  const auto out = dynamic_lstm(linear_inputs(), kLinear);
  // X in steps of 1/255: 0.301 is 77/255. h0 = 0; h1 = (2, -1) in steps of 3/255, exactly;
  // h2 = (1.4, -1) in steps s = 2.4/255, zero point 106: (149 s, -106 s).
  const double s = 2.4 / 255, x = 77.0 / 255;
  EXPECT_TENSOR(out[0], floats({3, 1, 1, 2}, {2, -1, 1.4, -1, 2 * x + 0.7 * 149 * s, -x - 106 * s}));
  EXPECT_TENSOR(out[1], floats({1, 1, 2}, {2 * x + 0.7 * 149 * s, -x - 106 * s}));
  EXPECT_TENSOR(out[2], out[1]);
}

TEST(DynamicQuantizeLstm, IsNearLstmOfTheSameWeights) {
  const int64_t sequence = 5, batch = 3, input = 4, hidden = 3, rows = 4 * hidden;
  const Tensor x = random(DataType::float32, {sequence, batch, input}),
               bias = random(DataType::float32, {2, 2 * rows}, -1, 1, 2),
               lengths = Tensor::vector<int32_t>({5, 0, 3}),
               h = random(DataType::float32, {2, batch, hidden}, -1, 1, 3),
               c = random(DataType::float32, {2, batch, hidden}, -1, 1, 4),
               peepholes = random(DataType::float32, {2, 3 * hidden}, -1, 1, 5);
  // Weights with a scale of their own in each column.
  const Tensor scales = random(DataType::float32, {2, rows}, 0.002, 0.01, 6);
  const auto weights = [&](int64_t depth, uint64_t seed) {
    std::vector<double> q = doubles(random(DataType::float64, {2, depth, rows}, -127, 127, seed));
    for (double& v : q) v = std::nearbyint(v);
    std::vector<double> real(q.size());
    for (int64_t d = 0; d < 2; ++d) {
      for (int64_t k = 0; k < depth; ++k) {
        for (int64_t j = 0; j < rows; ++j)
          real[static_cast<size_t>((d * rows + j) * depth + k)] =
              q[static_cast<size_t>((d * depth + k) * rows + j)] *
              doubles(scales)[static_cast<size_t>(d * rows + j)];
      }
    }
    return std::pair(tensor(DataType::int8, {2, depth, rows}, q), floats({2, rows, depth}, real));
  };
  const auto [w, real_w] = weights(input, 7);
  const auto [r, real_r] = weights(hidden, 8);
  const Tensor zeros = tensor(DataType::int8, {2, rows}, std::vector<double>(static_cast<size_t>(2 * rows)));
  const NamedAttributes attributes = {{"direction", std::string("bidirectional")}, {"clip", 2.0f}};
  const auto out =
      dynamic_lstm({x, w, r, bias, lengths, h, c, peepholes, scales, zeros, scales, zeros}, attributes);
  const auto expected =
      run_all("LSTM", 7, {x, real_w, real_r, bias, lengths, h, c, peepholes}, attributes, 3);
  // A step of x and h is 2/255 at most, so rounding moves a gate by up to 7 * 1.27 / 255 = 0.035 and what
  // follows by less; gates are of the order of 1.
  for (size_t i = 0; i < 3; ++i) EXPECT_TENSOR(out[i], expected[i], 0, 0.05);
}

TEST(DynamicQuantizeLstm, RefusesWhatDoesNotFit) {
  const auto with = [&](size_t i, Tensor t) {
    auto inputs = linear_inputs();
    inputs[i] = std::move(t);
    return [inputs] { dynamic_lstm(inputs, kLinear); };
  };
  expect_error(with(8, floats({2}, {1, 1})), ErrorCode::invalid_model, "input 8 has shape [2]");
  expect_error(with(9, tensor(DataType::uint8, {1}, {0})), ErrorCode::invalid_model, "is of type uint8");
  expect_error(with(1, tensor(DataType::int8, {8}, {0, 0, 0, 0, 0, 0, 0, 0})), ErrorCode::invalid_model,
               "must have rank 3");
  expect_error(with(1, Tensor::zeros(DataType::int8, {1, 8, 1})), ErrorCode::invalid_model, "W has");
  expect_error(with(4, Tensor::vector<int32_t>({4})), ErrorCode::invalid_argument, "a sequence length is 4");
  expect_error(with(10, {}), ErrorCode::invalid_model, "input 10 is missing");
}

TEST(DynamicQuantizeLstm, OfNothing) {
  auto inputs = linear_inputs();
  inputs[0] = floats({0, 1, 1}, {});
  const auto none = dynamic_lstm(inputs, kLinear);
  EXPECT_TENSOR(none[0], floats({0, 1, 1, 2}, {}));
  EXPECT_TENSOR(none[1], floats({1, 1, 2}, {0, 0}));
  inputs[0] = floats({2, 0, 1}, {});
  EXPECT_TENSOR(dynamic_lstm(inputs, kLinear)[0], floats({2, 1, 0, 2}, {}));
}

}  // namespace
}  // namespace plica::test
