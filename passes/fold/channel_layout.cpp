#include "passes/fold/channel_layout.h"

#include <array>
#include <cmath>
#include <limits>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"

namespace plica {
namespace {

// Rounds to odd: truncated, with the last bit set when something was cut off. Rounding the result once more,
// to at least two bits fewer, then gives what rounding `value` directly would (Boldo & Melquiond, "When
// double rounding is odd", 2005).
float to_float_odd(double value) {
  const float nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) == value || std::isnan(value)) return nearest;
  const uint32_t bits = std::bit_cast<uint32_t>(nearest);
  if (bits & 1u) return nearest;
  return std::bit_cast<float>(std::abs(static_cast<double>(nearest)) > std::abs(value) ? bits - 1 : bits + 1);
}

// The smallest magnitude that is stored as it is; smaller ones become zero.
template <class T>
constexpr double kFlushBelow = 0;
template <>
constexpr double kFlushBelow<float> = std::numeric_limits<float>::min();
template <>
constexpr double kFlushBelow<double> = std::numeric_limits<double>::min();
template <>
constexpr double kFlushBelow<BFloat16> = std::numeric_limits<float>::min();

constexpr size_t kLanes = 8;

// Sums in lanes, so that the compiler may vectorize without changing the order of additions.
struct Lanes {
  std::array<double, kLanes> error{}, reach{};
  std::array<int64_t, kLanes> flushed{};
};

template <class T>
inline void store(double exact, T& out, double& error, double& reach, int64_t& flushed) {
  T rounded = round_once<T>(exact);
  double back = static_cast<double>(static_cast<ComputeType<T>>(rounded));
  const bool flush = std::abs(back) < kFlushBelow<T> && exact != 0;
  rounded = flush ? T{} : rounded;
  back = flush ? 0.0 : back;
  flushed += flush;
  out = rounded;
  error += std::abs(back - exact);
  reach += std::abs(exact);
}

// One channel's run of contiguous elements.
template <class T>
void scale_run(const T* in, T* out, int64_t count, double scale, Lanes& lanes) {
  int64_t i = 0;
  for (; i + static_cast<int64_t>(kLanes) <= count; i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) {
      const size_t at = static_cast<size_t>(i) + l;
      store(static_cast<double>(static_cast<ComputeType<T>>(in[at])) * scale, out[at], lanes.error[l],
            lanes.reach[l], lanes.flushed[l]);
    }
  }
  for (size_t l = 0; i < count; ++i, ++l) {
    store(static_cast<double>(static_cast<ComputeType<T>>(in[i])) * scale, out[i], lanes.error[l],
          lanes.reach[l], lanes.flushed[l]);
  }
}

void find_overflow(Rounded& result) {
  // A result that is not finite has an error that is not.
  for (size_t c = 0; c < result.error.size() && result.overflow < 0; ++c) {
    if (!std::isfinite(result.error[c])) result.overflow = static_cast<int64_t>(c);
  }
}

}  // namespace

template <>
double round_once<double>(double value) {
  return value;
}
template <>
float round_once<float>(double value) {
  return static_cast<float>(value);
}
template <>
Float16 round_once<Float16>(double value) {
  return Float16(to_float_odd(value));
}
template <>
BFloat16 round_once<BFloat16>(double value) {
  return BFloat16(to_float_odd(value));
}

Rounded scale_channels(const Tensor& weight, const ChannelLayout& layout, std::span<const double> scale) {
  Rounded result;
  result.tensor = Tensor(weight.type(), weight.dims());
  const auto total = static_cast<size_t>(layout.total_channels());
  result.error.assign(total, 0);
  result.reach.assign(total, 0);
  std::vector<int64_t> flushed(total, 0);
  const int64_t per_channel = layout.outer * layout.inner;
  dispatch<FloatTypes>(weight.type(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* in = weight.data<T>();
    T* out = result.tensor.mutable_data<T>();
    constexpr int64_t kGrain = 1 << 16;
    // A channel belongs to one thread, so the sums are the same with any number of threads.
    parallel_for(layout.total_channels(), kGrain / std::max<int64_t>(per_channel, 1) + 1,
                 [&](int64_t begin, int64_t end) {
                   if (layout.inner == 1) {
                     for (int64_t g = begin / layout.channels; g * layout.channels < end; ++g) {
                       const int64_t first = std::max(begin, g * layout.channels),
                                     last = std::min(end, (g + 1) * layout.channels);
                       for (int64_t o = 0; o < layout.outer; ++o) {
                         const int64_t row = (g * layout.outer + o) * layout.channels - g * layout.channels;
                         for (int64_t c = first; c < last; ++c) {
                           const auto at = static_cast<size_t>(c);
                           store(static_cast<double>(static_cast<ComputeType<T>>(in[row + c])) * scale[at],
                                 out[row + c], result.error[at], result.reach[at], flushed[at]);
                         }
                       }
                     }
                     return;
                   }
                   for (int64_t channel = begin; channel < end; ++channel) {
                     const auto at = static_cast<size_t>(channel);
                     const int64_t g = channel / layout.channels, c = channel % layout.channels;
                     Lanes lanes;
                     for (int64_t o = 0; o < layout.outer; ++o) {
                       const int64_t offset = ((g * layout.outer + o) * layout.channels + c) * layout.inner;
                       scale_run(in + offset, out + offset, layout.inner, scale[at], lanes);
                     }
                     for (size_t l = 0; l < kLanes; ++l) {
                       result.error[at] += lanes.error[l];
                       result.reach[at] += lanes.reach[l];
                       flushed[at] += lanes.flushed[l];
                     }
                   }
                 });
  });
  for (int64_t f : flushed) result.flushed += f;
  find_overflow(result);
  return result;
}

Rounded round_rows(std::span<const double> values, int64_t channels, DataType type, Dims dims) {
  Rounded result;
  result.tensor = Tensor(type, std::move(dims));
  result.error.assign(static_cast<size_t>(channels), 0);
  result.reach.assign(static_cast<size_t>(channels), 0);
  dispatch<FloatTypes>(type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* out = result.tensor.mutable_data<T>();
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t c = i % static_cast<size_t>(channels);
      double error = 0, reach = 0;
      store(values[i], out[i], error, reach, result.flushed);
      // Rows add to different outputs: the largest counts, not the sum.
      result.error[c] = std::isfinite(error) ? std::max(result.error[c], error) : error;
      result.reach[c] = std::max(result.reach[c], reach);
    }
  });
  find_overflow(result);
  return result;
}

}  // namespace plica
