// Runs a model before and after an optimization on the same inputs, and says whether they agree.
#pragma once

#include <cstdint>

#include "plica/plica.h"

namespace plica::tools {

struct VerifyOptions {
  int64_t inputs = 3;  // sets of seeded random inputs
  uint64_t seed = 0;
  int threads = 0;
  DimSizes sizes;
};

// The tolerance is relative to the largest magnitude of each output. Each fold states a bound on how far it
// moves its node's output by the same measure, and every node may round differently when its neighbours
// change:
//   tolerance = 16 (sum of the folds' bounds + nodes * epsilon of the output's type), at most 1e-2
// where 16 allows for what the nodes behind a fold make of its error. Outputs that are not floats must be
// equal. `assumed` receives the sizes that were chosen for open dimensions.
Report::Verification verify(const Model& before, const Model& after, const Report& report,
                            const VerifyOptions& options, std::vector<std::string>* assumed);

}  // namespace plica::tools
