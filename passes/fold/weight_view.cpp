#include "passes/fold/weight_view.h"

#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"

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
// by block and one thing at a time: simple loops vectorize. Sums go to `lanes`, unless null.
template <class T, class Scale>
void scale_run(const T* in, T* out, int64_t count, Scale&& scale, Lanes* lanes) {
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
      if (lanes) lanes->flushed += x[static_cast<size_t>(i)] != 0;
      to[i] = T{};
    }
    if (!lanes) continue;
    const auto add = [&](int64_t i, int64_t l) {
      const double value = x[static_cast<size_t>(i)];
      lanes->error[static_cast<size_t>(l)] += std::abs(exact(to[i]) - value);
      lanes->reach[static_cast<size_t>(l)] += std::abs(value);
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

// Row r of [outer * first, second, inner]: one factor for the row, and one for each of `second` if there are
// any.
struct RowScale {
  double row = 1;
  const double* second = nullptr;
};
RowScale row_scale(const WeightView& v, std::span<const double> output_scale,
                   std::span<const double> input_scale, int64_t r) {
  const auto by_row = v.output_first ? output_scale : input_scale,
             by_second = v.output_first ? input_scale : output_scale;
  const int64_t group = r / v.first;
  RowScale scale;
  if (!by_row.empty()) scale.row = by_row[static_cast<size_t>(v.grouped ? r : r % v.first)];
  if (!by_second.empty()) scale.second = by_second.data() + (v.grouped ? group * v.second : 0);
  return scale;
}

// The elements of a row from `at` on.
template <class T>
void scale_in_row(const T* in, T* out, int64_t at, int64_t count, const WeightView& v, const RowScale& scale,
                  Lanes* lanes) {
  const double s = scale.row;
  const double* const factors = scale.second;
  if (!factors) {
    scale_run(
        in, out, count, [s](int64_t) { return s; }, lanes);
  } else if (v.inner == 1) {
    scale_run(
        in, out, count, [s, factors, at](int64_t i) { return s * factors[at + i]; }, lanes);
  } else {
    for (int64_t i = 0; i < count;) {
      const int64_t run = std::min(v.inner - (at + i) % v.inner, count - i);
      const double factor = s * factors[(at + i) / v.inner];
      scale_run(
          in + i, out + i, run, [factor](int64_t) { return factor; }, lanes);
      i += run;
    }
  }
}

// Some elements of the weight, in place.
template <class T>
void scale_elements(T* values, int64_t first, int64_t count, const WeightView& v,
                    std::span<const double> output_scale, std::span<const double> input_scale) {
  const int64_t row = v.second * v.inner;
  while (count > 0) {
    const int64_t at = first % row, n = std::min(row - at, count);
    scale_in_row(values, values, at, n, v, row_scale(v, output_scale, input_scale, first / row), nullptr);
    values += n;
    first += n;
    count -= n;
  }
}

// Infinity when an element is not finite.
double largest_magnitude(const Tensor& weight) {
  constexpr size_t kPiece = size_t{64} << 10;
  const size_t pieces = (weight.bytes() + kPiece - 1) / kPiece;
  std::atomic<uint32_t> largest = 0;
  parallel_for(static_cast<int64_t>(pieces), 16, [&](int64_t begin, int64_t end) {
    std::vector<std::byte> buffer;
    // Magnitudes are ordered as their bits are; infinity and NaN are the largest.
    uint32_t most = 0;
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      const size_t bytes = std::min(kPiece, weight.bytes() - i * kPiece);
      const auto* const bits = reinterpret_cast<const uint32_t*>(weight.piece(i * kPiece, bytes, buffer));
      const size_t count = bytes / sizeof(uint32_t);
      vectorized([&most, bits, count] {
        uint32_t m = most;
        for (size_t k = 0; k < count; ++k) m = std::max(m, bits[k] & 0x7fffffffu);
        most = m;
      });
    }
    uint32_t seen = largest.load();
    while (seen < most && !largest.compare_exchange_weak(seen, most)) {
    }
  });
  const float value = std::bit_cast<float>(largest.load());
  return std::isfinite(value) ? double{value} : std::numeric_limits<double>::infinity();
}

