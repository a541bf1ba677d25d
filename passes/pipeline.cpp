#include "passes/pipeline.h"

#include <algorithm>
#include <array>

#include "engine/core/fail.h"
#include "passes/rules.h"

namespace plica {
namespace {

constexpr std::array kFoldConstants = {
    // By optimize(), before the passes: it changes the model, where rules change graphs.
    Rule{.name = "upgrade_ir_version",
         .summary = "a model before IR version 4 becomes one, with constants apart from inputs"},
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
    Rule{.name = "merge_casts",
         .summary = "Cast of a Cast that loses nothing becomes one, or none",
         .on_node = merge_casts},
    Rule{.name = "remove_no_op_layout",
         .summary = "Reshape, Transpose, Slice, Pad, Concat, ... that leave everything where it is go",
         .on_node = remove_no_op_layout},
    Rule{.name = "remove_no_op_pool",
         .summary = "AveragePool and MaxPool of single elements go",
         .on_node = remove_no_op_pool},
    Rule{.name = "remove_no_op_resize",
         .summary = "Resize and Upsample to the same size go",
         .on_node = remove_no_op_resize},
    Rule{.name = "remove_neutral_arithmetic",
         .summary = "x + 0, x * 1, x / 1, x ^ 1 and sums of one operand are x",
         .on_node = remove_neutral_arithmetic},
    Rule{.name = "remove_repeated_function",
         .summary = "Neg of Neg, Relu of Relu, Floor of Ceil and the like go",
         .on_node = remove_repeated_function},
    Rule{.name = "merge_clips",
         .summary = "Clip of Clip becomes one; Relu before or after a Clip that does its work goes",
         .on_node = merge_clips},
};

constexpr std::array kSimplifyLayout = {
    Rule{.name = "resolve_reshape",
         .summary = "a shape that is computed but known, save for one number, becomes a constant",
         .on_node = resolve_reshape},
    Rule{.name = "merge_reshapes",
         .summary = "Reshape, Flatten, Squeeze, Unsqueeze in a row become one Reshape, or none",
         .on_node = merge_reshapes},
    Rule{.name = "merge_transposes",
         .summary = "Transpose of Transpose becomes one, or none",
         .on_node = merge_transposes},
    // After the two are merged that undo each other, which this one takes for readers.
    Rule{.name = "move_transposes",
         .summary =
             "Transposes move through pointwise operators, Concat, Pad, ReduceX, ... where fewer are left",
         .on_node = move_transposes},
    // After moving, which goes through a Transpose but not through a Reshape.
    Rule{.name = "reshape_for_transpose",
         .summary = "Transpose that moves only axes of 1 becomes Reshape",
         .on_node = reshape_for_transpose},
    Rule{.name = "cancel_split_concat",
         .summary = "Concat of all that a Split has taken apart is what was split",
         .on_node = cancel_split_concat},
    Rule{.name = "merge_concats",
         .summary = "Concat of Concats along the same axis becomes one",
         .on_node = merge_concats},
    Rule{.name = "merge_pads", .summary = "Pad of Pad by the same value becomes one", .on_node = merge_pads},
    Rule{.name = "fuse_pad_into_conv",
         .summary = "Pad by zeros goes into the pads of the Conv behind it",
         .on_node = fuse_pad_into_conv},
    Rule{.name = "fuse_pad_into_pool",
         .summary = "Pad goes into the pads of the AveragePool or MaxPool behind it",
         .on_node = fuse_pad_into_pool},
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
         .summary = "the factor of an affine goes forward or backward, and one node for its offset stays",
         .on_node = split_affine},
    Rule{.name = "merge_affines",
         .summary = "affines in a row that stay become one node",
         .on_node = merge_affines},
};

constexpr std::array kFuseGemm = {
    Rule{.name = "fuse_matmul_add",
         .summary = "MatMul of matrices and the Add of a constant become Gemm",
         .on_node = fuse_matmul_add},
};

constexpr std::array kMergeDuplicates = {
    Rule{.name = "merge_duplicate_nodes",
         .summary = "nodes that compute the same become one",
         .on_graph = merge_duplicate_nodes},
    Rule{.name = "merge_duplicate_initializers",
         .summary = "initializers that hold the same become one",
         .on_graph = merge_duplicate_initializers},
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
    // After no-ops, which would stand between what merges here. Before folding affines: a Pad must not stand
    // between a batch norm and a convolution, and affines have less to travel through.
    Pass{"simplify_layout", kSimplifyLayout},
    // After constants: a weight that is still computed would end the fold. In topological order within the
    // pass,
    // so that what comes before an affine has taken in its own.
    Pass{"fold_affines", kFoldAffines},
    // After folding affines, which take an Add as the bias of its MatMul or as an affine of its own.
    Pass{"fuse_gemm", kFuseGemm},
    // After folding affines: what was one weight with two batch norms is two weights then. Only what is still
    // the same afterwards merges.
    Pass{"merge_duplicates", kMergeDuplicates},
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
