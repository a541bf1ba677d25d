// Whether an optimized model computes what it did. No tolerance here is a number that somebody chose: all
// follow from the reach of the values (error_walk.h), the roundings that there were, and the error bounds
// that were reported.
#pragma once

#include "passes/optimize.h"
#include "tests/passes/double_reference.h"
#include "tests/passes/error_walk.h"

namespace plica::testing {

struct Seen {
  double worst = 0;       // the largest difference of any output, relative to its tolerance
  bool reported = false;  // the bounds that the report gives were checked, too
  std::string failure;    // empty: all holds
};

// Whether `after`, which `report` says was made from `before`, computes the same. In double arithmetic, where
// only the constants can differ,
//   |after - before| <= ((1 + u)^(degree * roundings) - 1) * reach of before,
// `roundings` being how often a constant on the way may have been rounded (see the .cpp); and in its own
// type, with the rounding errors of the run itself added. `only_batch_norms`: nothing but batch norms was
// there to be folded; then, where every operator took in one of them at most, the difference is also within
// the reported error bounds alone.
Seen compare(const ModelGraph& before, const ModelGraph& after, const OptimizeReport& report,
             const NamedTensors& inputs, DataType type, bool only_batch_norms = false);

}  // namespace plica::testing
