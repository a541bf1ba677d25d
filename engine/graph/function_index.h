// The functions of a model by what calls name them with: for those who look up many calls.
#pragma once

#include <string>
#include <unordered_map>

#include "engine/graph/model_graph.h"

namespace plica {

// Of a model that outlives it and whose functions stay as they are. Thread safety: const access is safe.
class FunctionIndex {
 public:
  explicit FunctionIndex(const ModelGraph& model) {
    for (const auto& f : model.functions) map_.try_emplace(key_of(f->domain, f->name, f->overload), f.get());
  }

  // The function that the node calls; null when it calls none.
  const Function* find(const Node& node) const {
    if (map_.empty()) return nullptr;
    const auto it = map_.find(key_of(node.domain(), node.op_type(), node.overload));
    return it == map_.end() ? nullptr : it->second;
  }

 private:
  // Lengths tell apart names that read the same one after the other.
  static std::string key_of(const std::string& domain, const std::string& name, const std::string& overload) {
    return std::to_string(domain.size()) + "," + std::to_string(name.size()) + ":" + domain + name + overload;
  }

  std::unordered_map<std::string, const Function*> map_;
};

}  // namespace plica
