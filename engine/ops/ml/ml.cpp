#include "engine/ops/ml/ml.h"

#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> ml_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all;
    for (auto part : {ml::scaling_ops, ml::feature_ops, ml::label_ops, ml::map_ops, ml::linear_model_ops,
                      ml::support_vector_ops, ml::tree_ensemble_ops}) {
      for (OpDef& def : part()) {
        def.domain = ml::kDomain;
        all.push_back(std::move(def));
      }
    }
    return all;
  }();
  return ops;
}

}  // namespace plica
