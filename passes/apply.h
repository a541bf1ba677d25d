// Applies patches to a model, or refuses them before anything has changed.
//
// Checked first, on the graph as it is:
//   - whatever reads a value that the patch redefines goes with the patch or is edited by it;
//   - the nodes that die are at least as many as the nodes that the patch makes, and none is to be kept;
//   - names of graph outputs can be kept;
//   - edited and new nodes infer, and the values that take over agree in element type and shape with those
//   replaced.
// Applied then, as a whole: new constants and nodes, edits, replacements, names, metadata, and the removal of
// what died.
#pragma once

#include <functional>
#include <optional>
#include <unordered_set>

#include "passes/rule.h"

namespace plica {

class Applier {
 public:
  Applier(ModelGraph& model, ModelFacts& facts, const std::unordered_set<const Node*>& kept)
      : model_(model), facts_(facts), kept_(kept) {}

  // Nothing when the patch was applied; why not, otherwise. `gone` is called for each node before it is
  // removed, with those in its subgraphs.
  std::optional<Skip> apply(Patch& patch, const std::function<void(const Node&)>& gone);

 private:
  ModelGraph& model_;
  ModelFacts& facts_;
  const std::unordered_set<const Node*>& kept_;
};

}  // namespace plica
