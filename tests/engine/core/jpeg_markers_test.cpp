#include "engine/core/jpeg_markers.h"

#include <gtest/gtest.h>

#include <vector>

#include "engine/core/picture.h"

namespace plica {
namespace {

using Bytes = std::vector<uint8_t>;

// A DHT segment of one table with these counts, and as many values.
Bytes huffman_tables(const Bytes& counts, int length_off = 0) {
  int codes = 0;
  for (const uint8_t n : counts) codes += n;
  const int length = 2 + 1 + 16 + codes + length_off;
  Bytes out = {0xff, 0xc4, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length & 0xff), 0x00};
  out.insert(out.end(), counts.begin(), counts.end());
  out.resize(out.size() + static_cast<size_t>(codes));
  return out;
}

Bytes jpeg(const std::vector<Bytes>& segments) {
  Bytes out = {0xff, 0xd8};
  for (const Bytes& segment : segments) out.insert(out.end(), segment.begin(), segment.end());
  return out;
}

Bytes counts(uint8_t each_of_two, uint8_t one_more = 0) {
  Bytes out(16);
  out[7] = each_of_two;
  out[8] = each_of_two;
  out[15] = one_more;
  return out;
}

TEST(JpegMarkersTest, TablesOf256CodesFit) {
  EXPECT_TRUE(huffman_tables_fit({}));
  EXPECT_TRUE(huffman_tables_fit(jpeg({huffman_tables(Bytes(16))})));
  EXPECT_TRUE(huffman_tables_fit(jpeg({huffman_tables(counts(128))})));
  EXPECT_FALSE(huffman_tables_fit(jpeg({huffman_tables(counts(128, 1))})));
  EXPECT_FALSE(huffman_tables_fit(jpeg({huffman_tables(counts(128)), huffman_tables(counts(128, 1))})));
}

TEST(JpegMarkersTest, WhereDecodersFindThem) {
  const Bytes bad = huffman_tables(Bytes(16, 255));
  // After padding, fill bytes, and the data of a scan.
  EXPECT_FALSE(huffman_tables_fit(jpeg({{0, 0, 7}, {0xff, 0xff}, bad})));
  EXPECT_FALSE(huffman_tables_fit(jpeg({{0xff, 0xda, 0, 2, 1, 0xff, 0x00, 2, 0xff, 0xd0, 3}, bad})));
  // Not within a comment.
  Bytes comment = {0xff, 0xfe, 0, static_cast<uint8_t>(2 + 21)};
  comment.insert(comment.end(), bad.begin(), bad.begin() + 21);
  EXPECT_TRUE(huffman_tables_fit(jpeg({comment})));
  // The second of a segment; one whose counts reach beyond the length, and beyond the end.
  Bytes two = huffman_tables(counts(1), 17);
  two.push_back(0x11);
  two.insert(two.end(), 16, 255);
  EXPECT_FALSE(huffman_tables_fit(jpeg({two})));
  EXPECT_FALSE(huffman_tables_fit(jpeg({{0xff, 0xc4, 0, 3, 0, 255, 255, 0, 0, 0}})));
  EXPECT_TRUE(huffman_tables_fit(jpeg({{0xff, 0xc4, 0, 3, 0, 255}})));
  for (size_t cut = 0; cut < 24; ++cut)
    huffman_tables_fit(jpeg({Bytes(bad.begin(), bad.begin() + static_cast<int64_t>(cut))}));
}

// stb_image would write behind its table.
TEST(JpegMarkersTest, NoPictureOtherwise) {
  EXPECT_FALSE(decode_picture(jpeg({huffman_tables(Bytes(16, 255))})).has_value());
}

}  // namespace
}  // namespace plica
