#include "passes/pipeline.h"

#include <algorithm>
#include <array>

#include "engine/core/fail.h"
#include "passes/rules.h"

namespace plica {
namespace {

constexpr std::array kFoldConstants = {
    Rule{.name = "inline_constant",
         .summary = "a Constant node becomes an initializer",
         .on_node = inline_constant},
    Rule{.name = "evaluate_constant",
         .summary = "a node that depends on constants alone is computed",
         .on_node = evaluate_constant},
};

constexpr std::array kRemoveNoOps = {
    Rule{.name = "remove_identity", .summary = "Identity goes", .on_node = remove_identity},
    Rule{.name = "remove_dropout", .summary = "Dropout at inference goes", .on_node = remove_dropout},
    Rule{
        .name = "remove_cast", .summary = "Cast to the type that the input has goes", .on_node = remove_cast},
};

// An affine: BatchNormalization, or Add, Sub, Mul, Div by constants. In this order for each: all of it goes,
// or its factor, or nothing does.
constexpr std::array kFoldAffines = {
    Rule{.name = "fold_affine_backward",
         .summary =
             "an affine goes into the Conv, ConvTranspose, Gemm, MatMul and constants that it comes from, "
             "through ReLU, pools, Concat, Add, Transpose, Reshape, ...",
         .on_node = fold_affine_backward},
    Rule{.name = "fold_affine_forward",
         .summary = "an affine goes into all the linear operators that it is read by, through the same",
         .on_node = fold_affine_forward},
    Rule{.name = "split_affine",
         .summary = "the factor of an affine goes forward or backward, and an Add of its offset stays",
         .on_node = split_affine},
    Rule{.name = "merge_affines",
         .summary = "affines in a row that stay become one node",
         .on_node = merge_affines},
};

constexpr std::array kRemoveDead = {
    Rule{.name = "remove_dead_node", .summary = "nodes that nobody reads go", .on_node = remove_dead_node},
    Rule{.name = "remove_unused_initializers",
         .summary = "initializers that nobody reads go",
         .on_graph = remove_unused_initializers},
};

constexpr std::array kPipeline = {
    // First: folding wants weights and parameters as constants, whatever they were computed by.
    Pass{"fold_constants", kFoldConstants},
    // Before folding affines: an Identity or Dropout must not stand between a batch norm and its convolution.
    Pass{"remove_no_ops", kRemoveNoOps},
    // In topological order within the pass, so that Conv -> Add -> BatchNormalization -> Mul folds in one
    // walk. After constants: a
    // weight that is still computed would end the fold. Nothing behind this makes an affine that it has not
    // seen.
    Pass{"fold_affines", kFoldAffines},
    // Last: patches take along what they leave unread; this finds what was unread before.
    Pass{"remove_dead", kRemoveDead},
};

}  // namespace

std::span<const Pass> default_pipeline() { return kPipeline; }

std::unordered_set<std::string_view> enabled_rules(const std::vector<std::string>& disable,
                                                   const std::vector<std::string>& only) {
  // All rules that a name stands for.
  const auto named = [](const std::vector<std::string>& names) {
    std::unordered_set<std::string_view> rules;
    for (const std::string& name : names) {
      bool known = false;
      for (const Pass& pass : kPipeline) {
        for (const Rule& rule : pass.rules) {
          if (name != pass.name && name != rule.name) continue;
          rules.insert(rule.name);
          known = true;
        }
      }
      require(known, ErrorCode::invalid_argument, "there is no rule or pass {}", quoted(name));
    }
    return rules;
  };
  const auto disabled = named(disable), wanted = named(only);
  std::unordered_set<std::string_view> enabled;
  for (const Pass& pass : kPipeline) {
    for (const Rule& rule : pass.rules) {
      if ((only.empty() || wanted.contains(rule.name)) && !disabled.contains(rule.name))
        enabled.insert(rule.name);
    }
  }
  return enabled;
}

}  // namespace plica
