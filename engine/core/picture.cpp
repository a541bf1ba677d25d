#include "engine/core/picture.h"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "engine/core/fail.h"
#include "engine/core/jpeg_markers.h"
#include "engine/core/jpeg_samples.h"

namespace {

// stb_image unpacks PNG data without a bound of its own: no allocation may be larger than the picture
// justifies. It reads Huffman tables that a JPEG never defined, so memory begins as zeros, of which they are harmless.
thread_local size_t allocation_limit = 0;

void* bounded_realloc(void* old, size_t size) {
  if (size > allocation_limit) return nullptr;
  return old ? std::realloc(old, size) : std::calloc(1, size);
}

}  // namespace

#define STBI_MALLOC(size) bounded_realloc(nullptr, size)
#define STBI_REALLOC(old, size) bounded_realloc(old, size)
#define STBI_FREE(old) std::free(old)
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_ONLY_PNM
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 65535
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace plica {
namespace {

constexpr int64_t kMostPixels = int64_t{1} << 27;

// The format, of those that ImageDecoder lists, when it is one that stb_image does not decode.
std::optional<std::string_view> foreign_format(std::string_view bytes) {
  using namespace std::string_view_literals;
  if (bytes.starts_with("\0\0\0\x0cjP  "sv) || bytes.starts_with("\xff\x4f\xff\x51")) return "JPEG 2000";
  for (const auto tiff : {"II*\0"sv, "MM\0*"sv, "II+\0"sv, "MM\0+"sv})
    if (bytes.starts_with(tiff)) return "TIFF";
  if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) return "WebP";
  if (bytes.size() > 2 && bytes[0] == 'P' && (bytes[2] == '\n' || bytes[2] == ' ' || bytes[2] == '\r')) {
    if (bytes[1] == '4') return "PBM";
    if (bytes[1] >= '1' && bytes[1] <= '3') return "PNM in text";
    if (bytes[1] == '7') return "PAM";
  }
  return std::nullopt;
}

// A JPEG with the rounding of jpeg_samples.h. stb_image reads the file and unpacks the components; how it
// would upsample them is not how the specification says. Nothing when that fails, or for another number of
// components.
std::optional<Picture> decode_jpeg(stbi__context& source) {
  const auto jpeg = std::make_unique<stbi__jpeg>();
  jpeg->s = &source;
  stbi__setup_jpeg(jpeg.get());
  jpeg->idct_block_kernel = [](stbi_uc* out, int stride, short* data) {
    inverse_cosine_transform(out, stride, data);
  };
  source.img_n = 0;  // the components that the next line's cleanup may free
  const std::unique_ptr<stbi__jpeg, decltype(&stbi__cleanup_jpeg)> components(jpeg.get(), stbi__cleanup_jpeg);
  if (!stbi__decode_jpeg_image(jpeg.get())) return std::nullopt;
  if (source.img_n != 1 && source.img_n != 3) return std::nullopt;
  Picture picture{source.img_x, source.img_y, source.img_n, {}};
  std::vector<uint8_t> planes[3];
  for (int i = 0; i < picture.channels; ++i) {
    const auto& c = jpeg->img_comp[i];
    const int across = jpeg->img_h_max / c.h, down = jpeg->img_v_max / c.v;
    const SamplePlane plane{
        c.data, c.w2, (picture.width + across - 1) / across, (picture.height + down - 1) / down,
        across, down};
    if (plane.width > c.w2 || plane.height > c.h2) return std::nullopt;
    planes[i] = upsample(plane, picture.width, picture.height);
  }
  if (picture.channels == 1) {
    picture.pixels = std::move(planes[0]);
    return picture;
  }
  const bool is_rgb = jpeg->rgb == 3 || (jpeg->app14_color_transform == 0 && !jpeg->jfif);
  picture.pixels.resize(planes[0].size() * 3);
  for (size_t i = 0; i < planes[0].size(); ++i) {
    uint8_t* rgb = picture.pixels.data() + 3 * i;
    if (is_rgb) {
      for (size_t c = 0; c < 3; ++c) rgb[c] = planes[c][i];
    } else {
      to_rgb(planes[0][i], planes[1][i], planes[2][i], rgb);
    }
  }
  return picture;
}

// The bytes behind the header of a PNM. Nothing when width, height or largest value have more than nine digits:
// stb_image adds those up into an int.
std::optional<size_t> pnm_body_size(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r", kDigits = "0123456789";
  constexpr size_t kMostDigits = 9;
  text.remove_prefix(std::min<size_t>(2, text.size()));
  const auto skip = [&](size_t count) { text.remove_prefix(std::min(count, text.size())); };
  for (int number = 0; number < 3; ++number) {
    skip(text.find_first_not_of(kSpace));
    while (text.starts_with('#')) {
      skip(text.find_first_of("\n\r"));
      skip(text.find_first_not_of(kSpace));
    }
    const size_t digits = std::min(text.find_first_not_of(kDigits), text.size());
    if (digits > kMostDigits) return std::nullopt;
    skip(digits);
  }
  skip(1);
  return text.size();
}

// Whether there are as many bytes as a picture of this size takes at least. Behind the end stb_image reads zeros, or
// leaves memory as it was: a header of 54 bytes would be the work of a large picture.
bool may_be_whole(std::span<const uint8_t> bytes, int64_t width, int64_t height, int channels) {
  const auto number = [&](size_t at) { return at + 1 < bytes.size() ? bytes[at] | bytes[at + 1] << 8 : 0; };
  const int64_t pixels = width * height, size = std::ssize(bytes);
  if (bytes[0] == 'B') {
    constexpr size_t kHeaderSize = 14, kCoreHeader = 12;
    const int64_t bits = number(number(kHeaderSize) == kCoreHeader ? 24 : 28);
    return (width * bits + 31) / 32 * 4 * height <= size;
  }
  if (bytes[0] == 'P') {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const int sample_bytes = stbi_is_16_bit_from_memory(bytes.data(), static_cast<int>(size)) ? 2 : 1;
    return pixels * channels * sample_bytes <= static_cast<int64_t>(pnm_body_size(text).value_or(0));
  }
  // A JPEG's 8x8 blocks of the component with the most samples: a bit for each, at least.
  if (bytes[0] == 0xff) return pixels / (64 * 8) <= size;
  return true;
}

}  // namespace

