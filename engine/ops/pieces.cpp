#include "engine/ops/pieces.h"

#include <vector>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/ops/axis_split.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

bool is_packed(DataType type) { return bits_of(type) > 0 && bits_of(type) < 8; }

}  // namespace

Tensor slice_of(const Tensor& tensor, int axis, int64_t begin, int64_t count) {
  if (is_packed(tensor.type())) {
    const Tensor part = slice_of(unpack_elements(tensor), axis, begin, count);
    Tensor packed(tensor.type(), part.dims());
    pack_elements(part, packed);
    return packed;
  }
  Dims dims = tensor.dims();
  dims[static_cast<size_t>(axis)] = count;
  Tensor out(tensor.type(), std::move(dims));
  if (out.size() == 0) return out;
  const AxisSplit s = split_at(tensor.dims(), axis);
  copy_strided(tensor.type(), {s.outer, count * s.inner}, element_address(tensor, begin * s.inner),
               {s.length * s.inner, 1}, out.mutable_raw(), {count * s.inner, 1});
  return out;
}

Tensor without_axis(const Tensor& tensor, int axis) {
  Dims dims = tensor.dims();
  dims.erase(dims.begin() + axis);
  return tensor.reshaped(std::move(dims));
}

Tensor concatenate(std::span<const Tensor> parts, int axis) {
  const Tensor& first = parts.front();
  require(!is_container(first.type()), ErrorCode::invalid_argument, "a {} cannot be put into a tensor",
          to_string(first.type()));
  if (is_packed(first.type())) {
    std::vector<Tensor> spread;
    for (const Tensor& part : parts) {
      require(part.type() == first.type(), ErrorCode::invalid_argument, "parts have element types {} and {}",
              to_string(first.type()), to_string(part.type()));
      spread.push_back(unpack_elements(part));
    }
    const Tensor whole = concatenate(spread, axis);
    Tensor packed(first.type(), whole.dims());
    pack_elements(whole, packed);
    return packed;
  }
  const auto at = static_cast<size_t>(axis);
  Dims dims = first.dims();
  dims[at] = 0;
  for (const Tensor& part : parts) {
    Dims own = part.dims();
    require(part.type() == first.type() && own.size() == dims.size(), ErrorCode::invalid_argument,
            "{} and {} cannot be put together", to_string(first), to_string(part));
    const int64_t sum = checked_add(dims[at], own[at]);
    own[at] = dims[at];
    require(own == dims, ErrorCode::invalid_argument, "{} and {} cannot be put together along axis {}",
            to_string(first), to_string(part), axis);
    dims[at] = sum;
  }
  Tensor out(first.type(), std::move(dims));
  const AxisSplit whole = split_at(out.dims(), axis);
  int64_t offset = 0;
  for (const Tensor& part : parts) {
    if (part.size() == 0) continue;
    const int64_t row = part.dim(axis) * whole.inner;
    copy_strided(part.type(), {whole.outer, row}, part.raw(), {row, 1}, element_address(out, offset),
                 {whole.length * whole.inner, 1});
    offset += row;
  }
  return out;
}

Tensor stack(std::span<const Tensor> parts, int axis) {
  std::vector<Tensor> with_axis;
  for (const Tensor& part : parts) {
    require(!is_container(part.type()), ErrorCode::invalid_argument, "a {} cannot be put into a tensor",
            to_string(part.type()));
    Dims dims = part.dims();
    require(std::ssize(dims) >= axis, ErrorCode::invalid_argument, "{} has no axis {}", to_string(part),
            axis);
    dims.insert(dims.begin() + axis, 1);
    with_axis.push_back(part.reshaped(std::move(dims)));
  }
  return concatenate(with_axis, axis);
}

}  // namespace plica
