// NumPy's .npz format: a zip archive of .npy arrays, stored or deflated.
//
// The archive is hostile until checked: every offset and size lies in the file, CRCs match, and no member may
// unpack to more than deflate can hold in its bytes (1032 times as much), so memory is bounded by the size of
// the file.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plica/tensor.h"

namespace plica::tools {

using NamedArrays = std::vector<std::pair<std::string, Tensor>>;

// The arrays in the archive's order, named without ".npy". Throws Error(invalid_argument) naming the array.
NamedArrays parse_npz(std::span<const std::byte> bytes);
const Tensor* find_array(const NamedArrays& arrays, std::string_view name);

// The same bytes for the same arrays. Throws Error(limit) beyond 4 GiB, unsupported as serialize_npy.
std::string serialize_npz(const NamedArrays& arrays);

}  // namespace plica::tools
