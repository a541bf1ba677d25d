// Plica's outputs beside those of ONNX Runtime (tests/golden/README.md), optimizer on and off. The real
// models are tested where models/fetch has brought them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>

#include "plica/plica.h"
#include "tests/api/golden_inputs.h"
#include "tools/npz.h"

namespace plica {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = PLICA_SOURCE_DIR;

struct Golden {
  std::string stem;
  tools::NamedArrays arrays;
  const Tensor& operator[](std::string_view name) const {
    const Tensor* found = tools::find_array(arrays, name);
    if (!found) throw Error(ErrorCode::invalid_argument, stem + " lacks " + std::string(name));
    return *found;
  }
};

// The file is "<stem of the model>.<shape>.npz".
std::optional<fs::path> model_of(const std::string& stem) {
  const std::string name = stem.substr(0, stem.rfind('.')) + ".onnx";
  for (const char* dir : {"models/digits", "models/real"}) {
    if (fs::exists(kSource / dir / name)) return kSource / dir / name;
  }
  return std::nullopt;
}

std::vector<std::string> golden_files() {
  std::vector<std::string> stems;
  for (const auto& entry : fs::directory_iterator(kSource / "tests/golden/data")) {
    if (entry.path().extension() == ".npz") stems.push_back(entry.path().stem().string());
  }
  std::ranges::sort(stems);
  return stems;
}

Golden read_golden(const std::string& stem) {
  std::ifstream file(kSource / "tests/golden/data" / (stem + ".npz"), std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  const std::string bytes = text.str();
  return {stem, tools::parse_npz(std::as_bytes(std::span(bytes.data(), bytes.size())))};
}

class GoldenTest : public ::testing::TestWithParam<std::string> {};

void expect_agreement(const Model& model, const Golden& golden) {
  const Session session(model);
  const std::string input_name = model.inputs()[0].name, output_name = model.outputs()[0].name;
  const auto numbers = [&](std::string_view name) {
    const auto values = golden[name].values<int64_t>();
    return Dims(values.begin(), values.end());
  };
  const Dims input_shape = numbers("input_shape"), output_shape = numbers("output_shape"),
             index = numbers("index");
  const auto seeds = golden["seeds"].values<uint64_t>();
  for (size_t s = 0; s < seeds.size(); ++s) {
    const bool is_text = golden["pattern"].data<uint8_t>()[0] == 1;
    const Tensor input = golden_input(is_text, input_shape, seeds[s]);
    double input_sum = 0;
    for (float v : input.values<float>()) input_sum += v;
    ASSERT_EQ(input_sum, golden["input_sum"].data<double>()[s])
        << "the input is not the one that ONNX Runtime had";
    const Tensor y = session.run({{input_name, input}}).at(output_name);
    ASSERT_EQ(y.dims(), output_shape);
    const float* values = golden["values"].data<float>() + s * index.size();
    size_t wrong = 0;
    double worst = 0;
    for (size_t i = 0; i < index.size(); ++i) {
      const double distance = std::abs(double{y.data<float>()[index[i]]} - values[i]);
      worst = std::max(worst, std::isnan(distance) ? HUGE_VAL : distance);
      wrong += !(distance <= 1e-4 + 1e-3 * std::abs(values[i]));
    }
    EXPECT_EQ(wrong, 0u) << "seed " << seeds[s] << ": of " << index.size()
                         << " elements, the worst is off by " << worst;
    double sum = 0, squares = 0;
    for (float v : y.values<float>()) {
      sum += v;
      squares += double{v} * v;
    }
    EXPECT_NEAR(sum, golden["sum"].data<double>()[s], 2e-3 * std::abs(golden["sum"].data<double>()[s]));
    EXPECT_NEAR(squares, golden["sum_squares"].data<double>()[s],
                2e-3 * golden["sum_squares"].data<double>()[s]);
  }
}

TEST_P(GoldenTest, AgreesWithOnnxRuntime) {
  const auto path = model_of(GetParam());
  if (!path) GTEST_SKIP() << "models/fetch brings the model";
  expect_agreement(Model::load(*path), read_golden(GetParam()));
}

TEST_P(GoldenTest, AgreesWithOnnxRuntimeOptimized) {
  const auto path = model_of(GetParam());
  if (!path) GTEST_SKIP() << "models/fetch brings the model";
  Model model = Model::load(*path);
  const Report report = model.optimize();
  EXPECT_EQ(report.folded(), static_cast<int64_t>(report.batch_norms.size()));
  expect_agreement(Model::parse(model.serialize()), read_golden(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenTest, ::testing::ValuesIn(golden_files()), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace_if(
      name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace plica
