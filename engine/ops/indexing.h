// The parts of the indexing family, each in a file of its own, and what they share.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/ops/op_def.h"

namespace plica {

// The element types of kernels that only move elements.
inline constexpr TypeSet kMovableTypes =
    types::kNumeric | types::kBool | types::kString | types::kComplex | types::kFloat8;

// Indices into an axis of `size` elements, negative ones counted from the end. Throws invalid_argument when
// one is out of range.
std::vector<int64_t> read_indices(const Tensor& indices, int64_t size);
std::vector<int64_t> wrap_indices(std::span<const int64_t> indices, int64_t size);
// Whether there is nothing to do for that: all are in [0, size).
bool are_in_range(std::span<const int64_t> indices, int64_t size);
// One of them.
int64_t wrap_index(int64_t index, int64_t size);

// Row-major strides, in elements.
Dims strides_of(const Dims& dims);

// The walk of GatherElements and ScatterElements: along rows of the indices, each of which names, for one
// position of `axis`, an element of the data.
class ElementRows {
 public:
  // dims: of the indices, none of them 0.
  ElementRows(const Dims& dims, const Dims& data_dims, size_t axis);

  int64_t count() const { return count_; }
  int64_t length() const { return length_; }
  // Where row `row` begins in the data, at index 0.
  int64_t offset(int64_t row) const;
  // Calls f(i, offset from the row's begin) for the elements of a row, whose indices are given, all in range.
  template <class F>
  void for_each(const int64_t* index, F&& f) const {
    const int64_t stride = axis_stride_, count = length_;
    if (axis_is_last_) {
      for (int64_t i = 0; i < count; ++i) f(i, index[i]);
    } else {
      for (int64_t i = 0; i < count; ++i) f(i, index[i] * stride + i);
    }
  }

 private:
  Dims dims_, strides_;  // of the axes but the last; a stride is 0 along `axis`
  int64_t count_ = 1, length_ = 1, axis_stride_ = 1;
  bool axis_is_last_ = true;
};

std::vector<OpDef> gather_ops();          // gather.cpp: Gather, GatherElements, GatherND
std::vector<OpDef> scatter_ops();         // scatter.cpp: Scatter, ScatterElements, ScatterND
std::vector<OpDef> top_k_ops();           // top_k.cpp: TopK
std::vector<OpDef> pick_ops();            // pick.cpp: OneHot, NonZero, Compress
std::vector<OpDef> unique_ops();          // unique.cpp
std::vector<OpDef> tensor_scatter_ops();  // tensor_scatter.cpp

}  // namespace plica
