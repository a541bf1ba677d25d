// Operators of an application's own, which belong to a model (ModelGraph::custom_operators). find_op() looks
// here first; from then on they are operators like any other, computed by their `evaluate`. Immutable; thread
// safety: all.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

class CustomKernel {
 public:
  virtual ~CustomKernel() = default;
  virtual void infer(InferContext& context) const = 0;
  virtual void evaluate(EvaluateContext& context) const = 0;
};

class CustomOperators {
 public:
  // Those of `others` (null: none) and one more: `def`, whose domain, name and functions are set here. Throws
  // invalid_argument when its name or its versions make no sense, or the operator is there already.
  static std::shared_ptr<const CustomOperators> with(const CustomOperators* others, std::string domain,
                                                     std::string name, OpDef def,
                                                     std::shared_ptr<const CustomKernel> kernel);
  const OpDef* find(std::string_view domain, std::string_view name, int64_t opset) const;

 private:
  std::vector<std::shared_ptr<const OpDef>> defs_;
};

}  // namespace plica
