#include "tools/image.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string_view>

#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/core/picture.h"

namespace plica::tools {
namespace {

// The weights with which input pixels make one output pixel: a triangle as wide as two input pixels, or two
// output pixels when those are larger (Pillow, src/libImaging/Resample.c: precompute_coeffs with
// bilinear_filter), in fixed point as there, so that bytes are the same.
constexpr int kPrecision = 22;

struct Taps {
  int first = 0;
  std::vector<int64_t> weights;
};

std::vector<Taps> triangle_taps(int in, int out) {
  const double ratio = static_cast<double>(in) / out;
  const double stretch = std::max(ratio, 1.0);
  std::vector<Taps> taps(static_cast<size_t>(out));
  for (int i = 0; i < out; ++i) {
    const double center = (i + 0.5) * ratio;
    const int first = std::max(static_cast<int>(center - stretch + 0.5), 0);
    const int last = std::min(static_cast<int>(center + stretch + 0.5), in);
    Taps& t = taps[static_cast<size_t>(i)];
    t.first = first;
    std::vector<double> weights;
    double sum = 0;
    for (int k = first; k < last; ++k) {
      weights.push_back(std::max(0.0, 1 - std::abs((k + 0.5 - center) / stretch)));
      sum += weights.back();
    }
    for (double weight : weights)
      t.weights.push_back(static_cast<int64_t>(weight / sum * (1 << kPrecision) + 0.5));
  }
  return taps;
}

uint8_t to_byte(int64_t sum) {
  return static_cast<uint8_t>(std::clamp<int64_t>((sum + (1 << (kPrecision - 1))) >> kPrecision, 0, 255));
}

double of_channel(const std::vector<double>& values, size_t channel) {
  return values.size() == 1 ? values[0] : values[channel];
}

template <class T>
T to_element(double value) {
  if constexpr (std::is_integral_v<T>) {
    constexpr double kLeast = std::numeric_limits<T>::min(), kMost = std::numeric_limits<T>::max();
    return static_cast<T>(std::clamp(std::nearbyint(value), kLeast, kMost));
  } else {
    return static_cast<T>(static_cast<float>(value));
  }
}

}  // namespace

bool looks_like_image(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 8));
  return text.starts_with("\x89PNG\r\n") || text.starts_with("\xff\xd8\xff") || text.starts_with("BM");
}

Image decode_image(std::span<const std::byte> bytes) {
  auto picture = decode_picture({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  require(picture.has_value(), ErrorCode::invalid_argument,
          "not a readable picture (PNG, JPEG, BMP, PGM or PPM)");
  return {static_cast<int>(picture->width), static_cast<int>(picture->height), picture->channels,
          std::move(picture->pixels)};
}

Image with_channels(const Image& image, int channels) {
  if (channels == image.channels) return image;
  Image out{image.width, image.height, channels, {}};
  const size_t count = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  out.pixels.resize(count * static_cast<size_t>(channels));
  for (size_t i = 0; i < count; ++i) {
    if (channels == 1) {
      const uint8_t* p = image.pixels.data() + 3 * i;
      // In 16-bit fixed point, as Pillow's L mode.
      out.pixels[i] = static_cast<uint8_t>((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
    } else {
      std::fill_n(out.pixels.data() + 3 * i, 3, image.pixels[i]);
    }
  }
  return out;
}

Image resize(const Image& image, int width, int height) {
  if (width == image.width && height == image.height) return image;
  const auto channels = static_cast<size_t>(image.channels);
  const auto columns = triangle_taps(image.width, width), rows = triangle_taps(image.height, height);
  // Along rows, then along columns, bytes between the two.
  Image narrow{width, image.height, image.channels, {}};
  narrow.pixels.resize(static_cast<size_t>(width) * static_cast<size_t>(image.height) * channels);
  uint8_t* to = narrow.pixels.data();
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* row =
        image.pixels.data() + static_cast<size_t>(y) * static_cast<size_t>(image.width) * channels;
    for (const Taps& t : columns) {
      for (size_t c = 0; c < channels; ++c) {
        int64_t sum = 0;
        for (size_t k = 0; k < t.weights.size(); ++k)
          sum += t.weights[k] * row[(static_cast<size_t>(t.first) + k) * channels + c];
        *to++ = to_byte(sum);
      }
    }
  }
  Image out{width, height, image.channels, {}};
  const size_t stride = static_cast<size_t>(width) * channels;
  out.pixels.resize(static_cast<size_t>(height) * stride);
  to = out.pixels.data();
  for (const Taps& t : rows) {
    for (size_t x = 0; x < stride; ++x) {
      int64_t sum = 0;
      for (size_t k = 0; k < t.weights.size(); ++k)
        sum += t.weights[k] * narrow.pixels[(static_cast<size_t>(t.first) + k) * stride + x];
      *to++ = to_byte(sum);
    }
  }
  return out;
}

std::optional<ImageShape> image_shape(const Shape& shape, std::optional<Layout> layout) {
  if (shape.rank() != 3 && shape.rank() != 4) return std::nullopt;
  const int first = shape.rank() - 3;
  const auto channels = [&](int axis) {
    const bool fits = shape[axis].is_known() && (shape[axis].value() == 1 || shape[axis].value() == 3);
    return fits ? shape[axis].value() : 0;
  };
  const bool nchw = channels(first) != 0, nhwc = channels(first + 2) != 0;
  if (!layout && !nchw && !nhwc) return std::nullopt;
  const Layout chosen = layout.value_or(nchw ? Layout::nchw : Layout::nhwc);
  const int at = chosen == Layout::nchw ? first : first + 2,
            rows = chosen == Layout::nchw ? first + 1 : first;
  const auto size = [&](int axis) {
    return shape[axis].is_known() ? std::optional(shape[axis].value()) : std::nullopt;
  };
  // Channels that are not stated are taken to be colours.
  ImageShape out{chosen, shape[at].is_known() ? channels(at) : 3, size(rows), size(rows + 1)};
  if (out.channels == 0) return std::nullopt;
  return out;
}

Tensor image_tensor(const Image& image, DataType type, int rank, Layout layout,
                    const Preprocessing& preprocessing) {
  const auto channels = static_cast<size_t>(image.channels);
  for (const auto& [values, what] :
       {std::pair(&preprocessing.mean, "mean"), std::pair(&preprocessing.scale, "scale")}) {
    require(values->size() == 1 || values->size() == channels, ErrorCode::invalid_argument,
            "{} values of {} for a picture of {} channels", values->size(), what, channels);
  }
  Dims dims = layout == Layout::nchw ? Dims{image.channels, image.height, image.width}
                                     : Dims{image.height, image.width, image.channels};
  if (rank == 4) dims.insert(dims.begin(), 1);
  Tensor tensor(type, std::move(dims));
  const size_t count = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  dispatch<TypeList<float, double, Float16, BFloat16, uint8_t, int8_t>>(
      type, [&]<class T>(std::type_identity<T>) {
        T* out = tensor.mutable_data<T>();
        for (size_t c = 0; c < channels; ++c) {
          const double mean = of_channel(preprocessing.mean, c), scale = of_channel(preprocessing.scale, c);
          for (size_t i = 0; i < count; ++i) {
            const T value = to_element<T>((image.pixels[i * channels + c] - mean) * scale);
            out[layout == Layout::nchw ? c * count + i : i * channels + c] = value;
          }
        }
      });
  return tensor;
}

}  // namespace plica::tools
