#include "passes/fold/linear_op.h"

#include <optional>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/ops/attribute_reader.h"
#include "engine/ops/evaluate.h"
#include "passes/constants.h"

namespace plica {
namespace {

using Kind = LinearOp::Kind;

std::optional<Kind> kind_of(const Node& node) {
  if (node.is("Conv")) return Kind::conv;
  if (node.is("ConvTranspose")) return Kind::conv_transpose;
  if (node.is("Gemm")) return Kind::gemm;
  if (node.is("MatMul")) return Kind::matmul;
  return std::nullopt;
}

int64_t product(const Dims& dims, size_t begin, size_t end) {
  int64_t p = 1;
  for (size_t i = begin; i < end; ++i) p *= dims[i];
  return p;
}

// Fills in the view and the axes from the weight's dims; false when they fit no such operator.
bool set_view(LinearOp& op) {
  const Dims& dims = op.weight.dims();
  const size_t rank = dims.size();
  if (op.weight.size() == 0) return false;
  const AttributeReader attributes(*op.node);
  switch (op.kind) {
    case Kind::conv:
    case Kind::conv_transpose: {
      const int64_t groups = attributes.i("group");
      if (rank < 3 || groups < 1 || dims[0] % groups != 0) return false;
      op.view = {.outer = groups,
                 .first = dims[0] / groups,
                 .second = dims[1],
                 .inner = product(dims, 2, rank),
                 .output_first = op.kind == Kind::conv,
                 .grouped = true};
      op.output_axis = op.input_axis = static_cast<int>(rank) - 2;
      return true;
    }
    case Kind::gemm:
      if (rank != 2) return false;
      op.view = {.first = dims[0], .second = dims[1], .output_first = attributes.i("transB") != 0};
      op.input_axis = attributes.i("transA") != 0 ? 1 : 0;
      op.alpha = static_cast<double>(attributes.f("alpha"));
      return true;
    case Kind::matmul:
      if (rank < 2) return false;
      op.view = {.outer = product(dims, 0, rank - 2),
                 .first = dims[rank - 2],
                 .second = dims[rank - 1],
                 .output_first = false};
      return true;
  }
  return false;
}

// "conv comes before it, and its weight ...": what a constant that is none says of the whole.
Skip not_constant(Skip why, const Node& node) {
  why.reason = fmt::format("{}: {}", describe(node), why.reason);
  if (!why.blocking) why.blocking = &node;
  return why;
}

// Reads the bias input, with Gemm's beta. Nothing when that worked (or there is none).
std::optional<Skip> read_bias(LinearOp& op, const RuleContext& context) {
  if (op.kind == Kind::matmul || !op.node->has_input(2)) return std::nullopt;
  const int64_t channels = op.view.outputs();
  const Skip misfit{fmt::format("the bias of {} does not fit its {} channels", describe(*op.node), channels),
                    "", op.node};
  auto quantized = read_quantized(op.node->input(2), context);
  if (auto* skip = std::get_if<Skip>(&quantized)) return not_constant(*std::move(skip), *op.node);
  if (auto* found = std::get_if<QuantizedTensor>(&quantized)) {
    if (found->values.rank() != 1 || found->values.size() != channels) return misfit;
    op.bias = found->dequantized();
    if (op.kind == Kind::gemm) {
      const double beta = static_cast<double>(AttributeReader(*op.node).f("beta"));
      for (double& v : op.bias) v *= beta;
    }
    op.quantized_bias = std::move(*found);
    return std::nullopt;
  }
  auto constant = constant_input(*op.node, 2, "bias", context);
  if (auto* skip = std::get_if<Skip>(&constant)) return not_constant(*std::move(skip), *op.node);
  const auto& [tensor, root] = std::get<Constant>(constant);
  if (!is_foldable_type(tensor.type()) || tensor.size() == 0) return misfit;
  op.bias_name = root->name();
  std::vector<double> values = to_doubles(tensor);
  if (op.kind != Kind::gemm) {
    if (tensor.rank() != 1 || tensor.size() != channels) return misfit;
    op.bias = std::move(values);
    return std::nullopt;
  }
  // C broadcasts to (M, N): rows of N values, or of one value for all channels.
  if (tensor.rank() > 2) return misfit;
  const int64_t columns = tensor.rank() == 0 ? 1 : tensor.dim(-1);
  if (columns != channels && columns != 1) return misfit;
  op.bias_rows = tensor.size() / columns;
  if (columns == 1 && op.bias_rows > op.view.inputs()) {
    return Skip{fmt::format("the bias of {} is a column, which would become a matrix larger than the weight",
                            describe(*op.node)),
                "", op.node};
  }
  const double beta = static_cast<double>(AttributeReader(*op.node).f("beta"));
  op.bias.resize(static_cast<size_t>(op.bias_rows * channels));
  for (int64_t r = 0; r < op.bias_rows; ++r) {
    for (int64_t c = 0; c < channels; ++c) {
      op.bias[static_cast<size_t>(r * channels + c)] =
          beta * values[static_cast<size_t>(columns == 1 ? r : r * channels + c)];
    }
  }
  return std::nullopt;
}

// The tensor that a ConstantOfShape makes: constant folding leaves large ones to it, but a scaled weight is
// no longer one number. Undefined when it is something else, or larger than constants may still grow.
Tensor filled_weight(const Value* value, const RuleContext& context) {
  const Node* producer = value ? value->producer() : nullptr;
  if (!producer || !producer->is("ConstantOfShape") || has_attribute_references(*producer)) return {};
  auto shape = constant_input(*producer, 0, "shape", context);
  const auto* constant = std::get_if<Constant>(&shape);
  const auto& type = context.facts.of(value).type;
  const auto dims = type.shape ? type.shape->known() : std::nullopt;
  if (!constant || !dims || !is_foldable_type(type.element) ||
      static_cast<int64_t>(bytes_of(type.element, checked_elements(*dims))) > context.growth_left) {
    return {};
  }
  const Tensor* inputs[] = {&constant->tensor};
  return evaluate_node(*producer, inputs)[0];
}

// Reads the weight input. Nothing when that worked.
std::optional<Skip> read_weight(LinearOp& op, const RuleContext& context) {
  const Node& node = *op.node;
  auto quantized = read_quantized(node.input(1), context);
  if (auto* skip = std::get_if<Skip>(&quantized)) return *std::move(skip);
  if (auto* found = std::get_if<QuantizedTensor>(&quantized)) {
    op.weight = found->values;
    op.weight_root = node.input(1);
    op.type = found->scale.type();
    op.quantized_weight = std::move(*found);
    return std::nullopt;
  }
  auto weight = constant_input(node, 1, "weight", context);
  if (const auto* constant = std::get_if<Constant>(&weight)) {
    op.weight = constant->tensor;
    op.weight_root = constant->root;
  } else if (Tensor filled = filled_weight(node.input(1), context); filled.defined()) {
    op.weight = std::move(filled);
    op.weight_root = node.input(1);
    op.weight_is_stored = false;
  } else {
    return std::get<Skip>(std::move(weight));
  }
  op.type = op.weight.type();
  if (!is_foldable_type(op.type))
    return Skip{fmt::format("its weight is of type {}", to_string(op.type)), "", &node};
  return std::nullopt;
}

}  // namespace

std::variant<NoMatch, Skip, LinearOp> read_linear_op(const Node& node, const RuleContext& context) {
  const auto kind = kind_of(node);
  if (!kind) return NoMatch{};
  if (has_attribute_references(node)) {
    return Skip{fmt::format("the attributes of {} are parameters of the model function", describe(node)),
                "inline the function before optimizing", &node};
  }
  LinearOp op;
  op.kind = *kind;
  op.node = const_cast<Node*>(&node);
  if (auto skip = read_weight(op, context)) return not_constant(*std::move(skip), node);
  if (!set_view(op)) {
    return Skip{fmt::format("the weight of {} has shape {}, which has no output channels", describe(node),
                            to_string(op.weight.dims())),
                "", &node};
  }
  if (auto skip = read_bias(op, context)) return *std::move(skip);
  return op;
}

}  // namespace plica
