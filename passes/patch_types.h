// The types that a patch would give, inferred before it is applied: its new and edited nodes are built in a
// scratch graph.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "passes/facts.h"
#include "passes/patch.h"

namespace plica {

// The outermost graph around this one: the model's main graph, or a function's.
const Graph& root_of(const Graph& graph);

class PatchTypes {
 public:
  // Throws what infer_node throws when a new or edited node does not hold together.
  PatchTypes(const ModelGraph& model, const ModelFacts& facts, const Patch& patch);

  const Facts& of(const Operand& operand) const { return *find(operand); }  // not for one left out
  const Facts& made(size_t i) const { return made_[i]; }
  const std::vector<Node*>& edited() const { return edited_; }  // each once, in the patch's order
  // The outputs of edited nodes, which hold something else afterwards.
  const std::unordered_map<const Value*, Facts>& redefined() const { return redefined_; }

 private:
  const Facts* find(const Operand& operand) const;
  void infer_edited(const Node& node, const Patch& patch);
  std::vector<Facts> infer(const std::string& op_type, const std::string& domain,
                           const Attributes& attributes, const std::vector<const Facts*>& inputs,
                           int outputs);

  const ModelFacts& facts_;
  Graph scratch_;
  std::vector<Node*> edited_;
  std::vector<Facts> made_;
  std::unordered_map<const Value*, Facts> redefined_;
};

}  // namespace plica
