// QLinearAveragePool, QLinearGlobalAveragePool: the ai.onnx operator on the dequantized input, quantized
// again. With channels_last the tensors are [N, spatial..., C].
#include "engine/ops/delegate.h"
#include "engine/ops/microsoft/channels_last.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/microsoft/quantized_tensor.h"

namespace plica {
namespace {

const OpDef& base_of(const OpDef& def) {
  return def.name == "QLinearAveragePool" ? base_op("AveragePool", 19) : base_op("GlobalAveragePool", 1);
}

bool is_channels_last(const AttributeReader& attributes) { return attributes.i("channels_last") != 0; }

void infer_pool(InferContext& context) {
  require_quantization(context, 0, 1, 2);
  require_quantization(context, 0, 3, 4);
  const bool last = is_channels_last(context.attributes());
  std::optional<Shape> x = context.input_shape(0);
  require(!x || x->rank() >= 3, ErrorCode::invalid_model, "the input has rank {}, at least 3 is needed",
          x ? x->rank() : 0);
  if (x && last) x = Shape(channels_to_front(x->dims()));
  const Facts facts[] = {shape_facts(std::move(x))};
  std::optional<Shape> out = infer_shape_by(base_of(context.def()), context, facts);
  if (out && last) out = Shape(channels_to_end(out->dims()));
  context.set_output(0, context.input_type(0), std::move(out));
}

void evaluate_pool(EvaluateContext& context) {
  Tensor& y = context.output();
  if (y.size() == 0) return;
  Tensor x = dequantize(context.input(0), context.input(1), context.maybe_input(2));
  const OpDef& base = base_of(context.def());
  Tensor pooled(DataType::float32, y.dims());
  if (is_channels_last(context.attributes())) {
    const Tensor planes = with_channels_in_front(x);
    Tensor result(DataType::float32, channels_to_front(y.dims()));
    evaluate_by(base, context, {&planes}, result);
    copy_channels_to_end(result, pooled);
  } else {
    evaluate_by(base, context, {&x}, pooled);
  }
  quantize(pooled, context.input(3), context.maybe_input(4), y);
}

}  // namespace

std::vector<OpDef> quantized_pool_ops() {
  constexpr TypeSet kInt8 = {DataType::int8, DataType::uint8}, kFloat32 = {DataType::float32};
  const AttributeDef channels_last{"channels_last", AttributeType::int_, int64_t{0}};
  OpDef op{.name = "QLinearGlobalAveragePool",
           .domain = kMicrosoft,
           .min_inputs = 2,
           .max_inputs = 5,
           .input_types = {kInt8, kFloat32, kInt8, kFloat32, kInt8},
           .attributes = {channels_last},
           .infer = infer_pool,
           .evaluate = evaluate_pool};
  std::vector<OpDef> ops = {op};
  op.name = "QLinearAveragePool";
  op.attributes = {channels_last,
                   {"auto_pad", AttributeType::string, std::string_view("NOTSET")},
                   {"ceil_mode", AttributeType::int_, int64_t{0}},
                   {"count_include_pad", AttributeType::int_, int64_t{0}},
                   {"kernel_shape", AttributeType::ints, Required{}},
                   {"pads", AttributeType::ints, Optional{}},
                   {"strides", AttributeType::ints, Optional{}}};
  ops.push_back(std::move(op));
  return ops;
}

}  // namespace plica
