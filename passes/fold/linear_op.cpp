#include "passes/fold/linear_op.h"

#include <optional>

#include "engine/core/fail.h"
#include "engine/ops/attribute_reader.h"
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

// Why `value` cannot be changed for `reader` alone; nothing when `reader` is all that sees it.
std::optional<Skip> seen_by_others(const Value& value, const Node& reader) {
  const Node* producer = value.producer();
  if (value.graph() != reader.graph()) {
    return Skip{fmt::format("its input {} is computed outside of this subgraph", quoted(value.name())), "",
                producer};
  }
  if (value.is_graph_output()) {
    return Skip{fmt::format("its input {}, computed by {}, is also an output of the graph",
                            quoted(value.name()), describe(*producer)),
                "take it out of the graph's outputs if nobody needs it", producer};
  }
  for (const Use& use : value.uses()) {
    if (use.node == &reader) continue;
    return Skip{fmt::format("its input {}, computed by {}, is also read by {}", quoted(value.name()),
                            describe(*producer), describe(*use.node)),
                "", use.node};
  }
  return std::nullopt;
}

int64_t product(const Dims& dims, size_t begin, size_t end) {
  int64_t p = 1;
  for (size_t i = begin; i < end; ++i) p *= dims[i];
  return p;
}

// Fills in layouts and the output's axis from the weight's dims; false when they fit no such operator.
bool set_layout(LinearOp& op, const RuleContext& context) {
  const Dims& dims = op.weight.dims();
  const size_t rank = dims.size();
  if (op.weight.size() == 0) return false;
  const AttributeReader attributes(*op.core);
  switch (op.kind) {
    case Kind::conv:
    case Kind::conv_transpose: {
      const int64_t groups = attributes.i("group");
      if (rank < 3 || groups < 1 || dims[0] % groups != 0) return false;
      const int64_t kernel = product(dims, 2, rank);
      const ChannelLayout by_first{1, 1, dims[0], dims[1] * kernel};
      const ChannelLayout by_second{groups, dims[0] / groups, dims[1], kernel};
      op.output_layout = op.kind == Kind::conv ? by_first : by_second;
      op.input_layout = op.kind == Kind::conv ? by_second : by_first;
      op.output_axis = {op.output_layout.total_channels(), static_cast<int>(rank), 1};
      return true;
    }
    case Kind::gemm: {
      if (rank != 2) return false;
      const ChannelLayout by_first{1, 1, dims[0], dims[1]};
      const ChannelLayout by_second{1, dims[0], dims[1], 1};
      const bool transposed = attributes.i("transB") != 0;
      op.output_layout = transposed ? by_first : by_second;
      op.input_layout = transposed ? by_second : by_first;
      op.output_axis = {op.output_layout.total_channels(), 2, 1};
      return true;
    }
    case Kind::matmul: {
      if (rank < 2) return false;
      op.output_layout = {1, product(dims, 0, rank - 1), dims[rank - 1], 1};
      op.input_layout = {1, product(dims, 0, rank - 2), dims[rank - 2], dims[rank - 1]};
      op.output_axis = {dims[rank - 1], context.facts.rank_of(op.core->output(0)), -1};
      return true;
    }
  }
  return false;
}

// Reads the bias input of the core, with Gemm's beta. Nothing when that worked (or there is none).
std::optional<Skip> read_bias(LinearOp& op, const RuleContext& context) {
  if (op.kind == Kind::matmul || !op.core->has_input(2)) return std::nullopt;
  auto constant = constant_input(*op.core, 2, "bias", context);
  if (auto* skip = std::get_if<Skip>(&constant)) {
    skip->reason = fmt::format("{} comes before it, and {}", describe(*op.core), skip->reason);
    if (!skip->blocking) skip->blocking = op.core;
    return *std::move(skip);
  }
  const auto& [tensor, root] = std::get<Constant>(constant);
  const int64_t channels = op.output_axis.channels;
  const Skip misfit{fmt::format("the bias of {} does not fit its {} channels", describe(*op.core), channels),
                    "", op.core};
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
  if (columns == 1 && op.bias_rows > op.output_layout.outer * op.output_layout.inner) {
    return Skip{fmt::format("the bias of {} is a column, which would become a matrix larger than the weight",
                            describe(*op.core)),
                "", op.core};
  }
  const double beta = static_cast<double>(AttributeReader(*op.core).f("beta"));
  op.bias.resize(static_cast<size_t>(op.bias_rows * channels));
  for (int64_t r = 0; r < op.bias_rows; ++r) {
    for (int64_t c = 0; c < channels; ++c) {
      op.bias[static_cast<size_t>(r * channels + c)] =
          beta * values[static_cast<size_t>(columns == 1 ? r : r * channels + c)];
    }
  }
  return std::nullopt;
}

