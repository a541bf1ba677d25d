#include "passes/upgrade_ir.h"

namespace plica {

bool upgrade_ir_version(ModelGraph& model) {
  constexpr int64_t kConstantsApart = 4;
  if (model.ir_version >= kConstantsApart || model.ir_version < 1) return false;
  model.ir_version = kConstantsApart;
  Graph& graph = model.graph;
  for (size_t i = graph.inputs().size(); i-- > 0;) {
    if (graph.inputs()[i]->initializer()) graph.remove_input(i);
  }
  return true;
}

}  // namespace plica
