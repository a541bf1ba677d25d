#include "engine/ops/indexing.h"

#include <iterator>

#include "engine/core/fail.h"
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
  std::vector<int64_t> result(wide.values<int64_t>().begin(), wide.values<int64_t>().end());
  for (int64_t& i : result) i = wrap_index(i, size);
  return result;
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

std::span<const OpDef> indexing_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all;
    for (auto part : {gather_ops, scatter_ops, pick_ops, unique_ops, tensor_scatter_ops})
      std::ranges::move(part(), std::back_inserter(all));
    return all;
  }();
  return ops;
}

}  // namespace plica
