#include "tools/npz.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sstream>

namespace plica::tools {
namespace {

NamedArrays parse(const std::string& text) {
  return parse_npz(std::as_bytes(std::span(text.data(), text.size())));
}

std::string example() {
  Tensor zeros = Tensor::zeros(DataType::float32, {100, 100});  // compresses well: deflated
  return serialize_npz(
      {{"x", Tensor::of<int64_t>({1, 2, 3}, {3})}, {"zeros", zeros}, {"naïve", Tensor::scalar(1.5)}});
}

void put32(std::string& text, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) text[at + i] = static_cast<char>(value >> (8 * i));
}

// The position of the k-th entry of the directory.
size_t entry(const std::string& text, int k) {
  size_t at = 0;
  for (int i = 0; i <= k; ++i) at = text.find("PK\1\2", at + (i > 0));
  return at;
}

TEST(Npz, RoundTrips) {
  const std::string text = example();
  EXPECT_LT(text.size(), 2000u);
  const NamedArrays arrays = parse(text);
  ASSERT_EQ(arrays.size(), 3u);
  EXPECT_EQ(arrays[0].first, "x");
  EXPECT_TRUE(arrays[0].second.identical_to(Tensor::of<int64_t>({1, 2, 3}, {3})));
  EXPECT_TRUE(find_array(arrays, "zeros")->identical_to(Tensor::zeros(DataType::float32, {100, 100})));
  EXPECT_TRUE(find_array(arrays, "naïve")->identical_to(Tensor::scalar(1.5)));
  EXPECT_EQ(find_array(arrays, "y"), nullptr);
  EXPECT_EQ(text, example());
}

// numpy.savez_compressed wrote it.
TEST(Npz, ReadsWhatNumpyWrites) {
  std::ifstream file(PLICA_SOURCE_DIR "/models/digits/test.npz", std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  const NamedArrays arrays = parse(text.str());
  const Tensor* image = find_array(arrays, "image");
  ASSERT_NE(image, nullptr);
  EXPECT_EQ(image->type(), DataType::float32);
  EXPECT_EQ(image->dims(), (Dims{540, 1, 8, 8}));
  EXPECT_EQ(find_array(arrays, "labels")->dims(), (Dims{540}));
}

TEST(Npz, AnEmptyArchiveHasNoArrays) { EXPECT_TRUE(parse(serialize_npz({})).empty()); }

TEST(Npz, RefusesEveryTruncation) {
  const std::string text = example();
  for (size_t length = 0; length < text.size(); ++length)
    EXPECT_THROW(parse(text.substr(0, length)), Error) << length;
}

// No bit of the file can be flipped so that something else than the same arrays or an Error comes out.
TEST(Npz, NoticesDamage) {
  const std::string good = example();
  const NamedArrays expected = parse(good);
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text = good;
    text[random() % text.size()] ^= static_cast<char>(1u << random() % 8);
    try {
      const NamedArrays arrays = parse(text);
      for (size_t k = 0; k < std::min(arrays.size(), expected.size()); ++k) {
        EXPECT_TRUE(arrays[k].second.identical_to(expected[k].second)) << arrays[k].first;
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.message().find('\n'), std::string::npos);
    }
  }
}

TEST(Npz, RefusesBombsBeforeItAllocates) {
  std::string text = example();
  put32(text, entry(text, 1) + 24, 0xf0000000);  // claims 4 GB for some 60 bytes
  try {
    parse(text);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_NE(error.message().find("'zeros'"), std::string::npos) << error.message();
  }
}

TEST(Npz, RefusesMembersThatUnpackToAnotherSize) {
  for (int delta : {-1, 1}) {
    std::string text = example();
    put32(text, entry(text, 1) + 24, static_cast<uint32_t>(128 + 40000 + delta));
    EXPECT_THROW(parse(text), Error);
  }
}

TEST(Npz, RefusesOffsetsOutsideAndOverlaps) {
  std::string outside = example();
  put32(outside, entry(outside, 0) + 42, 0x7fffffff);
  EXPECT_THROW(parse(outside), Error);
  std::string overlap = example();
  put32(overlap, entry(overlap, 0) + 20, static_cast<uint32_t>(overlap.size() - 100));
  put32(overlap, entry(overlap, 1) + 20, static_cast<uint32_t>(overlap.size() - 100));
  EXPECT_THROW(parse(overlap), Error);
}

TEST(Npz, RefusesADuplicateName) {
  const Tensor t = Tensor::scalar(1.f);
  EXPECT_THROW(parse(serialize_npz({{"x", t}, {"x", t}})), Error);
}

}  // namespace
}  // namespace plica::tools
