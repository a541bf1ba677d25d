#include "engine/graph/model_graph.h"

namespace plica {

const std::string* ModelGraph::find_metadata(std::string_view key) const {
  for (const auto& [k, v] : metadata) {
    if (k == key) return &v;
  }
  return nullptr;
}

const Function* ModelGraph::find_function(std::string_view domain, std::string_view name,
                                          std::string_view overload) const {
  for (const auto& f : functions) {
    if (f->name == name && f->domain == domain && f->overload == overload) return f.get();
  }
  return nullptr;
}

}  // namespace plica
