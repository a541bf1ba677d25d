// Where the positions of a GridSample's grid fall in its input: worked out once for all channels, as a short
// list of input elements with weights. Pure.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace plica {

enum class SampleMode { nearest, linear, cubic };
enum class SamplePadding { zeros, border, reflection };

struct SampleRule {
  SampleMode mode;
  SamplePadding padding;
  bool align_corners;

  int64_t taps_per_axis() const {
    return mode == SampleMode::nearest ? 1 : mode == SampleMode::linear ? 2 : 4;
  }
};

// Cubic convolution, a = -0.75: R. Keys, "Cubic Convolution Interpolation for Digital Image Processing"
// (1981), equation 4, for the four neighbours of a position `t` beyond the second.
template <class C>
void cubic_weights(C t, C* weights) {
  constexpr C a = C(-0.75);
  const auto outer = [](C s) { return ((a * s - 5 * a) * s + 8 * a) * s - 4 * a; };
  const auto inner = [](C s) { return ((a + 2) * s - (a + 3)) * s * s + 1; };
  weights[0] = outer(t + 1);
  weights[1] = inner(t);
  weights[2] = inner(1 - t);
  weights[3] = outer(2 - t);
}

// One axis of the input.
template <class C>
class SampleAxis {
 public:
  SampleAxis(int64_t size, int64_t stride, const SampleRule& rule)
      : size_(size),
        stride_(stride),
        rule_(rule),
        low_(rule.align_corners ? C(0) : C(-0.5)),
        high_(static_cast<C>(size) - (rule.align_corners ? C(1) : C(0.5))) {}

  // The input elements, as offsets (-1: zero), and their weights for a coordinate in [-1, 1].
  void place(C coordinate, int64_t* offsets, C* weights) const {
    C x = rule_.align_corners ? (coordinate + 1) / 2 * static_cast<C>(size_ - 1)
                              : ((coordinate + 1) * static_cast<C>(size_) - 1) / 2;
    if (rule_.mode == SampleMode::nearest) x = std::nearbyint(x);
    // A cubic position stays outside with border padding: only its neighbours are moved, as in PyTorch and
    // ONNX Runtime (onnx's reference evaluator moves the position too).
    if (rule_.padding == SamplePadding::zeros ||
        (rule_.padding == SamplePadding::border && rule_.mode == SampleMode::cubic)) {
      // Farther outside makes no difference; NaN is outside.
      x = x >= -4 ? std::min(x, static_cast<C>(size_ + 4)) : C(-4);
    } else if (!(x >= low_ && x <= high_)) {
      x = rule_.padding == SamplePadding::border ? clamp(x) : reflect(x);
    }
    const C floor = std::floor(x);
    const auto index = static_cast<int64_t>(floor);
    switch (rule_.mode) {
      case SampleMode::nearest:
        offsets[0] = offset(index);
        weights[0] = 1;
        return;
      case SampleMode::linear:
        for (int64_t k = 0; k < 2; ++k) offsets[k] = offset(index + k);
        weights[1] = x - floor;
        weights[0] = 1 - weights[1];
        return;
      case SampleMode::cubic:
        for (int64_t k = 0; k < 4; ++k) offsets[k] = offset(index - 1 + k);
        cubic_weights(x - floor, weights);
        return;
    }
  }

 private:
  // NaN goes to the beginning.
  C clamp(C x) const { return x > 0 ? std::min(x, static_cast<C>(size_ - 1)) : C(0); }
  C reflect(C x) const {
    const C length = high_ - low_;
    if (!(length > 0) || !std::isfinite(x)) return low_;
    const C beyond = std::fmod(std::abs(x - low_), 2 * length);
    return low_ + (beyond > length ? 2 * length - beyond : beyond);
  }
  int64_t offset(int64_t i) const {
    if (i < 0 || i >= size_) {
      if (rule_.padding == SamplePadding::zeros) return -1;
      if (rule_.padding == SamplePadding::reflection) i = static_cast<int64_t>(reflect(static_cast<C>(i)));
      i = std::clamp<int64_t>(i, 0, size_ - 1);
    }
    return i * stride_;
  }

  int64_t size_, stride_;
  const SampleRule& rule_;
  C low_, high_;  // between which a position is not padded
};

// The input elements of some output positions, position after position.
template <class C>
struct SampleTaps {
  std::vector<int64_t> ends;  // [positions]: where the position's taps end
  std::vector<int64_t> offsets;
  std::vector<C> weights;

  // The products over all axes of what each says; elements outside are left out.
  void add(const std::vector<SampleAxis<C>>& axes, const C* coordinates) {
    const auto begin = static_cast<std::ptrdiff_t>(offsets.size());
    offsets.push_back(0);
    weights.push_back(1);
    for (size_t d = 0; d < axes.size(); ++d) {
      int64_t at[4];
      C weight[4];
      // Coordinates are listed from the innermost axis to the outermost.
      axes[d].place(coordinates[axes.size() - 1 - d], at, weight);
      const size_t count = offsets.size();
      for (auto i = static_cast<size_t>(begin); i < count; ++i) {
        for (int64_t k = 0; k < taps_per_axis; ++k) {
          if (at[k] < 0) continue;
          offsets.push_back(offsets[i] + at[k]);
          weights.push_back(weights[i] * weight[k]);
        }
      }
      offsets.erase(offsets.begin() + begin, offsets.begin() + static_cast<std::ptrdiff_t>(count));
      weights.erase(weights.begin() + begin, weights.begin() + static_cast<std::ptrdiff_t>(count));
    }
    ends.push_back(static_cast<int64_t>(offsets.size()));
  }
  void clear() {
    ends.clear();
    offsets.clear();
    weights.clear();
  }

  int64_t taps_per_axis;
};

}  // namespace plica
