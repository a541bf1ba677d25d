#include "plica/custom_operator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "plica/plica.h"
#include "tests/api/error_of.h"
#include "tests/api/model_builder.h"

namespace plica {
namespace {

using ::testing::HasSubstr;

// y = factor * x, a second output that nobody needs to read: the sum.
class Scale : public CustomOperator {
 public:
  void infer(InferCall& call) const override {
    if (call.input_type(0) != DataType::float32) throw Error(ErrorCode::unsupported, "takes float32 alone");
    call.set_output(0, DataType::float32, call.input_shape(0));
    if (call.outputs() > 1) call.set_output(1, DataType::float32, Shape{});
  }
  void compute(ComputeCall& call) const override {
    const float factor = call.float_attribute("factor").value_or(1);
    const Tensor& x = call.input(0);
    const float* from = x.data<float>();
    float* to = call.output(0).mutable_data<float>();
    call.parallel_for(x.size(), 1024, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = factor * from[i];
    });
    if (!call.has_output(1)) return;
    float sum = 0;
    for (int64_t i = 0; i < x.size(); ++i) sum += to[i];
    *call.output(1).mutable_data<float>() = sum;
  }
};

// The elements that are larger than a bound, as many as there are.
class Above : public CustomOperator {
 public:
  void infer(InferCall& call) const override { call.set_output(0, call.input_type(0)); }
  void compute(ComputeCall& call) const override {
    const float bound = static_cast<float>(call.int_attribute("bound").value_or(0));
    std::vector<float> found;
    for (const float v : call.input(0).values<float>()) {
      if (v > bound) found.push_back(v);
    }
    Tensor& y = call.allocate(0, DataType::float32, {static_cast<int64_t>(found.size())});
    std::ranges::copy(found, y.mutable_data<float>());
  }
};

class Faulty : public CustomOperator {
 public:
  void infer(InferCall& call) const override { call.set_output(0, DataType::float32, call.input_shape(0)); }
  void compute(ComputeCall&) const override { throw std::runtime_error("the sensor is gone"); }
};

class Forgetful : public Above {
  void compute(ComputeCall&) const override {}
};

Attributes factor_of(float factor) {
  Attributes a;
  a.set("factor", factor);
  return a;
}

// Relu(Op(Conv(x))), Op in the domain "com.example".
std::string model_with(const std::string& op, Attributes attributes = {}) {
  ModelBuilder b;
  b.model.opset_imports.emplace_back("com.example", 2);
  Value* x = b.input("x", Shape{Dim::symbol("N"), 2, 2, 2});
  Value* conv = b.node("Conv", {x, b.constant("w", Tensor::of<float>({1, 0, 0, 1}, {2, 2, 1, 1}))}, "conv");
  Value* own = b.node(op, {conv}, "own", std::move(attributes), "com.example");
  b.output(b.node("Relu", {own}, "y"));
  return b.bytes();
}

const std::vector<float> kX = {1, -2, 3, -4, 5, -6, 7, -8};
TensorMap inputs() { return {{"x", Tensor::view(kX, {1, 2, 2, 2})}}; }

TEST(CustomOperator, RunsLikeAnyOther) {
  const std::string bytes = model_with("Scale", factor_of(-2));
  Model model = Model::parse(bytes);
  EXPECT_EQ(error_of([&] { Session session(model); }).code(), ErrorCode::unsupported);
  ASSERT_EQ(model.check().size(), 1u);

  model.add_operator({.domain = "com.example", .name = "Scale"}, std::make_shared<Scale>());
  EXPECT_TRUE(model.check().empty());
  const std::vector<float> expected = {0, 4, 0, 8, 0, 12, 0, 16};
  for (const bool optimize : {false, true}) {
    if (optimize) model.optimize();
    const TensorMap y = Session(model, {.threads = 2}).run(inputs());
    EXPECT_TRUE(y.at("y").identical_to(Tensor::of(expected, {1, 2, 2, 2})));
    EXPECT_TRUE(model.run_reference(inputs()).at("y").identical_to(y.at("y")));
  }
  // Shapes are known behind it.
  for (const ValueInfo& info : model.values()) {
    if (info.name == "y") {
      EXPECT_EQ(info.type, "float32[N, 2, 2, 2]");
    }
  }
  // Other models know nothing of it, and the file is the same.
  EXPECT_EQ(error_of([&] { Session session(Model::parse(bytes)); }).code(), ErrorCode::unsupported);
  EXPECT_EQ(error_of([&] { Session session(Model::parse(model.serialize())); }).code(),
            ErrorCode::unsupported);
}

TEST(CustomOperator, OfUnknownShapes) {
  Attributes bound;
  bound.set("bound", int64_t{2});
  Model model = Model::parse(model_with("Above", bound));
  model.add_operator({.domain = "com.example", .name = "Above"}, std::make_shared<Above>());
  model.optimize();
  const TensorMap y = Session(model).run(inputs());
  EXPECT_TRUE(y.at("y").identical_to(Tensor::vector<float>({3, 5, 7})));
}

// In a subgraph and a function, and folded where its inputs are constants.
TEST(CustomOperator, IsFoldedWhenItIsDeterministic) {
  for (const bool deterministic : {true, false}) {
    ModelBuilder b;
    b.model.opset_imports.emplace_back("com.example", 1);
    Value* x = b.input("x", Shape{2});
    Value* k =
        b.node("Scale", {b.constant("c", Tensor::vector<float>({1, 2}))}, "k", factor_of(3), "com.example");
    b.output(b.node("Add", {x, k}, "y"));
    Model model = Model::parse(b.bytes());
    model.add_operator({.domain = "com.example", .name = "Scale", .deterministic = deterministic},
                       std::make_shared<Scale>());
    model.optimize();
    EXPECT_EQ(model.summarize().nodes, deterministic ? 1 : 2);
    const std::vector<float> in = {10, 20};
    EXPECT_TRUE(Session(model)
                    .run({{"x", Tensor::view(in, {2})}})
                    .at("y")
                    .identical_to(Tensor::vector<float>({13, 26})));
  }
}

TEST(CustomOperator, ErrorsNameTheNode) {
  Model model = Model::parse(model_with("Faulty"));
  model.add_operator({.domain = "com.example", .name = "Faulty"}, std::make_shared<Faulty>());
  model.optimize();
  const Error thrown = error_of([&] { Session(model).run(inputs()); });
  EXPECT_EQ(thrown.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(thrown.message(), HasSubstr("'make_own' (com.example.Faulty, opset 2): the sensor is gone"));

  Model forgetful = Model::parse(model_with("Above"));
  forgetful.add_operator({.domain = "com.example", .name = "Above"}, std::make_shared<Forgetful>());
  EXPECT_THAT(error_of([&] { Session(forgetful).run(inputs()); }).message(),
              HasSubstr("did not compute its output 0"));

  Attributes text;
  text.set("factor", std::string("two"));
  Model wrong = Model::parse(model_with("Scale", text));
  wrong.add_operator({.domain = "com.example", .name = "Scale"}, std::make_shared<Scale>());
  EXPECT_THAT(error_of([&] { Session(wrong).run(inputs()); }).message(),
              HasSubstr("attribute 'factor' is of type string, the operator takes float"));
}

TEST(CustomOperator, WhatMakesNoSenseIsRefused) {
  Model model = Model::parse(model_with("Scale", factor_of(1)));
  const auto refused = [&](OperatorSpec spec,
                           std::shared_ptr<const CustomOperator> op = std::make_shared<Scale>()) {
    const Error error = error_of([&] { model.add_operator(spec, op); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.message();
  };
  EXPECT_THAT(refused({.domain = "", .name = "Relu"}), HasSubstr("one of Plica's own"));
  EXPECT_THAT(refused({.domain = "ai.onnx", .name = "Conv"}), HasSubstr("one of Plica's own"));
  EXPECT_THAT(refused({.domain = "com.example", .name = ""}), HasSubstr("needs a name"));
  EXPECT_THAT(refused({.domain = "com.example", .name = "Scale"}, nullptr), HasSubstr("no implementation"));
  EXPECT_THAT(refused({.domain = "com.example", .name = "Scale", .since = 3, .until = 2}),
              HasSubstr("versions 3 to 2"));
  model.add_operator({.domain = "com.example", .name = "Scale", .since = 2}, std::make_shared<Scale>());
  EXPECT_THAT(refused({.domain = "com.example", .name = "Scale", .since = 5}), HasSubstr("there already"));
  model.add_operator({.domain = "com.example", .name = "Scale", .since = 1, .until = 1},
                     std::make_shared<Faulty>());
  EXPECT_EQ(Session(model).run(inputs()).size(), 1u);

  // A node with more inputs than it takes.
  Model narrow = Model::parse(model_with("Scale"));
  narrow.add_operator({.domain = "com.example", .name = "Scale", .min_inputs = 2}, std::make_shared<Scale>());
  EXPECT_THAT(error_of([&] { Session(narrow).run(inputs()); }).message(), HasSubstr("input 1 is missing"));
}

}  // namespace
}  // namespace plica
