// Operators of com.microsoft that ai.onnx has too: QuantizeLinear and DequantizeLinear, here with 16- and
// 4-bit integers, Trilu, Pad, GatherND and GridSample.
#include "engine/ops/delegate.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

OpDef adopted(OpDef op) {
  op.domain = kMicrosoft;
  op.since = 1;
  op.until = kLatestOpset;
  return op;
}

// GridSample tells its versions apart by their number.
void infer_grid_sample(InferContext& context) {
  context.set_output(0, context.input_type(0), infer_shape_by(base_op("GridSample", 16), context, {0, 1}));
}
void evaluate_grid_sample(EvaluateContext& context) {
  evaluate_by(base_op("GridSample", 16), context, {&context.input(0), &context.input(1)}, context.output());
}

}  // namespace

std::vector<OpDef> adopted_ops() {
  constexpr TypeSet kFloats = {DataType::float32, DataType::float16},
                    kIntegers = {DataType::int8,   DataType::uint8, DataType::int16,
                                 DataType::uint16, DataType::int4,  DataType::uint4},
                    kInt32 = {DataType::int32};
  std::vector<OpDef> ops;
  for (const OpDef& base : quantization_ops()) {
    if (base.since != 13) continue;  // with an axis, and nothing else
    ops.push_back(adopted(base));
    ops.back().input_types = base.name == "QuantizeLinear"
                                 ? std::vector{kFloats, kFloats, kIntegers}
                                 : std::vector{kIntegers | kInt32, kFloats, kIntegers | kInt32};
  }
  for (const OpDef& base : layout_ops()) {
    if (base.name == "Trilu" || (base.name == "Pad" && base.since == 11)) ops.push_back(adopted(base));
  }
  for (const OpDef& base : indexing_ops()) {
    if (base.name == "GatherND" && base.since == 11) ops.push_back(adopted(base));
  }
  for (const OpDef& base : spatial_ops()) {
    if (base.name != "GridSample" || base.since != 16) continue;
    ops.push_back(adopted(base));
    ops.back().input_types = {types::kFloat};
    ops.back().infer = infer_grid_sample;
    ops.back().evaluate = evaluate_grid_sample;
  }
  return ops;
}

}  // namespace plica
