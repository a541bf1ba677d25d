// Tensors [N, spatial..., C] for kernels of [N, C, spatial...], and back.
#pragma once

#include <algorithm>

#include "engine/core/tensor.h"
#include "engine/ops/strided_copy.h"

namespace plica {

// Of dims or strides, of a rank of at least 2.
template <class List>
List channels_to_front(List list) {
  std::rotate(list.begin() + 1, list.end() - 1, list.end());
  return list;
}
template <class List>
List channels_to_end(List list) {
  std::rotate(list.begin() + 1, list.begin() + 2, list.end());
  return list;
}

// A copy with the channels in front.
inline Tensor with_channels_in_front(const Tensor& x) {
  Tensor out(x.type(), channels_to_front(x.dims()));
  copy_strided(x.type(), out.dims(), x.raw(), channels_to_front(row_major_strides(x.dims())),
               out.mutable_raw(), row_major_strides(out.dims()));
  return out;
}

// to[n, spatial..., c] = from[n, c, spatial...]
inline void copy_channels_to_end(const Tensor& from, Tensor& to) {
  copy_strided(from.type(), from.dims(), from.raw(), row_major_strides(from.dims()), to.mutable_raw(),
               channels_to_front(row_major_strides(to.dims())));
}

}  // namespace plica