// A scaled weight that is computed when it is read, from the one there was: nothing holds it in between.
class ScaledElements : public ElementSource {
 public:
  ScaledElements(Tensor weight, const WeightView& view, std::span<const double> output_scale,
                 std::span<const double> input_scale)
      : weight_(std::move(weight)),
        view_(view),
        output_scale_(output_scale.begin(), output_scale.end()),
        input_scale_(input_scale.begin(), input_scale.end()) {
    const auto* of_scaled = dynamic_cast<const ScaledElements*>(weight_.unread());
    depth_ = of_scaled ? of_scaled->depth_ + 1 : 0;
    largest_ = of_scaled ? of_scaled->largest_ : std::numeric_limits<double>::infinity();
  }

  // How often what it is computed from was scaled before.
  int depth() const { return depth_; }

  // No element is larger, and none NaN, when this is finite; reads the elements for that unless it was known
  // of those that were scaled here.
  double find_largest() {
    if (std::isinf(largest_)) largest_ = largest_magnitude(weight_);
    const auto grow = [this](const std::vector<double>& factors) {
      double most = factors.empty() ? 1 : 0;
      for (const double f : factors) most = std::isnan(f) ? f : std::max(most, std::abs(f));
      largest_ *= most;
    };
    grow(output_scale_);
    grow(input_scale_);
    return largest_ *= 1 + 1e-6;  // for the rounding
  }

  void read(size_t offset, std::span<std::byte> out) const override {
    dispatch<FloatTypes>(weight_.type(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      // Whole elements.
      const size_t begin = offset / sizeof(T), end = (offset + out.size() + sizeof(T) - 1) / sizeof(T);
      const bool whole = begin * sizeof(T) == offset && end * sizeof(T) == offset + out.size() &&
                         reinterpret_cast<uintptr_t>(out.data()) % alignof(T) == 0;
      std::vector<T> copy(whole ? 0 : end - begin);
      T* const values = whole ? reinterpret_cast<T*>(out.data()) : copy.data();
      weight_.copy_bytes(begin * sizeof(T), std::as_writable_bytes(std::span(values, end - begin)));
      vectorized([this, values, begin, end] {
        scale_elements(values, static_cast<int64_t>(begin), static_cast<int64_t>(end - begin), view_,
                       output_scale_, input_scale_);
      });
      if (!whole)
        std::memcpy(out.data(), reinterpret_cast<std::byte*>(values) + (offset - begin * sizeof(T)),
                    out.size());
    });
  }

 private:
  Tensor weight_;
  WeightView view_;
  std::vector<double> output_scale_, input_scale_;
  double largest_;  // infinity: not known
  int depth_;
};

// The sums for output channels [begin, end), which are rows; with `out`, the elements go there too.
template <class T>
void scale_output_first(const Tensor& weight, T* out, const WeightView& v,
                        std::span<const double> output_scale, std::span<const double> input_scale,
                        Tally& tally, int64_t begin, int64_t end) {
  constexpr int64_t kPiece = (64 << 10) / sizeof(T);  // elements that are read at once, about
  const int64_t row = v.second * v.inner,
                rows_at_once = std::max<int64_t>(kPiece / std::max<int64_t>(row, 1), 1);
  std::vector<T> buffer;
  for (int64_t first = begin; first < end; first += rows_at_once) {
    const int64_t rows = std::min(rows_at_once, end - first), count = rows * row;
    T* values = out ? out + first * row : nullptr;
    if (!values) {
      buffer.resize(std::max(buffer.size(), static_cast<size_t>(count)));
      values = buffer.data();
    }
    weight.copy_bytes(static_cast<size_t>(first * row) * sizeof(T),
                      std::as_writable_bytes(std::span(values, static_cast<size_t>(count))));
    for (int64_t r = first; r < first + rows; ++r, values += row) {
      Lanes lanes;
      scale_in_row(values, values, 0, row, v, row_scale(v, output_scale, input_scale, r), &lanes);
      tally.add(static_cast<size_t>(r), lanes);
    }
  }
}

// Output channels [begin, end) of the rows [first_row, last_row), at which `in` and `out` begin.
template <class T>
void scale_output_second(const T* in, T* out, const WeightView& v, std::span<const double> output_scale,
                         std::span<const double> input_scale, Tally& tally, int64_t begin, int64_t end,
                         int64_t first_row, int64_t last_row) {
  for (int64_t r = first_row; r < last_row; ++r, in += v.second * v.inner, out += v.second * v.inner) {
    const int64_t group = r / v.first, channel_0 = v.grouped ? group * v.second : 0;
    const int64_t from = std::max(begin - channel_0, int64_t{0}), to = std::min(end - channel_0, v.second);
    const double s =
        input_scale.empty() ? 1.0 : input_scale[static_cast<size_t>(v.grouped ? r : r % v.first)];
    for (int64_t b = from; b < to; ++b) {
      const auto channel = static_cast<size_t>(channel_0 + b);
      const double factor = output_scale.empty() ? s : s * output_scale[channel];
      if (v.inner == 1) {
        store(exact(in[b]) * factor, out[b], tally.error[channel], tally.reach[channel],
              tally.flushed[channel]);
      } else {
        Lanes lanes;
        scale_run(
            in + b * v.inner, out + b * v.inner, v.inner, [factor](int64_t) { return factor; }, &lanes);
        tally.add(channel, lanes);
      }
    }
  }
}

}  // namespace

