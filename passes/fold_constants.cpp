// Constants: Constant nodes become initializers, and nodes that depend on constants alone are computed.
#include <algorithm>
#include <array>
#include <limits>

#include "engine/core/checked.h"
#include "engine/graph/captures.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/table.h"
#include "passes/constants.h"
#include "passes/rules.h"

namespace plica {
namespace {

bool in_function_body(const Node& node, const RuleContext& context) {
  return !node.graph()->parent() && node.graph() != &context.model.graph;
}

// A constant of this size is made whatever it is made from: shapes, tables, scalars.
constexpr int64_t kSmallBytes = 64 << 10;
// A larger one may have at most so many times the bytes of what it is made from: a Cast from bytes to
// float32, not the ConstantOfShape, Expand or Tile that is how a model says "a million zeros" in eight bytes.
constexpr int64_t kMostGrowth = 4;
// Work of operators that may take time beyond the sizes of their tensors: products of input and output
// elements.
constexpr int64_t kMostSteps = int64_t{1} << 30;

// Operators whose time is linear in their inputs and outputs.
constexpr std::array kLinearTime = std::to_array<std::string_view>(
    {"Abs",     "Add",   "And",        "Cast",      "CastLike",  "Ceil",  "Clip",   "Concat",  "Constant",
     "Div",     "Equal", "Exp",        "Expand",    "Flatten",   "Floor", "Gather", "Greater", "Identity",
     "Less",    "Log",   "Max",        "Min",       "Mul",       "Neg",   "Not",    "Or",      "Pad",
     "Pow",     "Range", "Reciprocal", "Reshape",   "Shape",     "Size",  "Slice",  "Split",   "Sqrt",
     "Squeeze", "Sub",   "Tile",       "Transpose", "Unsqueeze", "Where"});

bool is_linear_time(std::string_view op) { return std::ranges::find(kLinearTime, op) != kLinearTime.end(); }

int64_t bytes_of_tensor(const Tensor& tensor) {
  if (tensor.type() != DataType::string) return static_cast<int64_t>(tensor.bytes());
  int64_t bytes = 0;
  for (const std::string& s : tensor.values<std::string>())
    bytes += static_cast<int64_t>(s.size() + sizeof s);
  return bytes;
}

// What folding a node takes from which inputs.
struct Inputs {
  std::vector<const Tensor*> tensors;
  std::vector<Facts> facts;
  int64_t bytes = 0;     // of distinct tensors
  int64_t freed = 0;     // of those that nobody else reads
  int64_t elements = 0;  // of the largest
};

bool read_inputs(const Node& node, const RuleContext& context, Inputs& in) {
  for (int i = 0; i < node.num_inputs(); ++i) {
    const Value* v = node.input(i);
    in.facts.emplace_back();
    in.tensors.push_back(nullptr);
    if (!v) continue;
    const Tensor* t = v->constant();
    if (!t && context.facts.of(v).constant.defined()) t = &context.facts.of(v).constant;
    if (!t) return false;
    in.facts.back() = Facts::of(*t);
    in.tensors.back() = t;
    bool again = false;
    for (int j = 0; j < i; ++j) again |= node.input(j) == v;
    if (again) continue;
    const int64_t bytes = bytes_of_tensor(*t);
    in.bytes += bytes;
    in.elements = std::max(in.elements, t->size());
    if (v->has_single_use() && !v->is_graph_input()) in.freed += bytes;
  }
  return true;
}

// A patch that puts the tensors in place of the node's outputs.
Patch replace_by(const Node& node, std::vector<Tensor> tensors) {
  Patch patch(node);
  for (int i = 0; i < node.num_outputs(); ++i) {
    if (Value* v = node.output(i)) {
      patch.replace(v, patch.add_constant(v->name(), std::move(tensors[static_cast<size_t>(i)]), node));
    }
  }
  return patch;
}

}  // namespace

// Constant -> initializer. Not where the format has none (model functions, IR version 3) nor for graph
// outputs.
RuleResult inline_constant(const Node& node, const RuleContext& context) {
  if (!node.is("Constant") || node.num_outputs() != 1 || !node.has_output(0) || has_attribute_references(node))
    return NoMatch{};
  if (context.model.ir_version < 4 || in_function_body(node, context) || node.output(0)->is_graph_output())
    return NoMatch{};
  const Attribute* value = node.attributes().find("value");
  const Tensor* tensor = value ? std::get_if<Tensor>(&value->value) : nullptr;
  if (!tensor) return NoMatch{};
  return replace_by(node, {*tensor});
}

RuleResult evaluate_constant(const Node& node, const RuleContext& context) {
  if (has_attribute_references(node) || is_quantization(node)) return NoMatch{};
  if (node.is("Constant")) {
    if (node.attributes().has("value")) return NoMatch{};
    if (context.model.ir_version < 4 || in_function_body(node, context) || node.output(0)->is_graph_output())
      return NoMatch{};
  }
  const OpDef* def = find_op(node);
  if (!def || has_subgraph(node) || !def->deterministic || !def->evaluate || node.num_outputs() == 0)
    return NoMatch{};

  // What inference knows already: the Shape of a static shape, and arithmetic on it.
  std::vector<Tensor> known;
  bool all_known = true;
  for (int i = 0; i < node.num_outputs() && all_known; ++i) {
    known.push_back(node.has_output(i) ? context.facts.of(node.output(i)).constant : Tensor());
    all_known = !node.has_output(i) || known.back().defined();
  }
  if (all_known) return replace_by(node, std::move(known));

  Inputs in;
  if (!read_inputs(node, context, in)) return NoMatch{};
  std::vector<const Facts*> facts;
  for (size_t i = 0; i < in.tensors.size(); ++i) facts.push_back(in.tensors[i] ? &in.facts[i] : nullptr);
  const std::vector<Facts> outputs = infer_node(node, facts);
  int64_t bytes = 0, elements = 0;
  for (const Facts& f : outputs) {
    const auto dims = f.type.is_tensor() && f.type.shape ? f.type.shape->known() : std::nullopt;
    if (!dims || f.type.element == DataType::undefined) return NoMatch{};
    const int64_t n = checked_elements(*dims);
    const int64_t size = f.type.element == DataType::string
                             ? checked_mul<int64_t>(n, sizeof(std::string))
                             : static_cast<int64_t>(bytes_of(f.type.element, n));
    elements = std::max(elements, n);
    bytes = checked_add(bytes, size);
  }
  if (bytes > context.constant_bytes) return NoMatch{};
  if (bytes > kSmallBytes && bytes / kMostGrowth > in.bytes) return NoMatch{};
  const int64_t growth = std::max<int64_t>(bytes - in.freed, 0);
  if (growth > context.constants_left || checked_add(bytes, in.bytes) > context.work_left) return NoMatch{};
  if (!is_linear_time(node.op_type()) && (elements > kMostSteps / std::max<int64_t>(in.elements, 1))) {
    return NoMatch{};
  }

  std::vector<Tensor> results = evaluate_node(node, in.tensors);
  for (int i = 0; i < node.num_outputs(); ++i) {
    if (node.has_output(i) && !results[static_cast<size_t>(i)].defined()) return NoMatch{};
  }
  Patch patch = replace_by(node, std::move(results));
  patch.growth_bytes = growth;
  patch.work_bytes = bytes + in.bytes;
  return patch;
}

}  // namespace plica