std::variant<LinearOp, Skip> read_core(Node& core, Kind kind, const RuleContext& context) {
  if (has_attribute_references(core)) {
    return Skip{fmt::format("the attributes of {} are parameters of the model function", describe(core)),
                "inline the function before optimizing", &core};
  }
  LinearOp op;
  op.kind = kind;
  op.core = &core;
  auto weight = constant_input(core, 1, "weight", context);
  if (auto* skip = std::get_if<Skip>(&weight)) {
    skip->reason = fmt::format("{} comes before it, and {}", describe(core), skip->reason);
    if (!skip->blocking) skip->blocking = &core;
    return *std::move(skip);
  }
  op.weight = std::get<Constant>(weight).tensor;
  op.weight_root = std::get<Constant>(weight).root;
  if (!is_foldable_type(op.weight.type())) {
    return Skip{fmt::format("the weight of {} is of type {}", describe(core), to_string(op.weight.type())),
                "", &core};
  }
  if (!set_layout(op, context)) {
    return Skip{fmt::format("the weight of {} has shape {}, which has no output channels", describe(core),
                            to_string(op.weight.dims())),
                "", &core};
  }
  if (auto skip = read_bias(op, context)) return *std::move(skip);
  return op;
}

// The operand of an Add or Sub whose other one is a constant, or -1.
int variable_operand(const Node& node, const RuleContext& context) {
  if (!(node.is("Add") || node.is("Sub")) || node.num_inputs() != 2) return -1;
  for (const int operand : {0, 1}) {
    if (node.is("Sub") && operand == 1) break;  // constant - x turns the sign: not a bias
    if (node.has_input(operand) &&
        std::holds_alternative<Constant>(constant_input(node, 1 - operand, "constant", context)))
      return operand;
  }
  return -1;
}

Skip not_linear(const Value& value) {
  if (const Node* producer = value.producer()) {
    return {fmt::format("its input comes from {}, which is not a linear operator", describe(*producer)), "",
            producer};
  }
  return {
      fmt::format("its input {} is {}, and no linear operator comes before", quoted(value.name()),
                  value.initializer() && !value.is_graph_input() ? "a constant" : "an input of the graph"),
      "", nullptr};
}

}  // namespace

std::variant<LinearOp, Skip> find_linear_op(const Value& value, const Node& reader,
                                            const RuleContext& context) {
  Node* last = value.producer();
  if (!last) return not_linear(value);
  if (auto kind = kind_of(*last)) {
    if (auto skip = seen_by_others(value, reader)) return *std::move(skip);
    return read_core(*last, *kind, context);
  }
  const int operand = variable_operand(*last, context);
  if (operand < 0) return not_linear(value);

  const Value& inner = *last->input(operand);
  const auto kind = inner.producer() ? kind_of(*inner.producer()) : std::nullopt;
  if (!kind) return not_linear(inner);
  if (auto skip = seen_by_others(value, reader)) return *std::move(skip);
  if (auto skip = seen_by_others(inner, *last)) return *std::move(skip);
  auto found = read_core(*inner.producer(), *kind, context);
  LinearOp* op = std::get_if<LinearOp>(&found);
  if (!op) return found;
  const auto affine = arithmetic_affine(*last, operand, op->output_axis, context);
  const auto* shift = std::get_if<ChannelAffine>(&affine);
  if (!shift) {
    return Skip{fmt::format("{} adds a constant that is not one value for each channel", describe(*last)), "",
                last};
  }
  op->add = last;
  op->add_constant = 1 - operand;
  const auto channels = static_cast<size_t>(op->output_axis.channels);
  if (op->bias.empty()) {
    op->bias = shift->shift;
    op->bias_name =
        std::get<Constant>(constant_input(*last, op->add_constant, "constant", context)).root->name();
  } else {
    for (size_t i = 0; i < op->bias.size(); ++i) op->bias[i] += shift->shift[i % channels];
  }
  return found;
}

}  // namespace plica
