// ai.onnx operators on tensors with the channels last, which ONNX Runtime's layout transformation writes:
// QLinearConv (its weights as ever) and NhwcMaxPool.
#include "engine/ops/microsoft/channels_last.h"

#include "engine/ops/delegate.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

const OpDef& base_of(const OpDef& def) {
  return def.name == "QLinearConv" ? base_op("QLinearConv", 10) : base_op("MaxPool", 12);
}

bool is_channels_last(const AttributeReader& attributes) {
  return !attributes.defines("channels_last") || attributes.i("channels_last") != 0;
}

void infer_channels_last(InferContext& context) {
  std::vector<Facts> facts;
  std::vector<const Facts*> pointers;
  for (int i = 0; i < context.num_inputs(); ++i)
    facts.push_back(context.has_input(i) ? context.input(i) : Facts{});
  for (int i = 0; i < context.num_inputs(); ++i)
    pointers.push_back(context.has_input(i) ? &facts[static_cast<size_t>(i)] : nullptr);
  const bool last = is_channels_last(context.attributes());
  std::optional<Shape>& x = facts[0].type.shape;
  require(!x || x->rank() >= 3, ErrorCode::invalid_model, "the input has rank {}, at least 3 is needed",
          x ? x->rank() : 0);
  if (last && x) x = Shape(channels_to_front(x->dims()));
  InferContext inner(context.node(), base_of(context.def()), std::move(pointers));
  inner.def().infer(inner);
  Type type = inner.outputs().at(0).type;
  if (last && type.shape) type.shape = Shape(channels_to_end(type.shape->dims()));
  context.set_output(0, std::move(type));
}

void evaluate_channels_last(EvaluateContext& context) {
  std::vector<const Tensor*> inputs;
  for (int i = 0; i < context.num_inputs(); ++i) inputs.push_back(context.maybe_input(i));
  Tensor& y = context.output();
  if (!is_channels_last(context.attributes())) return evaluate_by(base_of(context.def()), context, inputs, y);
  const Tensor x = with_channels_in_front(*inputs[0]);
  inputs[0] = &x;
  Tensor result(y.type(), channels_to_front(y.dims()));
  evaluate_by(base_of(context.def()), context, inputs, result);
  copy_channels_to_end(result, y);
}

}  // namespace

std::vector<OpDef> channels_last_ops() {
  std::vector<OpDef> ops;
  for (const OpDef& base : integer_ops()) {
    if (base.name != "QLinearConv") continue;
    ops.push_back(base);
    ops.back().attributes.push_back({"channels_last", AttributeType::int_, int64_t{0}});
  }
  ops.push_back({.name = "NhwcMaxPool",
                 .input_types = {{DataType::int8, DataType::uint8}},
                 .attributes = {{"auto_pad", AttributeType::string, std::string_view("NOTSET")},
                                {"ceil_mode", AttributeType::int_, int64_t{0}},
                                {"dilations", AttributeType::ints, Optional{}},
                                {"kernel_shape", AttributeType::ints, Required{}},
                                {"pads", AttributeType::ints, Optional{}},
                                {"strides", AttributeType::ints, Optional{}}}});
  for (OpDef& op : ops) {
    op.domain = kMicrosoft;
    op.since = 1;
    op.until = kLatestOpset;
    op.infer = infer_channels_last;
    op.evaluate = evaluate_channels_last;
  }
  return ops;
}

}  // namespace plica
