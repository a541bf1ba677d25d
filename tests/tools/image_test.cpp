#include "tools/image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "engine/core/error.h"

namespace plica::tools {
namespace {

std::string read(const char* path) {
  std::ifstream file(std::string(PLICA_SOURCE_DIR "/") + path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}
Image decode(const std::string& text) {
  return decode_image(std::as_bytes(std::span(text.data(), text.size())));
}

// A 24-bit BMP, bottom row first, rows padded to 4 bytes.
std::string bmp(int width, int height, const std::string& rows) {
  std::string text = "BM";
  const auto put = [&](uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  };
  put(static_cast<uint32_t>(54 + rows.size()), 4), put(0, 4), put(54, 4);
  put(40, 4), put(static_cast<uint32_t>(width), 4), put(static_cast<uint32_t>(height), 4), put(1, 2),
      put(24, 2), put(0, 4);
  for (int i = 0; i < 5; ++i) put(0, 4);
  return text + rows;
}

TEST(Image, DecodesPngAndJpeg) {
  const Image png = decode(read("models/digits/pictures/two.png"));
  EXPECT_EQ(png.width, 64);
  EXPECT_EQ(png.height, 64);
  EXPECT_EQ(png.channels, 1);
  const Image jpeg = decode(read("tests/golden/pictures/page-90.jpg"));
  EXPECT_EQ(jpeg.width, 560);
  EXPECT_EQ(jpeg.height, 400);
}

TEST(Image, DecodesBmpAsRgb) {
  // One row of two pixels, blue and red, as BGR.
  const Image image = decode(bmp(2, 1, std::string("\xff\x00\x00\x00\x00\xff\x00\x00", 8)));
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(image.pixels, (std::vector<uint8_t>{0, 0, 255, 255, 0, 0}));
}

TEST(Image, RefusesWhatIsNone) {
  EXPECT_THROW(decode(""), Error);
  EXPECT_THROW(decode("no picture"), Error);
  const std::string png = read("models/digits/pictures/two.png");
  for (size_t length = 0; length + 16 < png.size(); length += 7)
    EXPECT_THROW(decode(png.substr(0, length)), Error) << length;
}

TEST(Image, RefusesSizesBeforeItAllocates) {
  EXPECT_THROW(decode(bmp(60000, 60000, "")), Error);
  EXPECT_THROW(decode(bmp(0, 10, "")), Error);
  EXPECT_THROW(decode(bmp(1000, 14000, std::string(100, '\1'))), Error);  // cut, which stb_image would fill up
  EXPECT_THROW(decode("P5 1000 14000 255\n" + std::string(100, '\1')), Error);
}

TEST(Image, GreyIsLuma) {
  const Image grey = with_channels({2, 1, 3, {255, 0, 0, 255, 255, 255}}, 1);
  EXPECT_EQ(grey.pixels, (std::vector<uint8_t>{76, 255}));
  EXPECT_EQ(with_channels({1, 1, 1, {7}}, 3).pixels, (std::vector<uint8_t>{7, 7, 7}));
}

// What Pillow 13.0 gives for Image.resize(size, BILINEAR).
TEST(Image, ResizesAsPillow) {
  EXPECT_EQ(resize({4, 1, 1, {0, 100, 200, 50}}, 2, 1).pixels, (std::vector<uint8_t>{71, 121}));
  EXPECT_EQ(resize({2, 1, 1, {0, 200}}, 4, 1).pixels, (std::vector<uint8_t>{0, 50, 150, 200}));
  EXPECT_EQ(resize({1, 1, 3, {1, 2, 3}}, 2, 2).pixels,
            (std::vector<uint8_t>{1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3}));
  Image picture{7, 5, 1, {}};
  for (int y = 0; y < 5; ++y) {
    for (int x = 0; x < 7; ++x)
      picture.pixels.push_back(static_cast<uint8_t>((7 * y * y + 31 * x * x + 13 * x * y) % 256));
  }
  EXPECT_EQ(resize(picture, 3, 4).pixels,
            (std::vector<uint8_t>{45, 94, 92, 71, 108, 105, 85, 142, 98, 127, 84, 72}));
  EXPECT_EQ(resize(picture, 4, 2).pixels, (std::vector<uint8_t>{37, 110, 102, 96, 99, 106, 118, 78}));
  EXPECT_EQ(resize(picture, 10, 9).pixels,
            (std::vector<uint8_t>{0,   17,  54,  119, 58,  99,  228, 65,  45,  92,  2,   22,  62,  130, 72,
                                  86,  167, 67,  71,  120, 6,   29,  75,  148, 95,  64,  65,  69,  114, 168,
                                  16,  43,  94,  172, 124, 88,  77,  107, 113, 107, 28,  59,  115, 198, 155,
                                  124, 118, 153, 100, 20,  47,  82,  108, 96,  144, 168, 160, 100, 81,  83,
                                  68,  107, 109, 23,  126, 185, 177, 63,  65,  119, 96,  139, 145, 65,  80,
                                  94,  99,  89,  68,  47,  112, 158, 167, 90,  52,  40,  52,  104, 69,  4}));
}

TEST(Image, AFlatPictureStaysFlat) {
  const Image flat = resize({64, 64, 1, std::vector<uint8_t>(64 * 64, 93)}, 8, 8);
  EXPECT_TRUE(std::ranges::all_of(flat.pixels, [](uint8_t p) { return p == 93; }));
}

TEST(ImageShape, FindsChannels) {
  EXPECT_EQ(image_shape({Dim::symbol("N"), 3, 224, 224}, {})->layout, Layout::nchw);
  EXPECT_EQ(image_shape({1, 224, 224, 3}, {})->layout, Layout::nhwc);
  EXPECT_EQ(image_shape({1, 224, 200, 3}, {})->height, 224);
  EXPECT_EQ(image_shape({1, 8, 8}, {})->channels, 1);
  EXPECT_EQ(image_shape({1, 3, Dim(), Dim()}, {})->width, std::nullopt);
  EXPECT_EQ(image_shape({1, 3, 5, 3}, Layout::nhwc)->height, 3);
  EXPECT_FALSE(image_shape({1, 4, 8, 8}, {}));
  EXPECT_FALSE(image_shape({3, 8}, {}));
}

TEST(ImageTensor, IsByteMinusMeanTimesScale) {
  const Image image{2, 1, 3, {10, 20, 30, 40, 50, 60}};
  const Tensor chw = image_tensor(image, DataType::float32, 4, Layout::nchw, {{10, 20, 30}, {0.5}});
  EXPECT_TRUE(chw.identical_to(Tensor::of<float>({0, 15, 0, 15, 0, 15}, {1, 3, 1, 2})));
  const Tensor hwc = image_tensor(image, DataType::float32, 3, Layout::nhwc, {{0}, {1}});
  EXPECT_TRUE(hwc.identical_to(Tensor::of<float>({10, 20, 30, 40, 50, 60}, {1, 2, 3})));
  const Tensor bytes = image_tensor(image, DataType::int8, 4, Layout::nhwc, {{0}, {10}});
  EXPECT_TRUE(bytes.identical_to(Tensor::of<int8_t>({100, 127, 127, 127, 127, 127}, {1, 1, 2, 3})));
  EXPECT_THROW(image_tensor(image, DataType::float32, 4, Layout::nchw, {{1, 2}, {1}}), Error);
  EXPECT_THROW(image_tensor(image, DataType::string, 4, Layout::nchw, {}), Error);
}

}  // namespace
}  // namespace plica::tools
