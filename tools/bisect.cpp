#include "tools/bisect.h"

#include <utility>

namespace plica::tools {

int64_t first_difference(int64_t count, const std::function<bool(int64_t)>& differs) {
  int64_t good = 0, bad = count;
  while (bad - good > 1) {
    const int64_t middle = good + (bad - good) / 2;
    (differs(middle) ? bad : good) = middle;
  }
  return bad;
}

std::optional<BadRewrite> find_bad_rewrite(const Model& model, const Model::OptimizeOptions& options,
                                           const Differs& differs) {
  const auto after = [&](int64_t rewrites) {
    Model::OptimizeOptions own = options;
    own.max_rewrites = rewrites;
    std::pair<Model, Report> result(model, {});
    result.second = result.first.optimize(own);
    return result;
  };
  BadRewrite bad;
  {
    const auto [optimized, report] = after(options.max_rewrites);
    ++bad.runs;
    if (report.rewrites() == 0 || !differs(optimized, report)) return std::nullopt;
    bad.count = report.rewrites();
  }
  bad.number = first_difference(bad.count, [&](int64_t rewrites) {
    const auto [optimized, report] = after(rewrites);
    ++bad.runs;
    return differs(optimized, report);
  });
  bad.rewrite = after(bad.number).second.last_rewrite.value_or(Report::Rewrite());
  return bad;
}

}  // namespace plica::tools
