#include "passes/fold/weight_view.h"

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

constexpr int64_t kLanes = 8;

// Sums in lanes, so that the compiler may vectorize without changing the order of additions.
struct Lanes {
  std::array<double, kLanes> error{}, reach{};
  int64_t flushed = 0;
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

template <class T>
double exact(T value) {
  return static_cast<double>(static_cast<ComputeType<T>>(value));
}

// Below the normal range, or zero.
template <class T>
bool is_tiny(T stored) {
  return std::abs(static_cast<ComputeType<T>>(stored)) < static_cast<ComputeType<T>>(kFlushBelow<T>);
}

// A run of contiguous elements of one output channel; element i is scaled by scale(i). As store() does, block
// by block and one thing at a time: simple loops vectorize.
template <class T, class Scale>
void scale_run(const T* in, T* out, int64_t count, Scale&& scale, Lanes& lanes) {
  constexpr int64_t kBlock = 256;
  std::array<double, kBlock> x;
  for (int64_t start = 0; start < count; start += kBlock) {
    const T* from = in + start;
    T* to = out + start;
    const int64_t n = std::min(count - start, kBlock);
    for (int64_t i = 0; i < n; ++i) x[static_cast<size_t>(i)] = exact(from[i]) * scale(start + i);
    int64_t tiny = 0;
    for (int64_t i = 0; i < n; ++i) {
      to[i] = round_once<T>(x[static_cast<size_t>(i)]);
      tiny += is_tiny(to[i]);
    }
    for (int64_t i = 0; tiny != 0 && i < n; ++i) {
      if (!is_tiny(to[i])) continue;
      lanes.flushed += x[static_cast<size_t>(i)] != 0;
      to[i] = T{};
    }
    const auto add = [&](int64_t i, int64_t l) {
      const double value = x[static_cast<size_t>(i)];
      lanes.error[static_cast<size_t>(l)] += std::abs(exact(to[i]) - value);
      lanes.reach[static_cast<size_t>(l)] += std::abs(value);
    };
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      for (int64_t l = 0; l < kLanes; ++l) add(i + l, l);
    }
    for (int64_t l = 0; i < n; ++i, ++l) add(i, l);
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
Float16 round_once<Float16>(double value) {
  return Float16(to_float_odd(value));
}
template <>
BFloat16 round_once<BFloat16>(double value) {
  return BFloat16(to_float_odd(value));
}

namespace {

// Sums by output channel while a weight is scaled.
struct Tally {
  explicit Tally(int64_t channels)
      : error(static_cast<size_t>(channels), 0.0),
        reach(static_cast<size_t>(channels), 0.0),
        flushed(static_cast<size_t>(channels), 0) {}

  void add(size_t channel, const Lanes& lanes) {
    for (double e : lanes.error) error[channel] += e;
    for (double r : lanes.reach) reach[channel] += r;
    flushed[channel] += lanes.flushed;
  }

  std::vector<double> error, reach;
  std::vector<int64_t> flushed;
};

// A channel belongs to one thread in both, so the sums are the same with any number of threads.

template <class T>
void scale_output_first(const T* in, T* out, const WeightView& v, std::span<const double> output_scale,
                        std::span<const double> input_scale, Tally& tally, int64_t begin, int64_t end) {
  const int64_t row = v.second * v.inner;
  for (int64_t r = begin; r < end; ++r) {  // outer * first: without groups, outer is 1
    const auto channel = static_cast<size_t>(r);
    const double s = output_scale.empty() ? 1.0 : output_scale[channel];
    const T* from = in + r * row;
    T* to = out + r * row;
    Lanes lanes;
    if (input_scale.empty()) {
      scale_run(
          from, to, row, [s](int64_t) { return s; }, lanes);
    } else {
      const double* factors = input_scale.data() + (v.grouped ? r / v.first * v.second : 0);
      if (v.inner == 1) {
        scale_run(
            from, to, row, [s, factors](int64_t i) { return s * factors[i]; }, lanes);
      } else {
        for (int64_t b = 0; b < v.second; ++b) {
          const double factor = s * factors[b];
          scale_run(
              from + b * v.inner, to + b * v.inner, v.inner, [factor](int64_t) { return factor; }, lanes);
        }
      }
    }
    tally.add(channel, lanes);
  }
}

// Output channels [begin, end).
template <class T>
void scale_output_second(const T* in, T* out, const WeightView& v, std::span<const double> output_scale,
                         std::span<const double> input_scale, Tally& tally, int64_t begin, int64_t end) {
  for (int64_t o = 0; o < v.outer; ++o) {
    const int64_t channel_0 = v.grouped ? o * v.second : 0, input_0 = v.grouped ? o * v.first : 0;
    const int64_t from = std::max(begin - channel_0, int64_t{0}), to = std::min(end - channel_0, v.second);
    for (int64_t a = 0; from < to && a < v.first; ++a) {
      const double s = input_scale.empty() ? 1.0 : input_scale[static_cast<size_t>(input_0 + a)];
      const int64_t row = (o * v.first + a) * v.second * v.inner;
      for (int64_t b = from; b < to; ++b) {
        const auto channel = static_cast<size_t>(channel_0 + b);
        const double factor = output_scale.empty() ? s : s * output_scale[channel];
        if (v.inner == 1) {
          store(exact(in[row + b]) * factor, out[row + b], tally.error[channel], tally.reach[channel],
                tally.flushed[channel]);
        } else {
          Lanes lanes;
          scale_run(
              in + row + b * v.inner, out + row + b * v.inner, v.inner, [factor](int64_t) { return factor; },
              lanes);
          tally.add(channel, lanes);
        }
      }
    }
  }
}

}  // namespace

Rounded scale_weight(const Tensor& weight, const WeightView& view, std::span<const double> output_scale,
                     std::span<const double> input_scale) {
  Rounded result;
  result.tensor = Tensor(weight.type(), weight.dims());
  const Tensor source = weight.in_memory();  // of a file, read for this alone
  Tally tally(view.outputs());
  dispatch<FloatTypes>(weight.type(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* in = source.data<T>();
    T* out = result.tensor.mutable_data<T>();
    constexpr int64_t kGrain = 1 << 16;
    const int64_t per_channel = weight.size() / std::max<int64_t>(view.outputs(), 1);
    parallel_for(view.outputs(), kGrain / std::max<int64_t>(per_channel, 1) + 1,
                 [&](int64_t begin, int64_t end) {
                   const auto scale = view.output_first ? scale_output_first<T> : scale_output_second<T>;
                   scale(in, out, view, output_scale, input_scale, tally, begin, end);
                 });
  });
  result.error = std::move(tally.error);
  result.reach = std::move(tally.reach);
  for (int64_t f : tally.flushed) result.flushed += f;
  find_overflow(result);
  return result;
}

WeightedSums weighted_sums(const Tensor& weight, const WeightView& v, std::span<const double> t) {
  WeightedSums result;
  const auto count = static_cast<size_t>(v.outputs() * v.inner);
  result.sum.assign(count, 0.0);
  result.magnitude.assign(count, 0.0);
  result.terms = v.output_first ? v.second : v.first;
  const Tensor source = weight.in_memory();
  dispatch<FloatTypes>(weight.type(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* w = source.data<T>();
    for (int64_t o = 0; o < v.outer; ++o) {
      for (int64_t a = 0; a < v.first; ++a) {
        for (int64_t b = 0; b < v.second; ++b, w += v.inner) {
          const int64_t output = v.output_first ? o * v.first + a : o * v.second + b;
          const int64_t input = v.output_first ? o * v.second + b : o * v.first + a;
          const double factor = t[static_cast<size_t>(input)];
          if (factor == 0) continue;
          double *sum = &result.sum[static_cast<size_t>(output * v.inner)],
                 *magnitude = &result.magnitude[static_cast<size_t>(output * v.inner)];
          for (int64_t i = 0; i < v.inner; ++i) {
            const double term = exact(w[i]) * factor;
            sum[i] += term;
            magnitude[i] += std::abs(term);
          }
        }
      }
    }
  });
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
