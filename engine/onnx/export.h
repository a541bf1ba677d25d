// ModelGraph -> ModelProto.
#pragma once

#include "engine/onnx/messages.h"
#include "engine/onnx/tensor_data.h"

namespace plica::onnx_format {

// Where export puts the elements of large initializers instead of the message.
class TensorSink {
 public:
  virtual ~TensorSink() = default;
  // Whether it took them; then it has set everything in `proto` but the name.
  virtual bool put(const Tensor& tensor, TensorProto& proto) = 0;
};

// Zeros to be written at `offset` before the elements of a tensor that takes so many bytes: large ones begin on
// a page, so that a reader may map each by itself, small ones on a cache line.
size_t padding_before(size_t bytes, size_t offset);
// Sets everything in the message of a tensor whose elements are in another file, but the name.
void describe_external(const Tensor& tensor, const std::string& location, size_t offset, TensorProto& proto);

// Deterministic. `sink` may be null, and `deferred`: then all elements are in the message.
ModelProto export_model(const ModelGraph& model, TensorSink* sink, DeferredTensors* deferred);

// The bytes of the model's tensors: what its message takes, nearly. `initializers` are those that a sink may
// take.
struct TensorBytes {
  size_t initializers = 0, attributes = 0;
};
TensorBytes tensor_bytes(const ModelGraph& model);

}  // namespace plica::onnx_format
