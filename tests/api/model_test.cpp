#include "plica/model.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "plica/plica.h"
#include "tests/api/error_of.h"
#include "tests/api/model_builder.h"

namespace plica {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kDigits[] = PLICA_SOURCE_DIR "/models/digits/digits.onnx";

TEST(Model, TellsItsInputsAndOutputs) {
  const Model model = Model::load(kDigits);
  ASSERT_EQ(model.inputs().size(), 1u);
  const TensorInfo input = model.inputs()[0];
  EXPECT_EQ(input.name, "image");
  EXPECT_EQ(input.type, DataType::float32);
  EXPECT_EQ(*input.shape, (Shape{Dim::symbol("N"), 1, 8, 8}));
  EXPECT_FALSE(input.has_default);
  ASSERT_EQ(model.outputs().size(), 1u);
  EXPECT_EQ(model.outputs()[0].name, "probabilities");
  EXPECT_EQ(model.metadata("plica.image.mean"), "0");
  EXPECT_EQ(model.metadata("nothing"), std::nullopt);
}

TEST(Model, SummaryCounts) {
  const ModelSummary s = Model::parse(conv_batch_norm_model(0.5f)).summarize();
  EXPECT_EQ(s.nodes, 2);
  EXPECT_EQ(s.operators.at("Conv"), 1);
  EXPECT_EQ(s.parameters, 4 + 4 * 2);
  EXPECT_EQ(s.parameter_bytes, 48);
  EXPECT_EQ(s.macs, 2 * 16 * 2);  // 2x4x4 outputs, 2 input channels each, for one sample
  EXPECT_EQ(s.macs_unknown, 0);
  EXPECT_THAT(s.assumptions, ElementsAre("x[0] = 1"));
  ASSERT_EQ(s.batch_norms.size(), 1u);
  const auto& b = s.batch_norms[0];
  EXPECT_EQ(b.channels, 2);
  EXPECT_EQ(b.bad + b.dead + b.tiny_variance, 0);
  EXPECT_NEAR(b.max_gain, 2 / std::sqrt(0.5 + 1e-5), 1e-6);
  EXPECT_EQ(Model::parse(conv_batch_norm_model()).summarize({.symbols = {{"N", 3}}, .shapes = {}}).macs,
            3 * 64);
}

TEST(Model, SummarySeesSickBatchNorms) {
  EXPECT_EQ(Model::parse(conv_batch_norm_model(-1)).summarize().batch_norms[0].bad, 1);
  EXPECT_EQ(Model::parse(conv_batch_norm_model(0)).summarize().batch_norms[0].tiny_variance, 1);
}

TEST(Model, OptimizeFoldsAndCopiesStayAsTheyWere) {
  Model model = Model::parse(conv_batch_norm_model());
  const Model copy = model;
  const Report report = model.optimize();
  EXPECT_EQ(report.nodes_before, 2);
  EXPECT_EQ(report.nodes_after, 1);
  ASSERT_EQ(report.batch_norms.size(), 1u);
  EXPECT_TRUE(report.batch_norms[0].folded);
  EXPECT_EQ(report.folded(), 1);
  EXPECT_EQ(copy.summarize().nodes, 2);
  EXPECT_EQ(model.summarize().nodes, 1);
}

TEST(Model, ReportsAsJson) {
  Model model = Model::parse(conv_batch_norm_model());
  Report report = model.optimize();
  report.verification = Report::Verification{
      .inputs = 2, .equal = true, .max_difference = 1e-7, .tolerance = 1e-5, .worst_output = "y"};
  const auto json = nlohmann::json::parse(report.to_json());
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["nodes"]["before"], 2);
  EXPECT_EQ(json["nodes"]["after"], 1);
  EXPECT_EQ(json["batch_norms"][0]["verdict"], "folded");
  EXPECT_EQ(json["batch_norms"][0]["into"].size(), 1u);
  EXPECT_TRUE(json["batch_norms"][0]["error_bound"].is_number());
  EXPECT_EQ(json["verify"]["equal"], true);
  EXPECT_THAT(report.to_text(), HasSubstr("1 of 1 batch norms folded"));

