#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

const Tensor kNone;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

NamedAttributes with(NamedAttributes attributes, std::string name, AttributeValue value) {
  attributes.emplace_back(std::move(name), std::move(value));
  return attributes;
}

// One sequence of numbers through a cell of one element.
Tensor x_of(const std::vector<double>& values) {
  return floats({static_cast<int64_t>(values.size()), 1, 1}, values);
}

const NamedAttributes kIdentity = {{"activations", std::vector<std::string>{"Affine"}}};

TEST(RecurrentTest, RnnAddsTheStateStepByStep) {
  // h = 2x + 0.5h + (1 + 0.25)
  const auto out = run_all("RNN", 14,
                           {x_of({1, 2, 3}), floats({1, 1, 1}, {2}), floats({1, 1, 1}, {0.5}),
                            floats({1, 2}, {1, 0.25}), kNone, floats({1, 1, 1}, {4})},
                           kIdentity, 2);
  EXPECT_TENSOR(out[0], floats({3, 1, 1, 1}, {5.25, 7.875, 11.1875}));
  EXPECT_TENSOR(out[1], floats({1, 1, 1}, {11.1875}));
}

TEST(RecurrentTest, BothDirectionsWithLengths) {
  // h = x + h: running sums from the front and from the end of each sequence; zeros after its end.
  const NamedAttributes attributes = {{"direction", std::string("bidirectional")},
                                      {"activations", std::vector<std::string>{"Affine", "Affine"}}};
  const Tensor ones = floats({2, 1, 1}, {1, 1});
  const auto out =
      run_all("RNN", 7,
              {floats({3, 2, 1}, {1, 10, 2, 20, 3, 30}), ones, ones, kNone, Tensor::vector<int32_t>({3, 2})},
              attributes, 2);
  EXPECT_TENSOR(out[0], floats({3, 2, 2, 1}, {1, 10, 6, 30, 3, 30, 5, 20, 6, 0, 3, 0}));
  EXPECT_TENSOR(out[1], floats({2, 2, 1}, {6, 30, 6, 30}));
  // A sequence without steps keeps its initial state.
  const auto empty = run_all("RNN", 7,
                             {floats({3, 2, 1}, {1, 10, 2, 20, 3, 30}), ones, ones, kNone,
                              Tensor::vector<int32_t>({1, 0}), floats({2, 2, 1}, {0, 7, 0, 8})},
                             attributes, 2);
  EXPECT_TENSOR(empty[1], floats({2, 2, 1}, {1, 7, 1, 8}));
}

TEST(RecurrentTest, LayoutOnlyMovesAxes) {
  const Tensor x = random(DataType::float32, {2, 3, 2}, -1, 1, 1),
               w = random(DataType::float32, {2, 8, 2}, -1, 1, 2),
               r = random(DataType::float32, {2, 8, 2}, -1, 1, 3);
  const NamedAttributes attributes = {{"direction", std::string("bidirectional")}};
  const auto batch_first = run_all("LSTM", 14, {x, w, r}, with(attributes, "layout", int64_t{1}), 3);
  const auto sequence_first =
      run_all("LSTM", 14, {run("Transpose", 13, {x}, {{"perm", std::vector<int64_t>{1, 0, 2}}}), w, r},
              attributes, 3);
  EXPECT_TENSOR(batch_first[0],
                run("Transpose", 13, {sequence_first[0]}, {{"perm", std::vector<int64_t>{2, 0, 1, 3}}}));
  for (const size_t i : {1u, 2u}) {
    EXPECT_TENSOR(batch_first[i],
                  run("Transpose", 13, {sequence_first[i]}, {{"perm", std::vector<int64_t>{1, 0, 2}}}));
  }
}

TEST(RecurrentTest, LstmEquations) {
  // Gates iofc of one element, with peepholes iof; two steps by hand.
  const double w[] = {0.5, -0.25, 1, 2}, r[] = {0.1, 0.2, 0.3, 0.4}, p[] = {0.7, -0.6, 0.5};
  double h = 0.25, c = -0.5;
  std::vector<double> ys;
  for (const double x : {1.0, -2.0}) {
    const auto gate = [&](int g) { return w[g] * x + r[g] * h; };
    const double i = sigmoid(gate(0) + p[0] * c), f = sigmoid(gate(2) + p[2] * c);
    c = f * c + i * std::tanh(gate(3));
    h = sigmoid(gate(1) + p[1] * c) * std::tanh(c);
    ys.push_back(h);
  }
  for (const DataType type : {DataType::float32, DataType::float64, DataType::float16}) {
    const auto t = [&](Dims dims, const std::vector<double>& values) {
      return tensor(type, std::move(dims), values);
    };
    const auto out =
        run_all("LSTM", 22,
                {t({2, 1, 1}, {1, -2}), t({1, 4, 1}, {0.5, -0.25, 1, 2}), t({1, 4, 1}, {0.1, 0.2, 0.3, 0.4}),
                 kNone, kNone, t({1, 1, 1}, {0.25}), t({1, 1, 1}, {-0.5}), t({1, 3}, {0.7, -0.6, 0.5})},
                {}, 3);
    const double tolerance = type == DataType::float16 ? 2e-3 : 1e-5;
    EXPECT_TENSOR(out[0], t({2, 1, 1, 1}, ys), tolerance, tolerance);
    EXPECT_TENSOR(out[2], t({1, 1, 1}, {c}), tolerance, tolerance);
  }
}

