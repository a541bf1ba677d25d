// Values of any kind as files hold them: TensorProto, SequenceProto, OptionalProto, MapProto. In memory they
// are Tensors (engine/core/tensor.h).
#pragma once

#include "engine/onnx/onnx_data.pb.h"
#include "engine/onnx/tensor_data.h"

namespace plica::onnx_format {

Tensor take_sequence(SequenceProto& proto, TensorSources& sources);
Tensor take_optional(OptionalProto& proto, TensorSources& sources);
Tensor take_map(MapProto& proto, TensorSources& sources);

void put_sequence(const Tensor& value, SequenceProto& proto);
void put_optional(const Tensor& value, OptionalProto& proto);
void put_map(const Tensor& value, MapProto& proto);

}  // namespace plica::onnx_format
