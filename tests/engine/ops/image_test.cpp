#include <string>

#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

Tensor from_hex(const std::string& text) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < text.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return Tensor::of(bytes, {static_cast<int64_t>(bytes.size())});
}

Tensor from_text(const std::string& text) {
  return Tensor::of(std::vector<uint8_t>(text.begin(), text.end()), {static_cast<int64_t>(text.size())});
}

Tensor decode(const Tensor& bytes, const std::string& format = "RGB") {
  return run("ImageDecoder", 20, {bytes}, {{"pixel_format", format}});
}

// 5 x 3 pixels, with chroma at half the resolution, by Pillow (libjpeg-turbo), which also decoded them.
const char* const kJpeg =
    "ffd8ffe000104a46494600010100000100010000ffdb004300080606070605080707070909080a0c140d0c0b0b0c1912"
    "130f141d1a1f1e1d1a1c1c20242e2720222c231c1c2837292c30313434341f27393d38323c2e333432ffdb0043010909"
    "090c0b0c180d0d1832211c21323232323232323232323232323232323232323232323232323232323232323232323232"
    "3232323232323232323232323232ffc00011080003000503012200021101031101ffc400150001010000000000000000"
    "0000000000000006ffc4001d100002010403000000000000000000000001020300051121041231ffc400140101000000"
    "00000000000000000000000005ffc4001e110001040105000000000000000000000001000203041112314142b1ffda00"
    "0c03010002110311003f0086b84ef35a6d114a12444e346e3bc6ac4b3468598923249d0c9de028f00014a53949a0568f"
    "03a8f13b4eb41245a9ec04e5db81c3885fffd9";

TEST(ImageDecoder, Jpeg) {
  EXPECT_TENSOR(decode(from_hex(kJpeg)),
                tensor(DataType::uint8, {3, 5, 3},
                       {98, 94, 0, 143, 154, 78, 5,   39,  40,  194, 231, 255, 11, 21, 83,
                        26, 7,  0, 90,  85,  21, 240, 255, 255, 101, 118, 172, 96, 84, 158,
                        43, 0,  0, 172, 138, 92, 88,  78,  105, 92,  74,  148, 81, 24, 119}));
  EXPECT_TENSOR(
      decode(from_hex(kJpeg), "Grayscale"),
      tensor(DataType::uint8, {3, 5, 1}, {84, 142, 29, 223, 25, 12, 79, 251, 119, 96, 13, 143, 84, 88, 52}));
}

TEST(ImageDecoder, PngDropsAlpha) {
  const Tensor png = from_hex(
      "89504e470d0a1a0a0000000d49484452000000050000000308060000005b36c5f8000000464944415478da05c1a11180"
      "301000c1fb209841a3290289a4014211b4804e3be9200a85c1d00fead845101154711827530079cf283cc78c5b252275"
      "7e67cffa5edc4ba314f8011ac0177c1a7100c10000000049454e44ae426082");
  EXPECT_TENSOR(decode(png, "BGR"),
                tensor(DataType::uint8, {3, 5, 3},
                       {0, 0, 255, 0,  255, 0,   255, 0,   0,   0,   255, 255, 30,  20, 10,
                        0, 0, 0,   80, 80,  80,  255, 255, 255, 50,  100, 200, 199, 99, 9,
                        3, 2, 1,   10, 120, 250, 200, 70,  60,  128, 128, 0,   128, 0,  128}));
}

TEST(ImageDecoder, PlainPixels) {
  const std::string pixels("\x01\x02\x03\xff\x80\x00", 6);
  EXPECT_TENSOR(decode(from_text("P6\n2 1\n255\n" + pixels)),
                tensor(DataType::uint8, {1, 2, 3}, {1, 2, 3, 255, 128, 0}));
  // 0.299 * 255 + 0.587 * 128
  EXPECT_TENSOR(decode(from_text("P6\n2 1\n255\n" + pixels), "Grayscale"),
                tensor(DataType::uint8, {1, 2, 1}, {2, 151}));
  EXPECT_TENSOR(decode(from_text("P5 1 2 255\n\x07\x09")),
                tensor(DataType::uint8, {2, 1, 3}, {7, 7, 7, 9, 9, 9}));
  // Rows of a BMP go upwards, blue first, and are padded to 4 bytes.
  EXPECT_TENSOR(decode(from_hex("424d3e0000000000000036000000280000000100000002000000010018000000000008000000"
                                "00000000000000000000000000000000"
                                "01020300"
                                "0a0b0c00")),
                tensor(DataType::uint8, {2, 1, 3}, {12, 11, 10, 3, 2, 1}));
}

TEST(ImageDecoder, WhatCannotBeDecodedIsEmpty) {
  for (const Tensor& bytes : {Tensor(DataType::uint8, {0}), from_text("no picture"),
                              from_hex(std::string(kJpeg).substr(0, 300)), from_text("P6\n0 1\n255\n"), from_text("P6\n2 1\n255\n12345")})
    EXPECT_EQ(decode(bytes).dims(), (Dims{0, 0, 3}));
  EXPECT_EQ(decode(from_text("?"), "Grayscale").dims(), (Dims{0, 0, 1}));
}

TEST(ImageDecoder, Errors) {
  using namespace std::string_literals;
  for (const auto& [bytes, format] :
       {std::pair("II*\0\x08"s, "TIFF"), std::pair("RIFF\x10\0\0\0WEBPVP8 "s, "WebP"),
        std::pair("\0\0\0\x0cjP  \r\n"s, "JPEG 2000"), std::pair("P3\n1 1\n255\n1 2 3"s, "PNM in text")})
    expect_error([&] { decode(from_text(bytes)); }, ErrorCode::unsupported, format);
  expect_error([&] { decode(from_text("P6\n60000 60000\n255\n")); }, ErrorCode::limit, "60000 x 60000");
  expect_error([&] { decode(from_text("x"), "YUV"); }, ErrorCode::invalid_model, "pixel_format");
  expect_error(
      [&] {
        run("ImageDecoder", 20, {Tensor(DataType::uint8, {1, 2})});
      },
      ErrorCode::invalid_model, "rank 2");
  EXPECT_EQ(inferred_type("ImageDecoder", 20, {typed(DataType::uint8)}), "uint8[?, ?, 3]");
}

}  // namespace
}  // namespace plica::test
