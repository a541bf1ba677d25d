#include "passes/constants.h"

#include "engine/core/dispatch.h"

namespace plica {
namespace {

Skip not_constant(const Value& value, std::string_view role) {
  const std::string name = quoted(value.name());
  if (value.is_graph_input() && value.initializer()) {
    return {fmt::format("its {} {} is an initializer that callers may override", role, name),
            "IR version >= 4 makes initializers that are graph inputs overridable: take it out of the "
            "graph's inputs "
            "(torch.onnx.export: keep_initializers_as_inputs=False)",
            nullptr};
  }
  if (const Node* producer = value.producer()) {
    if (producer->is("DequantizeLinear")) {
      return {fmt::format("its {} {} is quantized", role, name), "fold before the model is quantized",
              producer};
    }
    return {fmt::format("its {} {} is computed at run time by {}", role, name, describe(*producer)), "",
            producer};
  }
  const bool outermost = &value.graph()->model().graph == value.graph();
  return {fmt::format("its {} {} is an input of the {}", role, name,
                      outermost ? "model" : "subgraph or function"),
          "store it in the model as an initializer", nullptr};
}

}  // namespace

std::variant<Constant, Skip> constant_input(const Node& node, int index, std::string_view role,
                                            const RuleContext& context) {
  const Value* value = node.input(index);
  if (!value) return Skip{fmt::format("its {} is missing", role), "", nullptr};
  for (;;) {
    if (const Tensor* t = value->constant()) return Constant{*t, value};
    if (const Tensor& t = context.facts.of(value).constant; t.defined()) return Constant{t, value};
    const Node* producer = value->producer();
    if (!producer || !producer->has_input(0)) break;
    const DataType from = context.facts.of(producer->input(0)).type.element;
    const bool same = producer->is("Identity") || (producer->is("Cast") && from != DataType::undefined &&
                                                   from == context.facts.of(value).type.element);
    if (!same) break;
    value = producer->input(0);
  }
  return not_constant(*value, role);
}

bool is_foldable_type(DataType type) {
  return type == DataType::float32 || type == DataType::float64 || type == DataType::float16 ||
         type == DataType::bfloat16;
}

std::vector<double> to_doubles(const Tensor& tensor) {
  return dispatch<FloatTypes>(tensor.type(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<double> out;
    out.reserve(static_cast<size_t>(tensor.size()));
    for (const T& v : tensor.values<T>()) out.push_back(static_cast<double>(static_cast<ComputeType<T>>(v)));
    return out;
  });
}

bool has_attribute_references(const Node& node) {
  for (const Attribute& a : node.attributes()) {
    if (!a.ref_name.empty()) return true;
  }
  return false;
}

}  // namespace plica
