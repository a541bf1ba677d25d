#include "tools/values.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tools/labels.h"
#include "tools/options.h"

namespace plica::tools {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

TEST(Compare, IsNumpysAllclose) {
  const Tensor e = Tensor::of<float>({1, -100, 0}, {3});
  EXPECT_TRUE(compare(Tensor::of<float>({1.001f, -100.1f, 0}, {3}), e, 1.1e-3, 0).equal());
  const Difference d = compare(Tensor::of<float>({1.001f, -100.2f, 1e-6f}, {3}), e, 1.1e-3, 0);
  EXPECT_EQ(d.differing, 2);
  EXPECT_EQ(d.first, 1);
  EXPECT_NEAR(d.max_absolute, 0.2, 1e-4);
  EXPECT_EQ(d.largest, 100);
}

TEST(Compare, NanEqualsNanAndInfinitiesTheirLike) {
  const Tensor e = Tensor::of<float>({kNan, kInf, -kInf}, {3});
  EXPECT_TRUE(compare(e, e, 0, 0).equal());
  EXPECT_EQ(compare(Tensor::of<float>({1, kInf, kInf}, {3}), e, 1, 1e30).differing, 2);
  EXPECT_EQ(compare(e, Tensor::of<float>({1, 1, 1}, {3}), 1, 1e30).differing, 3);
}

TEST(Compare, TypeAndShapeMatter) {
  const Tensor t = Tensor::of<float>({1, 2}, {2});
  EXPECT_FALSE(compare(t, Tensor::of<double>({1, 2}, {2}), 1, 1).equal());
  EXPECT_FALSE(compare(t, t.reshaped({1, 2}), 1, 1).equal());
  EXPECT_NE(compare(t, t.reshaped({1, 2}), 1, 1).mismatch.find("expected float32[1, 2]"), std::string::npos);
}

TEST(Compare, StringsExactly) {
  const Tensor a = Tensor::of<std::string>({"x", "y"}, {2});
  EXPECT_TRUE(compare(a, a.clone(), 0, 0).equal());
  EXPECT_EQ(compare(a, Tensor::of<std::string>({"x", "z"}, {2}), 1, 1).first, 1);
}

TEST(Random, IsSplitmixAndReproducible) {
  // splitmix64 of seed 1 begins 0x910a2dec89025cc1.
  const Tensor t = random_tensor(DataType::float32, {4}, 1);
  EXPECT_EQ(t.data<float>()[0], static_cast<float>(0x910a2du) * 0x1p-23f - 1);
  EXPECT_TRUE(t.identical_to(random_tensor(DataType::float32, {4}, 1)));
  EXPECT_FALSE(t.identical_to(random_tensor(DataType::float32, {4}, 2)));
  const Tensor indices = random_tensor(DataType::int64, {100}, 3);
  for (int64_t v : indices.values<int64_t>()) EXPECT_TRUE(v == 0 || v == 1);
}

TEST(Statistics, SkipWhatIsNotFinite) {
  const Statistics s = statistics(Tensor::of<float>({1, kNan, 3, kInf}, {4}));
  EXPECT_EQ(s.min, 1);
  EXPECT_EQ(s.max, 3);
  EXPECT_EQ(s.mean, 2);
  EXPECT_EQ(s.not_finite, 2);
}

TEST(Summary, ShowsNonFiniteAsJsonCan) {
  const Json json = summary_json(Tensor::of<float>({kNan, 1}, {2}));
  EXPECT_EQ(json["values"][0], "nan");
  EXPECT_EQ(json["values"][1], 1.0);
  EXPECT_EQ(json["type"], "float32");
}

TEST(Ranking, TakesProbabilitiesAsTheyAre) {
  const Ranking r = rank_classes(Tensor::of<float>({0.1f, 0.7f, 0.2f}, {1, 3}), 2);
  EXPECT_FALSE(r.softmax_applied);
  ASSERT_EQ(r.samples.size(), 1u);
  ASSERT_EQ(r.samples[0].size(), 2u);
  EXPECT_EQ(r.samples[0][0].index, 1);
  EXPECT_NEAR(r.samples[0][0].probability, 0.7, 1e-6);
  EXPECT_EQ(r.samples[0][1].index, 2);
}

TEST(Ranking, AppliesSoftmaxToLogits) {
  const Ranking r = rank_classes(Tensor::of<float>({1000, 1001, -5, 0, 0, 3}, {2, 3}), 1);
  EXPECT_TRUE(r.softmax_applied);
  ASSERT_EQ(r.samples.size(), 2u);
  EXPECT_EQ(r.samples[0][0].index, 1);
  EXPECT_NEAR(r.samples[0][0].probability, 1 / (1 + std::exp(-1.0)), 1e-9);
  EXPECT_EQ(r.samples[1][0].index, 2);
}

TEST(Ranking, TiesGoToTheFirstAndNanLast) {
  const Ranking r = rank_classes(Tensor::of<float>({kNan, 0.5f, 0.5f}, {3}), 3);
  EXPECT_EQ(r.samples[0].size(), 3u);
  EXPECT_EQ(rank_classes(Tensor::of<float>({0.5f, 0.5f}, {2}), 1).samples[0][0].index, 0);
}

TEST(Ranking, KnowsWhatHoldsClasses) {
  EXPECT_EQ(class_count(Tensor::zeros(DataType::float32, {10})), 10);
  EXPECT_EQ(class_count(Tensor::zeros(DataType::float32, {2, 10})), 10);
  EXPECT_EQ(class_count(Tensor::zeros(DataType::float32, {2, 10, 1, 1})), 10);
  EXPECT_EQ(class_count(Tensor::zeros(DataType::float32, {2, 10, 7, 7})), std::nullopt);
  EXPECT_EQ(class_count(Tensor::zeros(DataType::float32, {0, 10})), std::nullopt);
  EXPECT_EQ(class_count(Tensor::zeros(DataType::int64, {2, 10})), std::nullopt);
}

TEST(Options, ParseNumbersAndDims) {
  EXPECT_EQ(parse_numbers("0.5, -1,2e3"), (std::vector<double>{0.5, -1, 2000}));
  for (const char* bad : {"", ",", "1,", "1;2", "nan", "inf", "1x"})
    EXPECT_EQ(parse_numbers(bad), std::nullopt) << bad;
  EXPECT_EQ(parse_dims("1x3x224x224", "--shape"), (Dims{1, 3, 224, 224}));
  EXPECT_EQ(parse_dims("", "--shape"), Dims{});
  for (const char* bad : {"x", "1x", "-1", "1.5", "99999999999999999999"})
    EXPECT_ANY_THROW(parse_dims(bad, "--shape")) << bad;
}

}  // namespace
}  // namespace plica::tools
