#include "engine/ops/interpolation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

// Where an output position falls in the input; formulas of https://onnx.ai/onnx/operators/onnx__Resize.html.
double source_position(const AxisGeometry& a, Coordinates coordinates, double x) {
  const double last = static_cast<double>(a.input - 1);
  switch (coordinates) {
    case Coordinates::half_pixel:
      return (x + 0.5) / a.scale - 0.5;
    case Coordinates::half_pixel_symmetric: {
      const double adjustment = static_cast<double>(a.output) / a.length;
      return static_cast<double>(a.input) / 2 * (1 - adjustment) + (x + 0.5) / a.scale - 0.5;
    }
    case Coordinates::pytorch_half_pixel:
      return a.output > 1 ? (x + 0.5) / a.scale - 0.5 : 0;
    case Coordinates::align_corners:
      return a.length == 1 ? 0 : x * last / (a.length - 1);
    case Coordinates::asymmetric:
      return x / a.scale;
    case Coordinates::tf_half_pixel_for_nn:
      return (x + 0.5) / a.scale;
    case Coordinates::tf_crop_and_resize:
      return a.length == 1 ? (a.start + a.end) * last / 2
                           : a.start * last + x * (a.end - a.start) * last / (a.length - 1);
  }
  return 0;
}

double round_position(double x, Nearest nearest, bool shrinking) {
  switch (nearest) {
    case Nearest::round_prefer_floor:
      return std::ceil(x - 0.5);
    case Nearest::round_prefer_ceil:
      return std::floor(x + 0.5);
    case Nearest::floor:
      return std::floor(x);
    case Nearest::ceil:
      return std::ceil(x);
    case Nearest::simple:
      return shrinking ? std::ceil(x) : std::floor(x);
  }
  return x;
}

// The filters, by distance from the position. Cubic: R. Keys, "Cubic Convolution Interpolation for Digital
// Image Processing" (1981), equation 4.
double linear_filter(double x) { return std::max(1 - std::abs(x), 0.0); }
double cubic_filter(double x, double a) {
  x = std::abs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

int64_t clamp_index(double position, int64_t size) {
  return static_cast<int64_t>(std::clamp(position, 0.0, static_cast<double>(size - 1)));
}

}  // namespace

bool AxisTable::is_identity(int64_t input) const {
  if (outputs() != input || !outside.empty()) return false;
  for (size_t i = 0; i < index.size(); ++i) {
    const int64_t output = static_cast<int64_t>(i) / taps;
    if (weight[i] != (index[i] == output ? 1 : 0) && !(taps > 1 && weight[i] == 0)) return false;
  }
  return true;
}

AxisTable make_axis_table(const AxisGeometry& axis, const InterpolationRule& rule) {
  const bool nearest = rule.mode == InterpolationRule::Mode::nearest,
             cubic = rule.mode == InterpolationRule::Mode::cubic;
  // Antialiasing stretches the filter over the input when it shrinks.
  const double stretch = rule.antialias && !nearest ? std::min(axis.scale, 1.0) : 1.0;
  const double radius = nearest ? 0 : (cubic ? 2 : 1) / stretch;
  const double first = nearest ? 0 : std::floor(-radius) + 1;
  AxisTable table;
  table.taps = nearest ? 1 : static_cast<int64_t>(2 - 2 * first);
  const size_t entries = static_cast<size_t>(checked_mul(axis.output, table.taps));
  table.index.resize(entries);
  table.weight.resize(entries);
  size_t at = 0;
  for (int64_t i = 0; i < axis.output; ++i) {
    const double x = source_position(axis, rule.coordinates, static_cast<double>(i));
    if (rule.coordinates == Coordinates::tf_crop_and_resize &&
        (x < 0 || x > static_cast<double>(axis.input - 1))) {
      if (table.outside.empty()) table.outside.resize(static_cast<size_t>(axis.output));
      table.outside[static_cast<size_t>(i)] = true;
    }
    if (nearest) {
      table.index[at] = clamp_index(round_position(x, rule.nearest, axis.scale < 1), axis.input);
      table.weight[at++] = 1;
      continue;
    }
    // An integral position is the right one of its two neighbours, as in ONNX's reference.
    const double base = std::ceil(x) - 1;
    double sum = 0;
    for (int64_t t = 0; t < table.taps; ++t) {
      const double position = base + first + static_cast<double>(t);
      const double distance = (position - x) * stretch;
      double w = cubic ? cubic_filter(distance, rule.cubic_coefficient) : linear_filter(distance);
      if (rule.exclude_outside && (position < 0 || position >= static_cast<double>(axis.input))) w = 0;
      table.index[at + static_cast<size_t>(t)] = clamp_index(position, axis.input);
      table.weight[at + static_cast<size_t>(t)] = w;
      sum += w;
    }
    // The weights of the plain filters add up to 1 unless some were excluded.
    if ((stretch != 1 || rule.exclude_outside) && sum != 0) {
      for (int64_t t = 0; t < table.taps; ++t) table.weight[at + static_cast<size_t>(t)] /= sum;
    }
    at += static_cast<size_t>(table.taps);
  }
  return table;
}

