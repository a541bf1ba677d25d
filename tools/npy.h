// NumPy's .npy format (NEP 1), versions 1 to 3: one array with its element type and shape.
//
// Read: booleans, integers, floats (16 to 64 bits), complex numbers, strings (U, S), of either byte order, C
// or Fortran order, and ml_dtypes' bfloat16 when it is written as |V2 with no name (as raw 16-bit voids).
// Objects (pickles) are refused.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "plica/tensor.h"

namespace plica::tools {

// Throws Error(invalid_argument) for what is no such file, unsupported for an element type that ONNX lacks.
// The tensor owns its data.
Tensor parse_npy(std::span<const std::byte> bytes);

// Throws Error(unsupported) for an element type that NumPy lacks.
std::string serialize_npy(const Tensor& tensor);

}  // namespace plica::tools