TEST(RecurrentTest, LstmCouplesInputAndForgetGate) {
  // i = sigmoid(0) = 0.5, f = 1 - i, g = x (Affine), h(c) = c: c = 0.5 * 8 + 0.5 * 2
  const auto out = run_all("LSTM", 7,
                           {x_of({2}), floats({1, 4, 1}, {0, 0, 9, 1}), floats({1, 4, 1}, {0, 0, 0, 0}),
                            kNone, kNone, kNone, floats({1, 1, 1}, {8})},
                           {{"input_forget", int64_t{1}},
                            {"activations", std::vector<std::string>{"Sigmoid", "Affine", "Affine"}}},
                           3);
  EXPECT_TENSOR(out[2], floats({1, 1, 1}, {5}));
  EXPECT_TENSOR(out[1], floats({1, 1, 1}, {2.5}));
}

TEST(RecurrentTest, GruResetsBeforeOrAfterTheProduct) {
  // z = 0.5, r = sigmoid(h); R of the candidate is 2, its Rb 1; h = 1, x = 0, g = identity
  const double r = sigmoid(1);
  const std::vector<Tensor> inputs = {x_of({0}),
                                      floats({1, 3, 1}, {0, 0, 1}),
                                      floats({1, 3, 1}, {0, 1, 2}),
                                      floats({1, 6}, {0, 0, 0.5, 0, 0, 1}),
                                      kNone,
                                      floats({1, 1, 1}, {1})};
  const NamedAttributes attributes = {{"activations", std::vector<std::string>{"sigmoid", "affine"}}};
  EXPECT_TENSOR(run("GRU", 14, inputs, attributes), floats({1, 1, 1, 1}, {0.5 * (2 * r + 1 + 0.5) + 0.5}));
  EXPECT_TENSOR(run("GRU", 14, inputs, with(attributes, "linear_before_reset", int64_t{1})),
                floats({1, 1, 1, 1}, {0.5 * (r * (2 + 1) + 0.5) + 0.5}));
}

TEST(RecurrentTest, Activations) {
  const auto f = [](const char* name, double x, std::vector<float> alpha = {}, std::vector<float> beta = {}) {
    NamedAttributes attributes = {{"activations", std::vector<std::string>{name}}};
    if (!alpha.empty()) attributes.emplace_back("activation_alpha", alpha);
    if (!beta.empty()) attributes.emplace_back("activation_beta", beta);
    return doubles(run("RNN", 14, {x_of({x}), floats({1, 1, 1}, {1}), floats({1, 1, 1}, {0})}, attributes))
        .at(0);
  };
  EXPECT_FLOAT_EQ(f("Relu", -3), 0);
  EXPECT_NEAR(f("Tanh", 1e-4), 1e-4, 1e-10);
  EXPECT_NEAR(f("Tanh", -3), std::tanh(-3.0), 1e-6);
  EXPECT_NEAR(f("Tanh", 1000), 1, 1e-7);
  EXPECT_NEAR(f("Sigmoid", -200), 0, 1e-30);
  EXPECT_NEAR(f("Sigmoid", 0.3), sigmoid(0.3), 1e-6);
  EXPECT_FLOAT_EQ(f("LeakyRelu", -2), -0.02);
  EXPECT_FLOAT_EQ(f("ThresholdedRelu", 0.5), 0);
  EXPECT_FLOAT_EQ(f("HardSigmoid", 1), 0.7);
  EXPECT_FLOAT_EQ(f("HardSigmoid", 1, {0.25f}, {0.5f}), 0.75);
  EXPECT_FLOAT_EQ(f("Elu", -1, {2}), 2 * std::expm1(-1.0));
  EXPECT_FLOAT_EQ(f("Softsign", -3), -0.75);
  EXPECT_FLOAT_EQ(f("Softplus", 100), 100);
  EXPECT_NEAR(f("ScaledTanh", 0.5, {3}, {2}), 3 * std::tanh(1.0), 1e-6);
  EXPECT_FLOAT_EQ(f("Affine", 2, {3}, {4}), 10);
}

TEST(RecurrentTest, ClipsTheInputOfActivations) {
  EXPECT_TENSOR(run("RNN", 14, {x_of({5, -9}), floats({1, 1, 1}, {1}), floats({1, 1, 1}, {0})},
                    with(kIdentity, "clip", 2.0f)),
                floats({2, 1, 1, 1}, {2, -2}));
}