std::optional<Picture> decode_picture(std::span<const uint8_t> bytes) {
  if (bytes.empty() || bytes.size() > INT_MAX) return std::nullopt;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (const auto format = foreign_format(text))
    fail(ErrorCode::unsupported, "a picture in the format {}", *format);
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, channels = 0;
  if (text.starts_with('\xff') && !huffman_tables_fit(bytes)) return std::nullopt;
  if (text.starts_with('P') && !pnm_body_size(text)) return std::nullopt;
  allocation_limit = size_t{64} << 20;
  if (!stbi_info_from_memory(bytes.data(), size, &width, &height, &channels) || width <= 0 || height <= 0)
    return std::nullopt;
  const int64_t pixels = int64_t{width} * height;
  require(pixels <= kMostPixels, ErrorCode::limit, "a picture of {} x {} pixels", width, height);
  if (!may_be_whole(bytes, width, height, channels)) return std::nullopt;
  // The largest buffer is a PNG's unpacked rows: up to 8 bytes a pixel and one a row; stb doubles it as it
  // grows.
  allocation_limit = static_cast<size_t>(pixels + height) * 16 + (size_t{1} << 20);
  if (text.starts_with("\xff\xd8")) {
    stbi__context source;
    stbi__start_mem(&source, bytes.data(), size);
    if (auto picture = decode_jpeg(source)) return picture;
  }
  const std::unique_ptr<stbi_uc, decltype(&std::free)> decoded(
      stbi_load_from_memory(bytes.data(), size, &width, &height, &channels, 0), &std::free);
  if (!decoded) return std::nullopt;
  // Grey, grey and alpha, RGB, or RGB and alpha.
  Picture picture{width, height, channels <= 2 ? 1 : 3, {}};
  picture.pixels.resize(static_cast<size_t>(pixels * picture.channels));
  for (int64_t i = 0; i < pixels; ++i)
    std::copy_n(decoded.get() + i * channels, picture.channels, picture.pixels.data() + i * picture.channels);
  return picture;
}

}  // namespace plica