  Model sick = Model::parse(conv_batch_norm_model(-1));
  const auto kept = nlohmann::json::parse(sick.optimize().to_json(-1))["batch_norms"][0];
  EXPECT_EQ(kept["verdict"], "kept");
  EXPECT_FALSE(kept["reason"].get<std::string>().empty());
}

TEST(Model, OptionsReachTheOptimizer) {
  Model model = Model::parse(conv_batch_norm_model());
  EXPECT_EQ(model.optimize({.disable = {"fold_affines"}}).folded(), 0);
  EXPECT_EQ(model.optimize({.keep = {"make_y"}}).folded(), 0);
  EXPECT_EQ(model.optimize({.max_rewrites = 0}).folded(), 0);
  EXPECT_EQ(error_of([&] { model.optimize({.disable = {"no_such_rule"}}); }).code(),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] { model.optimize({.dump_after = {"no_such_pass"}}); }).code(),
            ErrorCode::invalid_argument);
  EXPECT_EQ(model.summarize().nodes, 2);
  const std::string pass = optimizer_rules().front().pass;
  std::string dump;
  model.optimize(
      {.dump_after = {pass}, .on_dump = [&](std::string_view, std::string_view listing) { dump = listing; }});
  EXPECT_THAT(dump, HasSubstr("Conv"));
}

TEST(Model, SavesWhatItSerializes) {
  Model model = Model::load(kDigits);
  model.optimize();
  const std::string path = ::testing::TempDir() + "plica_model_test.onnx";
  model.save(path);
  EXPECT_EQ(std::filesystem::file_size(path), model.serialize().size());
  EXPECT_EQ(Model::load(path).serialize(), model.serialize());
  std::filesystem::remove(path);
}

