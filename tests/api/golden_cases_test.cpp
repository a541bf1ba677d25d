// Plica's outputs beside those of ONNX Runtime for models with several inputs and outputs of any type
// (tests/golden/README.md, cases/), optimizer on and off, where models/fetch has brought the models.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "plica/plica.h"
#include "tests/api/golden_inputs.h"
#include "tools/npz.h"
#include "tools/values.h"

namespace plica {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = PLICA_SOURCE_DIR;
// Of the largest element of an output. Winograd convolutions are off by up to a tenth of that
// (docs/architecture.md), ONNX Runtime with its own optimizer by a hundredth (make_cases.log).
constexpr double kTolerance = 1e-4;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> case_files() {
  std::vector<std::string> stems;
  for (const auto& entry : fs::directory_iterator(kSource / "tests/golden/cases")) {
    if (entry.path().extension() == ".npz") stems.push_back(entry.path().stem().string());
  }
  std::ranges::sort(stems);
  return stems;
}

// `name` without the prefix, when it has it.
std::optional<std::string> after(const std::string& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  return name.substr(prefix.size());
}

void expect_agreement(const Model& model, const tools::NamedArrays& arrays) {
  TensorMap inputs;
  for (const auto& [name, array] : arrays) {
    if (const auto given = after(name, "in.")) inputs.emplace(*given, array);
    if (const auto made = after(name, "make.")) {
      const auto spec = array.values<int64_t>();
      inputs.emplace(*made, golden_input(spec[0] == 1, Dims(spec.begin() + 2, spec.end()),
                                         static_cast<uint64_t>(spec[1])));
    }
  }
  const auto outputs = Session(model).run(inputs);
  for (const auto& [key, expected] : arrays) {
    const auto name = after(key, "out.");
    if (!name) continue;
    SCOPED_TRACE(*name);
    Tensor y = outputs.at(*name);
    if (const Tensor* at = tools::find_array(arrays, "at." + *name)) {
      const auto dims = tools::find_array(arrays, "dims." + *name)->values<int64_t>();
      ASSERT_EQ(y.dims(), Dims(dims.begin(), dims.end()));
      Tensor sample(y.type(), at->dims());
      for (int64_t i = 0; i < at->size(); ++i)
        sample.mutable_data<float>()[i] = y.data<float>()[at->data<int64_t>()[i]];
      y = sample;
    }
    double largest = 0;
    for (double v : tools::to_doubles(expected)) largest = std::max(largest, std::abs(v));
    const bool is_float = expected.type() == DataType::float32;
    const tools::Difference d = tools::compare(y, expected, 0, is_float ? kTolerance * largest : 0);
    EXPECT_TRUE(d.equal()) << d.mismatch << d.differing << " of " << expected.size()
                           << " elements differ, by up to " << d.max_absolute;
  }
}

class GoldenCaseTest : public ::testing::TestWithParam<std::string> {
 protected:
  // The model's bytes with what the case appends to them; empty when the model is not there.
  std::string model() const {
    const fs::path path = kSource / "models/real" / (GetParam().substr(0, GetParam().find('.')) + ".onnx");
    std::string bytes = fs::exists(path) ? read(path) : "";
    if (const Tensor* appended = tools::find_array(arrays_, "appended"); appended && !bytes.empty()) {
      const auto more = appended->values<uint8_t>();
      bytes.append(more.begin(), more.end());
    }
    return bytes;
  }
  tools::NamedArrays read_case() const {
    const std::string bytes = read(kSource / "tests/golden/cases" / (GetParam() + ".npz"));
    return tools::parse_npz(std::as_bytes(std::span(bytes.data(), bytes.size())));
  }
  const tools::NamedArrays arrays_ = read_case();
};

TEST_P(GoldenCaseTest, AgreesWithOnnxRuntime) {
  const std::string bytes = model();
  if (bytes.empty()) GTEST_SKIP() << "models/fetch brings the model";
  expect_agreement(Model::parse(bytes), arrays_);
}

TEST_P(GoldenCaseTest, AgreesWithOnnxRuntimeOptimized) {
  const std::string bytes = model();
  if (bytes.empty()) GTEST_SKIP() << "models/fetch brings the model";
  Model optimized = Model::parse(bytes);
  optimized.optimize();
  expect_agreement(Model::parse(optimized.serialize()), arrays_);
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenCaseTest, ::testing::ValuesIn(case_files()), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace_if(
      name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace plica
