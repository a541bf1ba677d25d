// The parts of the indexing family, each in a file of its own, and what they share.
#pragma once

#include <algorithm>
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
// One of them.
int64_t wrap_index(int64_t index, int64_t size);

// Row-major strides, in elements.
Dims strides_of(const Dims& dims);

std::vector<OpDef> gather_ops();          // gather.cpp: Gather, GatherElements, GatherND
std::vector<OpDef> scatter_ops();         // scatter.cpp: Scatter, ScatterElements, ScatterND
std::vector<OpDef> pick_ops();            // pick.cpp: TopK, OneHot, NonZero, Compress
std::vector<OpDef> unique_ops();          // unique.cpp
std::vector<OpDef> tensor_scatter_ops();  // tensor_scatter.cpp

}  // namespace plica
