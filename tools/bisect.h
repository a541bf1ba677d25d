// Finds the rewrite after which a model computes something else: optimize(max_rewrites = N) gives the model
// after its first N rewrites, always the same ones, so a binary search over N does.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "plica/model.h"

namespace plica::tools {

// Given that !differs(0) and differs(count): an n in [1, count] with !differs(n - 1) and differs(n), by at
// most ceil(log2(count)) calls, none of them for 0 or count. The first such n when a model that differs once
// differs from then on.
int64_t first_difference(int64_t count, const std::function<bool(int64_t)>& differs);

struct BadRewrite {
  int64_t number = 0;  // it is the number-th, from 1
  int64_t count = 0;   // of so many
  Report::Rewrite rewrite;
  int64_t runs = 0;  // comparisons that it took
};

// Nothing when the model after all rewrites does not differ. `differs` compares `model` with what it became;
// the report is that of the rewrites up to there. `options.max_rewrites` bounds the search.
using Differs = std::function<bool(const Model& after, const Report& report)>;
std::optional<BadRewrite> find_bad_rewrite(const Model& model, const Model::OptimizeOptions& options,
                                           const Differs& differs);

}  // namespace plica::tools
