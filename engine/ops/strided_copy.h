// Moves elements between two tensors that each have their own strides: the kernel of Transpose, Slice,
// Concat, Split, Pad, Expand, Tile, DepthToSpace and the like. It moves bytes by element size, so it exists
// once per size, not per type.
#pragma once

#include <cstdint>
#include <span>

#include "engine/core/data_type.h"
#include "engine/core/shape.h"
#include "engine/core/tensor.h"

namespace plica {

// The strides, in elements, of a row-major tensor.
Dims row_major_strides(const Dims& dims);

// For each index within `dims`: to[sum index * to_strides] = from[sum index * from_strides]. The pointers are
// to the elements of index 0; strides are in elements, may be zero (from) or negative. The regions must not
// overlap. Parallel where there is much to move. Packed (4- and 2-bit) types throw unsupported.
void copy_strided(DataType type, const Dims& dims, const void* from, const Dims& from_strides, void* to,
                  const Dims& to_strides);

// The address of element `offset`. Not for packed types.
const void* element_address(const Tensor& tensor, int64_t offset);
void* element_address(Tensor& tensor, int64_t offset);

// 4- and 2-bit elements, one to a byte (as uint8), and back.
Tensor unpack_elements(const Tensor& packed);
void pack_elements(const Tensor& bytes, Tensor& packed);

// Calls move(in, out) for a kernel that only moves elements; packed types are spread to bytes around it.
template <class Move>
void move_elements(const Tensor& in, Tensor& out, const Move& move) {
  if (in.type() == DataType::string || bits_of(in.type()) >= 8) {
    move(in, out);
    return;
  }
  const Tensor spread = unpack_elements(in);
  Tensor result(spread.type(), out.dims());
  move(spread, result);
  pack_elements(result, out);
}

}  // namespace plica
