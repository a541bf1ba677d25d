// Runs a model before and after an optimization on the same inputs, and says whether they agree.
//
// How far may two outputs be apart when nothing is wrong? That depends on the model: one that subtracts large
// numbers, or amplifies, makes more of a rounding than another. So it is measured. D is how far an output
// moves when every weight moves to the next number of its type, up or down (Model::dithered): the smallest
// change that can be made. A fold rounds each constant that it makes once, by at most half of such a move;
// and the roundings while the model runs are drawn anew in either case. With D the largest of 6 draws (3
// inputs, 2 dithers), and eps the distance from 1 to the next number of the output's type:
//
//   tolerance = 8 * max(D, eps) * max(1, B),   at most 1e-2
//
// 8 allows for a draw beyond the largest of the 6, and for other kernels and roundings of the folded graph. B
// is the largest error bound that a fold reports, in units of the smallest move of its type (eps / 2): it is
// above 1 where a fold had to move a constant further than rounding does, and says so.
//
// Outputs that are not floating-point tensors (classes, indices) are compared by the share of elements that
// differ, D being the share that dithering changes, and eps 0.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plica/plica.h"
#include "tools/samples.h"

namespace plica::tools {

struct VerifyOptions {
  int64_t inputs = 3;  // sets of seeded random inputs
  uint64_t seed = 0;
  int threads = 0;
  DimSizes sizes;
  const Samples* data = nullptr;    // compared as well
  std::optional<double> tolerance;  // instead of the derived one
};

class Verifier {
 public:
  // Runs `before` and its dithers. `assumed` receives the sizes that were chosen for open dimensions.
  Verifier(const Model& before, const VerifyOptions& options, std::vector<std::string>* assumed = nullptr);

  // `report` is of the optimization that made `after`.
  Report::Verification compare(const Model& after, const Report& report) const;

 private:
  int64_t count() const;
  TensorMap inputs(int64_t i) const;
  void measure_sensitivity();

  Model before_;
  VerifyOptions options_;
  std::unique_ptr<Session> session_;
  std::map<std::string, double> sensitivity_;  // D by output
};

}  // namespace plica::tools
