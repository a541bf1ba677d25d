// Affine: y = scale * x + shift, element by element, with factors that are the same along most axes. Batch
// normalization at inference is one, and so is arithmetic with a constant.
//
// The factors are row-major tensors of dims `dims`, aligned with the last axes of x as in numpy's
// broadcasting: along an axis of extent 1 (or before the first) they are the same everywhere. A batch norm
// over NCHW has dims [C, 1, 1], a bias over the last axis [C], a scalar [].
// Values are computed in double; `shift_error` is how far each shift may be from exact.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/shape.h"

namespace plica {

// Factors that vary along many axes may be as many as the operand's elements; beyond this no constant is
// worth it.
inline constexpr int64_t kMostFactors = 1 << 17;

struct Affine {
  Dims dims;
  std::vector<double> scale, shift, shift_error;

  int rank() const { return static_cast<int>(dims.size()); }
  size_t size() const { return scale.size(); }
  // The number of different factors along an axis of an operand of this rank (1: all the same).
  int64_t extent(int axis, int operand_rank) const;
  bool varies(int axis, int operand_rank) const { return extent(axis, operand_rank) != 1; }
  // The extents by axis of an operand of this rank, which is at least rank().
  Dims extents(int operand_rank) const;

  bool is_identity() const { return !has_scale() && !has_shift(); }
  bool has_scale() const;  // some factor is not 1
  bool has_shift() const;  // some offset is not 0
  bool is_finite() const;
  bool is_nonnegative() const;  // every factor is >= 0
  // Where the first factor below 0 is, for messages.
  std::optional<size_t> first_negative() const;

  // In their simplest form.
  Affine scale_only() const;
  Affine shift_only() const;
};

// y = x.
Affine identity_affine();
// One factor and offset for all.
Affine uniform_affine(double scale, double shift);

// outer(inner(x)). Dims broadcast against each other; nothing when they can't, or to more than kMostFactors.
std::optional<Affine> compose(const Affine& outer, const Affine& inner);

// The same map with factors repeated to these dims, to which its own broadcast.
Affine expand(const Affine& affine, const Dims& dims);

// The same map in the fewest dims: axes along which all factors are equal have extent 1, and none leads.
Affine simplest(Affine affine);

// The map over an operand whose element (i_0, i_1, ...) is, as to the factors, element source(i) of this one.
// `extents` are those of the result.
Affine gather(const Affine& affine, const Dims& extents, const std::function<size_t(const Dims&)>& source);

// The factors by channel, dims [channels], when they vary along no other axis than this one, counted from the
// last; nothing otherwise.
std::optional<Affine> by_channel(const Affine& affine, int axis_from_last, int64_t channels);

bool same(const Affine& a, const Affine& b);

}  // namespace plica
