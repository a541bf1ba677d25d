// QuantizeLinear and DequantizeLinear of com.microsoft: ai.onnx's, with 16- and 4-bit integers before opset
// 21 had them.
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/table.h"

namespace plica {

std::vector<OpDef> quantize_linear_ops() {
  constexpr TypeSet kFloats = {DataType::float32, DataType::float16},
                    kIntegers = {DataType::int8,   DataType::uint8, DataType::int16,
                                 DataType::uint16, DataType::int4,  DataType::uint4},
                    kInt32 = {DataType::int32};
  std::vector<OpDef> ops;
  for (const OpDef& base : quantization_ops()) {
    if (base.since != 13) continue;
    OpDef op = base;
    op.domain = kMicrosoft;
    op.since = 1;
    op.until = kLatestOpset;
    op.input_types = base.name == "QuantizeLinear"
                         ? std::vector{kFloats, kFloats, kIntegers}
                         : std::vector{kIntegers | kInt32, kFloats, kIntegers | kInt32};
    ops.push_back(std::move(op));
  }
  return ops;
}

}  // namespace plica
