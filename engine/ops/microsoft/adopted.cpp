// Operators of com.microsoft that ai.onnx has too: QuantizeLinear and DequantizeLinear, here with 16- and
// 4-bit integers, and Trilu.
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
    if (base.name == "Trilu") ops.push_back(adopted(base));
  }
  return ops;
}

}  // namespace plica
