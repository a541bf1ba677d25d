// ModelProto -> ModelGraph.
#pragma once

#include <memory>

#include "engine/onnx/messages.h"
#include "engine/onnx/tensor_sources.h"

namespace plica::onnx_format {

// How deep graphs may be nested: the main graph and 32 within each other.
inline constexpr int kDeepestGraph = 32;

// Takes the message apart. The graph is verified. Throws invalid_model and others; names nodes and values,
// not the file.
std::unique_ptr<ModelGraph> import_model(ModelProto& proto, TensorSources& sources);

}  // namespace plica::onnx_format