TEST(RecurrentTest, WidthsThatFillNoVector) {
  // Against the cell's equation with plain loops.
  const int64_t steps = 3, batch = 5, size = 19, hidden = 37;
  const Tensor x = random(DataType::float32, {steps, batch, size}, -1, 1, 4),
               w = random(DataType::float32, {1, hidden, size}, -0.3, 0.3, 5),
               r = random(DataType::float32, {1, hidden, hidden}, -0.3, 0.3, 6);
  const auto xs = doubles(x), ws = doubles(w), rs = doubles(r);
  std::vector<double> ys, state(static_cast<size_t>(batch * hidden));
  for (int64_t t = 0; t < steps; ++t) {
    std::vector<double> next;
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t j = 0; j < hidden; ++j) {
        double sum = 0;
        for (int64_t i = 0; i < size; ++i)
          sum += xs[static_cast<size_t>((t * batch + b) * size + i)] * ws[static_cast<size_t>(j * size + i)];
        for (int64_t i = 0; i < hidden; ++i)
          sum += state[static_cast<size_t>(b * hidden + i)] * rs[static_cast<size_t>(j * hidden + i)];
        next.push_back(std::tanh(sum));
      }
    }
    state = next;
    ys.insert(ys.end(), next.begin(), next.end());
  }
  EXPECT_TENSOR(run("RNN", 14, {x, w, r}), floats({steps, 1, batch, hidden}, ys), 1e-5, 1e-5);
}

TEST(RecurrentTest, NoStepsAndNoBatch) {
  const Tensor w = floats({1, 4, 1}, {1, 1, 1, 1});
  const auto none =
      run_all("LSTM", 14, {floats({0, 2, 1}, {}), w, w, kNone, kNone, floats({1, 2, 1}, {3, 4})}, {}, 3);
  EXPECT_EQ(none[0].dims(), (Dims{0, 1, 2, 1}));
  EXPECT_TENSOR(none[1], floats({1, 2, 1}, {3, 4}));
  EXPECT_TENSOR(none[2], floats({1, 2, 1}, {0, 0}));
  EXPECT_EQ(run("LSTM", 14, {floats({2, 0, 1}, {}), w, w}).dims(), (Dims{2, 1, 0, 1}));
}

TEST(RecurrentTest, InfersSymbols) {
  const auto f32 = [](Shape shape) { return typed(DataType::float32, std::move(shape)); };
  EXPECT_EQ(inferred_type("GRU", 14, {f32({symbol("T"), symbol("N"), 8}), f32({2, 12, 8}), f32({2, 12, 4})},
                          {{"direction", std::string("bidirectional")}}),
            "float32[T, 2, N, 4]");
  EXPECT_EQ(
      inferred_type("LSTM", 14, {typed(DataType::float32), f32({1, 12, 8}), typed(DataType::float32)}, {}),
      "float32[?, 1, ?, ?]");
  EXPECT_EQ(inferred_type("LSTM", 14, {f32({symbol("T"), 2, 8}), f32({1, 12, 8}), f32({1, 12, 3})},
                          {{"hidden_size", int64_t{3}}}),
            "float32[T, 1, 2, 3]");
}

TEST(RecurrentTest, Refuses) {
  const Tensor x = floats({2, 1, 1}, {1, 2}), w = floats({1, 1, 1}, {1});
  const auto refuse = [&](const std::vector<Tensor>& inputs, const NamedAttributes& attributes,
                          const char* part, ErrorCode code = ErrorCode::invalid_model) {
    expect_error([&] { run("RNN", 14, inputs, attributes); }, code, part);
  };
  refuse({x, w, w}, {{"direction", std::string("backward")}}, "direction");
  refuse({x, w, w}, {{"direction", std::string("bidirectional")}}, "num_directions");
  refuse({x, w, w}, {{"activations", std::vector<std::string>{"Gelu"}}}, "not known");
  refuse({x, w, w}, {{"activations", std::vector<std::string>{}}}, "activations");
  refuse({x, w, w}, {{"layout", int64_t{2}}}, "layout");
  refuse({x, w, w}, {{"clip", -1.0f}}, "clip");
  refuse({x, w, w}, {{"hidden_size", int64_t{2}}}, "hidden_size");
  refuse({x, floats({1, 1, 2}, {1, 1}), w}, {}, "input_size");
  refuse({x, w, w, kNone, Tensor::vector<int32_t>({1, 1})}, {}, "batch_size");
  refuse({x, w, w, kNone, Tensor::vector<int32_t>({3})}, {}, "sequence length", ErrorCode::invalid_argument);
  refuse({x, w, w, kNone, Tensor::vector<int32_t>({-1})}, {}, "sequence length", ErrorCode::invalid_argument);
  refuse({x, w, w, kNone, kNone, tensor(DataType::float64, {1, 1, 1}, {1})}, {}, "type");
  refuse({floats({2, 1}, {1, 2}), w, w}, {}, "rank");
}

}  // namespace
}  // namespace plica::test