TEST(Model, LoadsFromDescriptors) {
  const std::string bytes = Model::load(kDigits).serialize();
  const int file = ::open(kDigits, O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::lseek(file, 100, SEEK_SET), 100);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Model::load(file).serialize(), bytes);
  EXPECT_EQ(::lseek(file, 0, SEEK_CUR), 100);  // left where it was
  const Model model = Model::load(file);
  EXPECT_EQ(::close(file), 0);  // it was still open
  EXPECT_EQ(model.serialize(), bytes);

  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  std::thread writer([&] {
    EXPECT_EQ(::write(ends[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    ::close(ends[1]);
  });
  EXPECT_EQ(Model::load(ends[0]).serialize(), bytes);
  writer.join();
  EXPECT_EQ(error_of([&] { Model::load(ends[0]); }).code(), ErrorCode::invalid_model);  // at its end: empty
  EXPECT_EQ(::close(ends[0]), 0);
  EXPECT_EQ(error_of([&] { Model::load(ends[0]); }).code(), ErrorCode::io);
  EXPECT_EQ(error_of([] { Model::load(-1); }).code(), ErrorCode::io);
}

TEST(Model, DescriptorsFindExternalDataWhereTheyAreTold) {
  const std::filesystem::path dir = ::testing::TempDir() + "plica_model_descriptor";
  std::filesystem::create_directory(dir);
  Model::load(kDigits).save(dir / "net.onnx", {.external_data_threshold = 1000});
  ASSERT_TRUE(std::filesystem::exists(dir / "net.onnx.data"));
  const int file = ::open((dir / "net.onnx").c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_THAT(error_of([&] { Model::load(file); }).message(), HasSubstr("no directory to look for it"));
  EXPECT_EQ(Model::load(file, dir).serialize(), Model::load(kDigits).serialize());
  ::close(file);
  std::filesystem::remove_all(dir);
}

TEST(Model, ErrorsSayWhatAndWhere) {
  EXPECT_EQ(error_of([] { Model::load("/nonexistent/net.onnx"); }).code(), ErrorCode::io);
  EXPECT_EQ(error_of([] { Model::parse("no protobuf at all"); }).code(), ErrorCode::invalid_model);
  EXPECT_EQ(error_of([] { Model::load(kDigits).save("/nonexistent/net.onnx"); }).code(), ErrorCode::io);
  std::string bytes = conv_batch_norm_model();
  bytes.resize(bytes.size() - 7);
  EXPECT_EQ(error_of([&] { Model::parse(bytes); }).code(), ErrorCode::invalid_model);
}

TEST(Model, ConcreteDims) {
  const TensorInfo info{.name = "x",
                        .type = DataType::float32,
                        .shape = Shape{Dim::symbol("N"), 3, Dim::symbol("S"), Dim::symbol("S")},
                        .text = "",
                        .has_default = false,
                        .is_tensor = true};
  std::vector<std::string> assumed;
  EXPECT_EQ(Model::concrete_dims(info, {}, 64, &assumed), (Dims{1, 3, 64, 64}));
  EXPECT_EQ(assumed.size(), 3u);
  EXPECT_EQ(Model::concrete_dims(info, {.symbols = {{"S", 8}}, .shapes = {}}), (Dims{1, 3, 8, 8}));
  EXPECT_EQ(Model::concrete_dims(info, {.symbols = {}, .shapes = {{"x", {2, 3, 4, 4}}}}), (Dims{2, 3, 4, 4}));
  EXPECT_EQ(error_of([&] {
              Model::concrete_dims(info, {.symbols = {}, .shapes = {{"x", {2, 4, 4, 4}}}});
            }).code(),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] {
              Model::concrete_dims(info, {.symbols = {}, .shapes = {{"x", {2, 3, 4}}}});
            }).code(),
            ErrorCode::invalid_argument);
  const Model model = Model::load(kDigits);
  EXPECT_EQ(error_of([&] {
              model.validate({.symbols = {{"M", 1}}, .shapes = {}});
            }).code(),
            ErrorCode::invalid_argument);
  EXPECT_EQ(error_of([&] {
              model.validate({.symbols = {}, .shapes = {{"y", {1}}}});
            }).code(),
            ErrorCode::invalid_argument);
}

TEST(Model, CheckFindsEverythingAtOnce) {
  EXPECT_TRUE(Model::load(kDigits).check().empty());
  ModelBuilder b;
  b.model.opset_imports.emplace_back("com.example", 1);
  Value* x = b.input("x", Shape{1, 2});
  Value* odd = b.node("Frobnicate", {x}, "odd", {}, "com.example");
  Value* bad1 = b.node("Gemm", {x, b.constant("w", Tensor::zeros(DataType::float32, {3, 4}))}, "bad1");
  Value* bad2 = b.node("MatMul", {x, b.constant("v", Tensor::zeros(DataType::float32, {5, 4}))}, "bad2");
  for (Value* value : {odd, bad1, bad2}) b.output(value);
  const auto findings = Model::parse(b.bytes()).check();
  ASSERT_EQ(findings.size(), 3u);
  EXPECT_EQ(findings[0].code, ErrorCode::unsupported);
  EXPECT_THAT(findings[0].message, HasSubstr("com.example.Frobnicate"));
  EXPECT_EQ(findings[1].code, ErrorCode::invalid_model);
  EXPECT_THAT(findings[1].message, HasSubstr("make_bad1"));
  EXPECT_THAT(findings[2].message, HasSubstr("make_bad2"));
}

TEST(Lists, KnowOperatorsAndRules) {
  const auto ops = supported_operators();
  EXPECT_TRUE(std::any_of(ops.begin(), ops.end(),
                          [](const OperatorInfo& op) { return op.name == "Conv" && op.domain.empty(); }));
  const auto rules = optimizer_rules();
  EXPECT_TRUE(std::any_of(rules.begin(), rules.end(),
                          [](const OptimizerRule& r) { return r.name == "fold_affine_backward"; }));
}

}  // namespace
}  // namespace plica
