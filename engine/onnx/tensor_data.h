// Tensor <-> TensorProto.
//
// Export writes raw_data; a tensor that came from the typed fields (float_data, int32_data, ...) goes back
// there. What take_tensor() leaves in the message, beside unmodelled fields, says so by one element in
// int32_data.
#pragma once

#include "engine/core/tensor.h"
#include "engine/onnx/messages.h"
#include "engine/onnx/tensor_sources.h"

namespace plica::onnx_format {

// Large tensors whose elements are not in their message: its raw_data are there, and empty. The messages must
// stay where they are.
using DeferredTensors = std::unordered_map<TensorProto*, Tensor>;

// Takes type, dims and elements (not the name) out of the message. Large raw data are not copied but moved
// into the tensor. Throws invalid_model when anything but exactly the elements of the dims is there.
Tensor take_tensor(TensorProto& proto, TensorSources& sources);

// Sets type, dims and elements in a message that holds what take_tensor() left, or nothing. `deferred`, when
// given, gets large tensors.
void put_tensor(const Tensor& tensor, TensorProto& proto, DeferredTensors* deferred = nullptr);

// The same for the coordinate format. The names of values and indices stay in the message.
SparseTensor take_sparse_tensor(SparseTensorProto& proto, TensorSources& sources);
void put_sparse_tensor(const SparseTensor& tensor, SparseTensorProto& proto);

// Whether elements of the type may be used where they are.
bool is_aligned(const void* data, DataType type);

}  // namespace plica::onnx_format
