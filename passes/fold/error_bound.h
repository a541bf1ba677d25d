// What the rounding of new constants may change, relative to what an operator can reach.
//
// With w' and b' the exact products and sums, and the stored ones off by dw and db, an output of channel c
// moves by at most
//   sum_i |dw_ci| |x_i| + |db_c|  <=  a X + b,      X = max |x|,  a = max_c sum_i |dw_ci|,  b = max_c |db_c|,
// and outputs of the operator reach, for inputs no larger than X,
//   Y(X) = max_c (X sum_i |w'_ci| + |b'_c|)  >=  max(A X, B),    A = max_c sum_i |w'_ci|,  B = max_c |b'_c|.
// So the change is at most (a/A + b/B) Y(X), for any X. dw and db are measured, not estimated: flushed
// subnormals are in them. Added are the roundings of the double arithmetic that made w' and b'. Not bounded:
// the roundings while a model runs, of which the folded one has fewer; and outputs that stay far below Y(X)
// because their terms cancel have a larger relative change.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "passes/fold/weight_view.h"
#include "passes/patch.h"

namespace plica {

class ErrorBound {
 public:
  static constexpr double kUnit = std::numeric_limits<double>::epsilon() / 2;  // of rounding in double

  // Constants that add up to one output's part; `slack`: how far the exact ones may be from exact.
  void add(const Rounded& rounded, double slack) {
    if (rounded.error.empty()) {
      bound_ = std::numeric_limits<double>::quiet_NaN();
      return;
    }
    const double error = *std::ranges::max_element(rounded.error) + slack;
    const double reach = *std::ranges::max_element(rounded.reach);
    if (error > 0) bound_ += error / reach;
    channels_.resize(std::max(channels_.size(), rounded.error.size()), kArithmetic);
    for (size_t c = 0; c < rounded.error.size(); ++c) {
      if (rounded.reach[c] > 0) channels_[c] += rounded.error[c] / rounded.reach[c];
    }
  }

  // The patch's bound is the largest of its operators'; there is none when constants that should be zero are
  // only nearly known to be. Those by channel are of the only one.
  void commit(Patch& patch) const {
    const bool first = patch.error_bound == 0;
    patch.channel_bounds = first ? channels_ : std::vector<double>();
    if (!patch.error_bound) return;
    patch.error_bound =
        std::isfinite(bound_) ? std::optional(std::max(*patch.error_bound, bound_)) : std::nullopt;
  }

 private:
  // Of the factors (3 roundings, and one more where two meet) and the products.
  static constexpr double kArithmetic = 6 * kUnit;
  double bound_ = kArithmetic;
  std::vector<double> channels_;
};

// Values rounded to the type, as a constant of the patch that counts in its bound. Nothing when one is not
// finite.
inline std::optional<Operand> add_rounded(std::span<const double> values, Dims dims, DataType type,
                                          double slack, std::string name, const Node& before, Patch& patch) {
  Rounded rounded = round_rows(values, 1, type, std::move(dims));
  if (rounded.overflow >= 0) return std::nullopt;
  ErrorBound bound;
  bound.add(rounded, slack);
  bound.commit(patch);
  patch.flushed += rounded.flushed;
  return patch.add_constant(std::move(name), std::move(rounded.tensor), before);
}

}  // namespace plica
