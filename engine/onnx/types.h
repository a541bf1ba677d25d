// Type <-> TypeProto.
#pragma once

#include "engine/graph/type.h"
#include "engine/onnx/messages.h"

namespace plica::onnx_format {

// The element type of that number. Throws invalid_model for a number that ONNX does not have, unsupported for
// one that Plica does not have.
DataType read_element_type(int64_t number);

// A dimension of -1, which some exporters write for one that is not known, is read as that. Throws
// invalid_model.
Type read_type(const TypeProto& proto);
TypeProto write_type(const Type& type);

}  // namespace plica::onnx_format
