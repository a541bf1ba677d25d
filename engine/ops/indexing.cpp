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
  check_indices(wide.values<int64_t>(), size);
  std::vector<int64_t> result(wide.values<int64_t>().begin(), wide.values<int64_t>().end());
  for (int64_t& i : result) i += i < 0 ? size : 0;
  return result;
}

void check_indices(std::span<const int64_t> indices, int64_t size) {
  const int64_t *begin = indices.data(), *end = begin + indices.size();
  bool valid = true;
  vectorized([&valid, begin, end, size] {
    bool all = true;
    for (const int64_t* i = begin; i < end; ++i) all &= (*i >= -size) & (*i < size);
    valid = all;
  });
  if (!valid) std::for_each(begin, end, [size](int64_t i) { wrap_index(i, size); });  // throws
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
      axis_size_(data_dims[axis]),
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