Rounded scale_weight(const Tensor& weight, const WeightView& view, std::span<const double> output_scale,
                     std::span<const double> input_scale, bool measure) {
  // Large ones are only summed here. A weight that was scaled time and again is not computed anew from the
  // first for each.
  constexpr size_t kLarge = size_t{64} << 10;
  constexpr int kMostDepth = 3;
  Rounded result;
  std::shared_ptr<ScaledElements> later;
  if (weight.bytes() >= kLarge) {
    later = std::make_shared<ScaledElements>(weight, view, output_scale, input_scale);
    if (later->depth() > kMostDepth) later = nullptr;
  }
  result.tensor =
      later ? Tensor::deferred(weight.type(), weight.dims(), later) : Tensor(weight.type(), weight.dims());
  if (later && !measure && weight.type() == DataType::float32 &&
      later->find_largest() < std::numeric_limits<float>::max())
    return result;
  Tally tally(view.outputs());
  dispatch<FloatTypes>(weight.type(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* out = later ? nullptr : result.tensor.mutable_data<T>();
    constexpr int64_t kGrain = 1 << 16;
    const int64_t grain =
        kGrain / std::max<int64_t>(weight.size() / std::max<int64_t>(view.outputs(), 1), 1) + 1;
    if (view.output_first) {
      parallel_for(view.outputs(), grain, [&](int64_t begin, int64_t end) {
        scale_output_first(weight, out, view, output_scale, input_scale, tally, begin, end);
      });
      return;
    }
    // Every row has something of each channel: some rows at a time, by channels.
    constexpr int64_t kPiece = (4 << 20) / sizeof(T);
    const int64_t row = view.second * view.inner, rows = view.outer * view.first;
    const int64_t at_once = out ? std::max<int64_t>(rows, 1) : std::max<int64_t>(kPiece / row, 1);
    std::vector<T> buffer(out ? 0 : static_cast<size_t>(std::min(at_once, rows) * row));
    for (int64_t first = 0; first < rows; first += at_once) {
      const int64_t count = std::min(at_once, rows - first);
      T* const values = out ? out + first * row : buffer.data();
      weight.copy_bytes(static_cast<size_t>(first * row) * sizeof(T),
                        std::as_writable_bytes(std::span(values, static_cast<size_t>(count * row))));
      parallel_for(view.outputs(), grain, [&](int64_t begin, int64_t end) {
        scale_output_second(values, values, view, output_scale, input_scale, tally, begin, end, first,
                            first + count);
      });
    }
  });
  result.error = std::move(tally.error);
  result.reach = std::move(tally.reach);
  for (int64_t f : tally.flushed) result.flushed += f;
  find_overflow(result);
  return result;
}

namespace {

// The sum of w * t and that of its terms' magnitudes, in lanes. A factor of 0 makes nothing of any weight.
template <class T>
void sum_row(const T* w, const double* t, int64_t count, double& sum, double& magnitude) {
  std::array<double, kLanes> sums{}, magnitudes{};
  const auto add = [&](int64_t i, int64_t l) {
    const double term = t[i] == 0 ? 0.0 : exact(w[i]) * t[i];
    sums[static_cast<size_t>(l)] += term;
    magnitudes[static_cast<size_t>(l)] += std::abs(term);
  };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) add(i + l, l);
  }
  for (int64_t l = 0; i < count; ++i, ++l) add(i, l);
  for (const double s : sums) sum += s;
  for (const double m : magnitudes) magnitude += m;
}

}  // namespace

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
    if (v.inner == 1 && v.output_first) {
      for (int64_t r = 0; r < v.outer * v.first; ++r, w += v.second) {
        const double* const of_row = t.data() + r / v.first * v.second;
        sum_row(w, of_row, v.second, result.sum[static_cast<size_t>(r)],
                result.magnitude[static_cast<size_t>(r)]);
      }
      return;
    }
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
