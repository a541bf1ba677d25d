// Attributes <-> the AttributeProtos of a node or a function.
#pragma once

#include <functional>

#include "engine/graph/attributes.h"
#include "engine/onnx/messages.h"
#include "engine/onnx/tensor_data.h"
#include "engine/onnx/tensor_sources.h"

namespace plica::onnx_format {

using AttributeProtos = google::protobuf::RepeatedPtrField<AttributeProto>;

struct AttributeReader {
  TensorSources& sources;
  std::function<GraphPtr(GraphProto&)> read_graph;
  bool in_function;  // references to the function's attributes are allowed
};

// Leaves in `protos` what is not modelled of those attributes that have something such. Throws invalid_model.
Attributes take_attributes(AttributeProtos& protos, const AttributeReader& reader);

struct AttributeWriter {
  std::function<void(const Graph&, GraphProto&)> write_graph;
  DeferredTensors* deferred;  // may be null
};

// `protos` holds what was left over, or nothing.
void put_attributes(const Attributes& attributes, AttributeProtos& protos, const AttributeWriter& writer);

}  // namespace plica::onnx_format
