#include "plica/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <sstream>
#include <thread>

#include "plica/plica.h"
#include "tests/api/error_of.h"
#include "tests/api/model_builder.h"
#include "tools/npz.h"

namespace plica {
namespace {

using ::testing::HasSubstr;

constexpr char kDigits[] = PLICA_SOURCE_DIR "/models/digits/digits.onnx";

tools::NamedArrays digits_data() {
  std::ifstream file(PLICA_SOURCE_DIR "/models/digits/test.npz", std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  const std::string bytes = text.str();
  return tools::parse_npz(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

int64_t best_class(const float* scores) { return std::max_element(scores, scores + 10) - scores; }

// y = (conv(x) - mean) scale / sqrt(var + epsilon) + bias, by hand for x = 1: conv is 3 and 7.
TEST(Session, ComputesTheRightNumbers) {
  for (bool optimize : {false, true}) {
    Model model = Model::parse(conv_batch_norm_model());
    if (optimize) model.optimize();
    const Session session(model);
    const std::vector<float> ones(2 * 2 * 16, 1.0f);
    const TensorMap y = session.run({{"x", Tensor::view(ones, {2, 2, 4, 4})}});
    ASSERT_EQ(y.at("y").dims(), (Dims{2, 2, 4, 4}));
    EXPECT_NEAR(y.at("y").data<float>()[0], (3 - 1) * 2 / 2.0 + 0.5, 1e-4);
    EXPECT_NEAR(y.at("y").data<float>()[16], (7 - 2) * 3 / 3.0 - 1, 1e-4);
  }
}

TEST(Session, ClassifiesDigits) {
  const auto data = digits_data();
  const Tensor& images = *tools::find_array(data, "image");
  const Tensor& labels = *tools::find_array(data, "labels");
  for (bool optimize : {false, true}) {
    Model model = Model::load(kDigits);
    if (optimize) {
      EXPECT_EQ(model.optimize().folded(), 7);
    }
    const Session session(model, {.threads = 1});
    const TensorMap result = session.run({{"image", images}});
    const Tensor& scores = result.at("probabilities");
    ASSERT_EQ(scores.dims(), (Dims{images.dim(0), 10}));
    int64_t right = 0;
    for (int64_t i = 0; i < images.dim(0); ++i)
      right += best_class(scores.data<float>() + 10 * i) == labels.data<int64_t>()[i];
    EXPECT_EQ(right, 536);  // models/digits/train.log: 536/540
  }
}

TEST(Session, ReadsInputsInPlaceThroughViews) {
  const Session session(Model::load(kDigits));
  std::array<float, 64> pixels{};
  const Tensor view = Tensor::view(pixels.data(), {1, 1, 8, 8});
  EXPECT_EQ(view.raw(), pixels.data());
  const Tensor before = session.run({{"image", view}}).at("probabilities");
  pixels.fill(1);
  const Tensor after = session.run({{"image", view}}).at("probabilities");
  EXPECT_FALSE(before.identical_to(after));
  pixels.fill(0);
  EXPECT_TRUE(
      session.run({{"image", view}}).at("probabilities").identical_to(before));  // earlier results stay
}

TEST(Session, KeepsItsModel) {
  Model model = Model::load(kDigits);
  Session session(model);
  const TensorMap input = {{"image", Tensor::zeros(DataType::float32, {1, 1, 8, 8})}};
  const Tensor first = session.run(input).at("probabilities");
  model.optimize();
  model = Model::parse(conv_batch_norm_model());
  Session moved = std::move(session);
  EXPECT_TRUE(moved.run(input).at("probabilities").identical_to(first));
}

TEST(Session, RefusesInputsThatDontFit) {
  const Session session(Model::load(kDigits));
  const Tensor good = Tensor::zeros(DataType::float32, {1, 1, 8, 8});
  const auto refuses = [&](const TensorMap& inputs) {
    const Error error = error_of([&] { session.run(inputs); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.message();
    return error.message();
  };
  EXPECT_THAT(refuses({}), HasSubstr("'image'"));
  EXPECT_THAT(refuses({{"image", good}, {"picture", good}}), HasSubstr("'picture'"));
  EXPECT_THAT(refuses({{"image", Tensor::zeros(DataType::float64, {1, 1, 8, 8})}}), HasSubstr("float64"));
  EXPECT_THAT(refuses({{"image", Tensor::zeros(DataType::float32, {1, 3, 8, 8})}}),
              HasSubstr("[1, 3, 8, 8]"));
  EXPECT_THAT(refuses({{"image", Tensor::zeros(DataType::float32, {8, 8})}}), HasSubstr("[8, 8]"));
  refuses({{"image", Tensor()}});
}

TEST(Session, NamesEveryOperatorThatIsMissing) {
  ModelBuilder b;
  b.model.opset_imports.emplace_back("com.example", 1);
  Value* x = b.input("x", Shape{2});
  Value* one = b.node("Frobnicate", {x}, "one", {}, "com.example");
  b.output(b.node("Embiggen", {one}, "two"));
  const Error error = error_of([&] { Session session(Model::parse(b.bytes())); });
  EXPECT_EQ(error.code(), ErrorCode::unsupported);
  for (const char* part : {"Frobnicate", "make_one", "Embiggen", "make_two"})
    EXPECT_THAT(error.message(), HasSubstr(part));
}

TEST(Session, RefusesANegativeNumberOfThreads) {
  EXPECT_EQ(error_of([] { Session session(Model::load(kDigits), {.threads = -1}); }).code(),
            ErrorCode::invalid_argument);
}

TEST(Session, PlansSayTheirSteps) {
  Model model = Model::load(kDigits);
  model.optimize();
  const auto plan = Session(model).plan({{"image", Tensor::zeros(DataType::float32, {1, 1, 8, 8})}});
  EXPECT_FALSE(plan.steps.empty());
  EXPECT_GT(plan.constant_bytes, 0u);
}

TEST(Session, RunsFromManyThreadsAtOnce) {
  const auto data = digits_data();
  const Tensor& images = *tools::find_array(data, "image");
  Model model = Model::load(kDigits);
  model.optimize();
  const Session session(model, {.threads = 1});
  const auto part = [&](int64_t first, int64_t count) {
    return Tensor::view(images.data<float>() + 64 * first, {count, 1, 8, 8});
  };
  std::vector<Tensor> expected;
  for (int i = 0; i < 8; ++i)
    expected.push_back(session.run({{"image", part(i, 1 + i % 3)}}).at("probabilities"));
  std::vector<std::thread> threads;
  std::atomic<int> different = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int k = 0; k < 40; ++k) {
        const int i = (k + t) % 8;
        const Tensor y = session.run({{"image", part(i, 1 + i % 3)}}).at("probabilities");
        if (!y.identical_to(expected[static_cast<size_t>(i)])) ++different;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(different, 0);
}

TEST(Model, ReferenceAgreesWithTheSession) {
  const Model model = Model::load(kDigits);
  const auto data = digits_data();
  const Tensor image = Tensor::view(tools::find_array(data, "image")->data<float>(), {2, 1, 8, 8});
  TensorMap all;
  const Tensor reference = model.run_reference({{"image", image}}, &all).at("probabilities");
  const Tensor y = Session(model).run({{"image", image}}).at("probabilities");
  ASSERT_EQ(reference.dims(), y.dims());
  for (int64_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y.data<float>()[i], reference.data<float>()[i], 1e-5);
  EXPECT_TRUE(all.contains("probabilities"));
  EXPECT_GT(all.size(), 20u);
  EXPECT_EQ(error_of([&] { model.run_reference({}); }).code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] {
              model.run_reference({{"image", image.reshaped({1, 2, 8, 8})}});
            }).code(),
            ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace plica
