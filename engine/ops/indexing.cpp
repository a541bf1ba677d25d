#include "engine/ops/indexing.h"

#include <iterator>

#include "engine/core/fail.h"
#include "engine/core/vectorized.h"
#include "engine/ops/cast.h"
#include "engine/ops/table.h"

namespace plica {

int64_t wrap_index(int64_t index, int64_t size) {
  require(index >= -size && index < size, ErrorCode::invalid_argument,
          "index {} is out of range for an axis of size {}", index, size);
  return index < 0 ? index + size : index;
}

std::vector<int64_t> read_indices(const Tensor& indices, int64_t size) {
  const Tensor wide = cast_tensor(indices, DataType::int64);
  return wrap_indices(wide.values<int64_t>(), size);
}

std::vector<int64_t> wrap_indices(std::span<const int64_t> indices, int64_t size) {
  std::vector<int64_t> result(indices.begin(), indices.end());
  if (are_in_range(result, size)) return result;
  for (int64_t& i : result) i = wrap_index(i, size);
  return result;
}

bool are_in_range(std::span<const int64_t> indices, int64_t size) {
  const auto last = static_cast<uint64_t>(size) - 1;
  uint64_t signs = 0;  // those of i and last - i: one is negative where i is out of range
  vectorized([&signs, indices, last] {
    uint64_t all = 0;
    for (const int64_t index : indices) {
      const auto i = static_cast<uint64_t>(index);
      all |= i | (last - i);
    }
    signs = all;
  });
  return signs >> 63 == 0;
}

Dims strides_of(const Dims& dims) {
  Dims strides(dims.size());
  int64_t stride = 1;
  for (size_t d = dims.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= dims[d];
  }
  return strides;
}

ElementRows::ElementRows(const Dims& dims, const Dims& data_dims, size_t axis)
    : dims_(dims),
      strides_(strides_of(data_dims)),
      axis_stride_(strides_[axis]),
      axis_is_last_(axis + 1 == dims.size()) {
  strides_[axis] = 0;
  length_ = dims_.back();
  dims_.pop_back();
  for (const int64_t d : dims_) count_ *= d;
}

int64_t ElementRows::offset(int64_t row) const {
  int64_t offset = 0;
  for (size_t d = dims_.size(); d-- > 0; row /= dims_[d]) offset += row % dims_[d] * strides_[d];
  return offset;
}

std::span<const OpDef> indexing_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all;
    for (auto part : {gather_ops, scatter_ops, top_k_ops, pick_ops, unique_ops, tensor_scatter_ops})
      std::ranges::move(part(), std::back_inserter(all));
    return all;
  }();
  return ops;
}

}  // namespace plica
