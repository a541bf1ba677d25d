#include "runtime/plan/layout_policy.h"

#include <algorithm>

namespace plica {

bool winograd_pays(const ConvolutionParams& p, const Dims& x, const Dims& y) {
  const auto all = [](const Dims& dims, int64_t v) { return std::ranges::all_of(dims, [v](int64_t d) { return d == v; }); };
  const Window& w = p.window;
  if (p.groups != 1 || x.size() != 4 || !all(w.kernel, 3) || !all(w.strides, 1) || !all(w.dilations, 1)) return false;
  return x[1] >= 16 && y[1] >= 16 && y[2] * y[3] >= 16;
}

int winograd_tile(const Dims& x, const Dims& y) {
  const int64_t area = y[2] * y[3];
  return area < 100 || (area < 256 && x[1] * y[1] >= 512 * 512) ? 2 : 4;
}

onednn::Layout choose_layout(const LoweredGraph& graph) {
  (void)graph;
  return onednn::Layout::blocked16;
}

}  // namespace plica
