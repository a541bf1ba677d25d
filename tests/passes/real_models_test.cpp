// The model that ships, through the file format.
#include <filesystem>

#include "engine/onnx/onnx.h"
#include "tests/passes/build.h"

namespace plica::testing {
namespace {

const std::filesystem::path kDigits = std::filesystem::path(PLICA_SOURCE_DIR) / "models/digits/digits.onnx";

TEST(RealModels, DigitsFoldsCompletely) {
  const auto before = load_model(kDigits);
  const auto after = load_model(kDigits);
  const int norms = count_ops(before->graph, "BatchNormalization");
  ASSERT_GT(norms, 0);
  const OptimizeReport report = optimize(*after);
  ASSERT_EQ(static_cast<int>(report.batch_norms.size()), norms);
  for (const auto& v : report.batch_norms) EXPECT_TRUE(v.folded) << v.node << ": " << v.reason;
  EXPECT_EQ(count_ops(after->graph, "BatchNormalization"), 0);
  EXPECT_LE(report.nodes_after, report.nodes_before - norms);
  expect_same_results(before->graph, after->graph, 5e-6);
}

TEST(RealModels, SavedAndOptimizedAgainIsTheSameFile) {
  const auto model = load_model(kDigits);
  optimize(*model);
  const std::string once = serialize_model(*model);
  const auto again = parse_model(std::as_bytes(std::span(once.data(), once.size())));
  const OptimizeReport report = optimize(*again);
  EXPECT_TRUE(report.rules.empty());
  EXPECT_EQ(once, serialize_model(*again));
}

}  // namespace
}  // namespace plica::testing