void gather_nearest(const Tensor& in, const std::vector<AxisTable>& axes, const Tensor& extrapolation,
                    Tensor& out) {
  if (out.size() == 0) return;
  const size_t rank = axes.size();
  const Dims strides = row_major_strides(in.dims());
  static const AxisTable kScalar{1, {0}, {1}, {}};
  const AxisTable& last = rank == 0 ? kScalar : axes.back();
  const int64_t width = last.outputs();
  // Whole elements repeated evenly, the common case, need no table.
  const int64_t input_width = rank == 0 ? 1 : in.dims().back(), factor = width / input_width;
  bool even = width % input_width == 0 && last.outside.empty();
  for (int64_t i = 0; i < width && even; ++i) even = last.index[static_cast<size_t>(i)] == i / factor;
  dispatch_by_size(out.type(), [&]<class T>(std::type_identity<T>) {
    const T* from = static_cast<const T*>(in.raw());
    T* to = static_cast<T*>(out.mutable_raw());
    const T& fill = *static_cast<const T*>(extrapolation.raw());
    parallel_for(out.size() / width, std::max<int64_t>(1, 16384 / width), [&](int64_t begin, int64_t end) {
      int64_t previous = -1;
      for (int64_t row = begin; row < end; ++row) {
        int64_t offset = 0, rest = row;
        bool outside = false;
        for (size_t d = rank; d-- > 1;) {
          const AxisTable& axis = axes[d - 1];
          const size_t position = static_cast<size_t>(rest % axis.outputs());
          rest /= axis.outputs();
          offset += axis.index[position] * strides[d - 1];
          outside |= !axis.outside.empty() && axis.outside[position];
        }
        T* result = to + row * width;
        if (outside) {
          std::fill_n(result, width, fill);
          previous = -1;
          continue;
        }
        if (offset == previous) {
          std::copy_n(result - width, width, result);
          continue;
        }
        previous = offset;
        const T* source = from + offset;
        if (even && factor == 1) {
          std::copy_n(source, width, result);
        } else if (even && factor == 2) {
          for (int64_t i = 0; i < input_width; ++i) result[2 * i] = result[2 * i + 1] = source[i];
        } else {
          for (int64_t i = 0; i < width; ++i) result[i] = source[last.index[static_cast<size_t>(i)]];
          for (int64_t i = 0; i < width && !last.outside.empty(); ++i) {
            if (last.outside[static_cast<size_t>(i)]) result[i] = fill;
          }
        }
      }
    });
  });
}

namespace {

// One axis of [outer, input, inner].
template <class T>
void interpolate_axis(const T* x, T* y, int64_t outer, int64_t input, int64_t inner, const AxisTable& table,
                      T extrapolation) {
  const std::vector<T> weight(table.weight.begin(), table.weight.end());
  const int64_t outputs = table.outputs(), taps = table.taps;
  const auto is_outside = [&](int64_t i) {
    return !table.outside.empty() && table.outside[static_cast<size_t>(i)];
  };
  if (inner == 1) {
    parallel_for(outer, std::max<int64_t>(1, 8192 / (outputs * taps)), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* in = x + row * input;
        T* out = y + row * outputs;
        const int64_t* index = table.index.data();
        const T* w = weight.data();
        for (int64_t i = 0; i < outputs; ++i, index += taps, w += taps) {
          T sum = 0;
          for (int64_t t = 0; t < taps; ++t) sum += w[t] * in[index[t]];
          out[i] = is_outside(i) ? extrapolation : sum;
        }
      }
    });
    return;
  }
  parallel_for(outer * outputs, std::max<int64_t>(1, 16384 / (inner * taps)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   const int64_t i = row % outputs;
                   T* out = y + row * inner;
                   if (is_outside(i)) {
                     std::fill_n(out, inner, extrapolation);
                     continue;
                   }
                   const T* plane = x + row / outputs * input * inner;
                   const int64_t* index = table.index.data() + i * taps;
                   const T* w = weight.data() + i * taps;
                   std::fill_n(out, inner, T(0));
                   for (int64_t t = 0; t < taps; ++t) {
                     const T* in = plane + index[t] * inner;
                     if (w[t] == 0) continue;
                     for (int64_t j = 0; j < inner; ++j) out[j] += w[t] * in[j];
                   }
                 }
               });
}

}  // namespace

void interpolate(const Tensor& in, const std::vector<AxisTable>& axes, double extrapolation, Tensor& out) {
  if (out.size() == 0) return;
  dispatch<TypeList<float, double>>(out.type(), [&]<class T>(std::type_identity<T>) {
    Tensor current = in;
    for (size_t d = 0; d < axes.size(); ++d) {
      const int64_t input = current.dims()[d];
      if (axes[d].is_identity(input)) continue;
      Dims dims = current.dims();
      dims[d] = axes[d].outputs();
      const int64_t inner = std::accumulate(dims.begin() + static_cast<std::ptrdiff_t>(d) + 1, dims.end(),
                                            int64_t{1}, std::multiplies<>());
      Tensor next(out.type(), dims);
      interpolate_axis(current.data<T>(), next.mutable_data<T>(), current.size() / (input * inner), input,
                       inner, axes[d], static_cast<T>(extrapolation));
      current = std::move(next);
    }
    std::copy_n(current.data<T>(), current.size(), out.mutable_data<T>());
  });
}

}  // namespace plica
