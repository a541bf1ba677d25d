// ModelFacts: the types, shapes and constants of all values of a model, of subgraphs and functions too.
//
// A node that cannot be inferred (unknown operator, contradiction) leaves its outputs with their declared
// types: the optimizer works around what it does not understand. Values captured from an enclosing graph are
// known inside.
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "engine/graph/model_graph.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"

namespace plica {

// QuantizeLinear, DequantizeLinear: a quantized constant is a compressed one, and is not computed.
bool is_quantization(const Node& node);

class ModelFacts {
 public:
  // Forgets everything and infers the model anew. `check_declared`: throws for a declared type that
  // contradicts.
  void infer(const ModelGraph& model, bool check_declared = false);

  // Facts that say nothing when the value is not known.
  const Facts& of(const Value* value) const;
  // Whether the node is what its operator's definition says, as far as the model was when it was inferred: its inputs
  // are there, its attributes are known and of their types, nothing contradicts. A rule may then read what the
  // definition promises; the optimizer meets other nodes too, for a model is checked only when it is run.
  bool is_sound(const Node& node) const { return find_op(node) && !faulty_.contains(&node); }
  // The rank, or -1.
  int rank_of(const Value* value) const;

  void set(const Value* value, Facts facts) { map_[value] = std::move(facts); }
  void forget(const Value* value) { map_.erase(value); }

 private:
  void infer(const Graph& graph);
  void infer(const Node& node);

  bool check_declared_ = false;
  std::unordered_map<const Value*, Facts> map_;
  std::unordered_set<const Node*> faulty_;
};

}  // namespace plica
