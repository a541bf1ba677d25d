// The comparison of a model before and after: what it lets pass, and what it must not.
#include "tools/verify.h"

#include "tests/tools/program.h"

namespace plica::tools {
namespace {

Model parsed(const ModelGraph& graph) { return Model::parse(serialize_model(graph)); }

// The model with element `index` of the initializer changed by a relative `by`.
Model changed(const Model& model, const std::string& initializer, int64_t index, float by) {
  const std::string bytes = model.serialize();
  auto graph = parse_model(std::as_bytes(std::span(bytes)));
  Value* value = graph->graph.find(initializer);
  Tensor tensor = value->initializer()->clone();
  tensor.mutable_data<float>()[index] *= 1 + by;
  graph->graph.set_initializer(value, tensor);
  return parsed(*graph);
}

std::vector<std::string> float_initializers(const Model& model) {
  const std::string bytes = model.serialize();
  const auto graph = parse_model(std::as_bytes(std::span(bytes)));
  std::vector<std::string> out;
  for (const Value* value : graph->graph.initializers()) {
    if (value->initializer()->type() == DataType::float32 && value->initializer()->rank() > 1)
      out.push_back(value->name());
  }
  return out;
}

VerifyOptions seeded(uint64_t seed = 0) { return {.seed = seed, .threads = 1}; }

TEST(Verify, FoldingPassesForManySeeds) {
  const Model before = Model::load(kDigits);
  Model after = before;
  const Report report = after.optimize();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Report::Verification v = Verifier(before, seeded(seed)).compare(after, report);
    EXPECT_TRUE(v.equal) << "seed " << seed << ": " << v.max_difference << " > " << v.tolerance;
    EXPECT_GT(v.sensitivity, 0);
    EXPECT_LT(v.tolerance, 1e-4) << "seed " << seed;
  }
}

TEST(Verify, AWeightThatIsOffByAThousandthIsCaught) {
  const Model before = Model::parse(conv_batch_norm_model());
  Model after = before;
  const Report report = after.optimize();
  const Verifier verifier(before, seeded());
  EXPECT_TRUE(verifier.compare(after, report).equal);
  const std::vector<std::string> weights = float_initializers(after);
  ASSERT_EQ(weights.size(), 1u);
  for (int64_t i = 0; i < 4; ++i) {
    const Report::Verification v = verifier.compare(changed(after, weights[0], i, 1e-3f), report);
    EXPECT_FALSE(v.equal) << "element " << i;
    EXPECT_GT(v.max_difference, 10 * v.tolerance) << "element " << i;
    EXPECT_EQ(v.worst_output, "y");
  }
}

// In the digits network, on digits: 1e-3 of all weights of one channel of any layer.
TEST(Verify, AChannelThatIsOffByAThousandthIsCaughtInANetwork) {
  const Model before = Model::load(kDigits);
  Model after = before;
  const Report report = after.optimize();
  const Samples samples = Samples::open(kTestData, before, {.limit = 128});
  VerifyOptions options = seeded();
  options.inputs = 0;
  options.data = &samples;
  const Verifier verifier(before, options);
  EXPECT_TRUE(verifier.compare(after, report).equal);
  const std::string bytes = after.serialize();
  int tried = 0;
  for (const std::string& name : float_initializers(after)) {
    auto graph = parse_model(std::as_bytes(std::span(bytes)));
    Value* value = graph->graph.find(name);
    Tensor tensor = value->initializer()->clone();
    const int64_t row = tensor.size() / tensor.dim(0);
    for (int64_t i = 0; i < row; ++i) tensor.mutable_data<float>()[i] *= 1.001f;
    graph->graph.set_initializer(value, tensor);
    ++tried;
    const auto v = verifier.compare(parsed(*graph), report);
    EXPECT_FALSE(v.equal) << name << ": " << v.max_difference << " <= " << v.tolerance;
  }
  EXPECT_GE(tried, 7);
}

TEST(Verify, TheToleranceFollowsTheModel) {
  // y = (x * w1) - (x * w2) with w2 nearly w1: it cancels, so roundings of the weights show.
  const auto model = [](float w2) {
    ModelBuilder b;
    Value* x = b.input("x", Shape{4, 1});
    Value* p = b.node("MatMul", {x, b.constant("w1", Tensor::of<float>({1}, {1, 1}))}, "p");
    Value* q = b.node("MatMul", {x, b.constant("w2", Tensor::of<float>({w2}, {1, 1}))}, "q");
    b.output(b.node("Sub", {p, q}, "y"));
    return Model::parse(b.bytes());
  };
  const auto verified = [](const Model& m) { return Verifier(m, seeded()).compare(m, {}); };
  const Report::Verification plain = verified(model(3.0f)), cancelling = verified(model(1.0001f));
  EXPECT_EQ(plain.max_difference, 0);
  EXPECT_LT(plain.sensitivity, 1e-6);
  EXPECT_GT(cancelling.sensitivity, 1e-4);
  EXPECT_GT(cancelling.tolerance, 1000 * plain.tolerance);
}

TEST(Verify, ABoundThatAFoldReportsWidensIt) {
  const Model model = Model::parse(conv_batch_norm_model());
  const Verifier verifier(model, seeded());
  Report report;
  report.batch_norms.push_back({.folded = true, .error_bound = 0x1p-24, .type = DataType::float32});
  const double narrow = verifier.compare(model, report).tolerance;
  report.batch_norms[0].error_bound = 0x1p-20;
  EXPECT_DOUBLE_EQ(verifier.compare(model, report).tolerance, 16 * narrow);
  report.batch_norms[0].error_bound = 1;
  EXPECT_DOUBLE_EQ(verifier.compare(model, report).tolerance, 1e-2);
}

TEST(Verify, AGivenToleranceReplacesTheDerivedOne) {
  const Model before = Model::load(kDigits);
  Model after = before;
  const Report report = after.optimize();
  VerifyOptions options = seeded();
  options.tolerance = 0;
  const Report::Verification v = Verifier(before, options).compare(after, report);
  EXPECT_FALSE(v.equal);
  EXPECT_GT(v.max_difference, 0);
  EXPECT_EQ(v.tolerance, 0);
}

TEST(Verify, WhatIsNotANumberMustBeTheSame) {
  // Log of what may be negative: NaN in both is equal; a number in the place of NaN is not.
  const auto model = [](const char* op) {
    ModelBuilder b;
    Value* x = b.input("x", Shape{8});
    b.output(b.node(op, {x}, "y"));
    return Model::parse(b.bytes());
  };
  const Model log = model("Log");
  EXPECT_TRUE(Verifier(log, seeded()).compare(log, {}).equal);
  EXPECT_FALSE(Verifier(log, seeded()).compare(model("Abs"), {}).equal);
}

TEST(Verify, ClassesMustBeTheSameElementByElement) {
  const auto model = [](float second) {
    ModelBuilder b;
    Value* x = b.input("x", Shape{6, 2});
    Value* w = b.constant("w", Tensor::of<float>({1, 0, 0, second}, {2, 2}));
    Value* y = b.node("ArgMax", {b.node("MatMul", {x, w}, "p")}, "y", [] {
      Attributes a;
      a.set("axis", int64_t{1});
      return a;
    }());
    b.output(y, DataType::int64);
    return Model::parse(b.bytes());
  };
  const Model before = model(1);
  EXPECT_TRUE(Verifier(before, seeded()).compare(model(1.000001f), {}).equal);
  const Report::Verification v = Verifier(before, seeded()).compare(model(-1), {});
  EXPECT_FALSE(v.equal);
  EXPECT_GT(v.max_difference, 0);
  EXPECT_LE(v.max_difference, 1);  // a share of the elements
}

TEST(Verify, TheUsersDataCounts) {
  const Model before = Model::load(kDigits);
  Model after = before;
  const Report report = after.optimize();
  const Samples samples = Samples::open(kTestData, before, {.limit = 40});
  VerifyOptions options = seeded();
  options.data = &samples;
  options.inputs = 1;
  const Report::Verification v = Verifier(before, options).compare(after, report);
  EXPECT_TRUE(v.equal);
  EXPECT_EQ(v.seeded, 1);
  EXPECT_EQ(v.given, 3);  // 16 + 16 + 8 samples
  EXPECT_EQ(v.inputs, 4);
}

// ---- dithering

TEST(Dither, MovesEveryWeightToANeighbourAndNothingElse) {
  ModelBuilder b;
  Value* x = b.input("x", Shape{1, 1, 4, 4});
  Value* w = b.constant("w", Tensor::of<float>({1.5f, 0, -2, 1e-3f}, {4, 1, 1, 1}));
  Value* y = b.node("Conv", {x, w}, "c");
  y = b.node("Resize", {y, nullptr, b.constant("scales", Tensor::vector<float>({1, 1, 2, 2}))}, "r");
  y = b.node("Mul", {y, b.constant("half", Tensor::scalar(0.5f))}, "m");
  b.output(y);
  const Model model = parsed(b.model);
  const std::string bytes = model.dithered(1).serialize();
  const auto graph = parse_model(std::as_bytes(std::span(bytes)));
  const auto values = [&](const char* name) {
    return graph->graph.find(name)->initializer()->values<float>();
  };
  const auto moved = values("w");
  for (size_t i : {0u, 2u, 3u}) {
    const float v = w->initializer()->data<float>()[i];
    EXPECT_NE(moved[i], v);
    EXPECT_TRUE(moved[i] == std::nextafter(v, 10.0f) || moved[i] == std::nextafter(v, -10.0f)) << i;
  }
  EXPECT_EQ(moved[1], 0);
  EXPECT_THAT(values("scales"), ::testing::ElementsAre(1, 1, 2, 2));
  EXPECT_EQ(values("half")[0], 0.5f);
  EXPECT_EQ(model.serialize(), parsed(b.model).serialize()) << "the model itself has changed";
  EXPECT_EQ(bytes, model.dithered(1).serialize());
  bool differs = false;
  for (uint64_t seed = 2; seed < 8; ++seed) differs |= bytes != model.dithered(seed).serialize();
  EXPECT_TRUE(differs);
}

}  // namespace
}  // namespace plica::tools
