// AffineGrid: https://onnx.ai/onnx/operators/onnx__AffineGrid.html
#include <algorithm>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/spatial.h"

namespace plica {
namespace {

// theta [N, r, r + 1] and size [N, C, D1, ..., Dr], r 2 or 3; the grid is [N, D1, ..., Dr, r].
void infer_affine_grid(InferContext& context) {
  const DataType type = context.input_type(0);
  const auto &theta = context.input_shape(0), &size = context.input_shape(1);
  int axes = 0;
  if (theta) {
    require(theta->rank() == 3, ErrorCode::invalid_model, "theta is of rank {}, it must be 3", theta->rank());
    const auto check = [&](bool fits) {
      require(fits, ErrorCode::invalid_model, "theta is {}, it must be [N, 2, 3] or [N, 3, 4]",
              to_string(*theta));
    };
    const Dim &rows = (*theta)[1], &columns = (*theta)[2];
    check(!rows.is_known() || rows.value() == 2 || rows.value() == 3);
    check(!columns.is_known() || columns.value() == 3 || columns.value() == 4);
    if (rows.is_known()) axes = static_cast<int>(rows.value());
    if (columns.is_known()) {
      check(!axes || columns.value() == axes + 1);
      axes = static_cast<int>(columns.value()) - 1;
    }
  }
  if (size) {
    require(size->rank() == 1, ErrorCode::invalid_model, "the size is of rank {}, it must be 1",
            size->rank());
    if ((*size)[0].is_known()) {
      const int64_t count = (*size)[0].value();
      require(count == 4 || count == 5, ErrorCode::invalid_model,
              "the size has {} elements, it must have 4 or 5", count);
      require(!axes || count == axes + 2, ErrorCode::invalid_model,
              "the size has {} elements, theta is for {} axes", count, axes);
      axes = static_cast<int>(count) - 2;
    }
  }
  if (!axes) return context.set_output(0, type, std::nullopt);
  std::vector<Dim> dims(static_cast<size_t>(axes) + 2);
  dims.back() = axes;
  if (theta) dims[0] = (*theta)[0];
  if (const auto* elements = context.input_elements(1)) {
    require(elements->size() == static_cast<size_t>(axes) + 2, ErrorCode::invalid_model,
            "the size has {} elements, theta is for {} axes", elements->size(), axes);
    for (const Dim& d : *elements)
      require(!d.is_known() || d.value() >= 0, ErrorCode::invalid_model, "a dimension of the size is {}",
              to_string(d));
    dims[0] = merge(dims[0], (*elements)[0]);
    for (size_t i = 1; i <= static_cast<size_t>(axes); ++i) dims[i] = (*elements)[i + 1];
  }
  context.set_output(0, type, Shape(std::move(dims)));
}

// The i-th of `count` positions evenly spaced over [-1, 1]: the ends are the centers of the outermost pixels,
// or (align_corners 0) their outer edges. A single pixel of aligned corners is in the middle, as in PyTorch's
// affine_grid, which the specification refers to.
double position(int64_t i, int64_t count, bool align_corners) {
  if (align_corners) return count > 1 ? 2.0 * static_cast<double>(i) / static_cast<double>(count - 1) - 1 : 0;
  return (2.0 * static_cast<double>(i) + 1) / static_cast<double>(count) - 1;
}

// grid[n, ..., y, x, :] = theta[n] * (x, y, ..., 1): coordinates from the innermost axis to the outermost.
void evaluate_affine_grid(EvaluateContext& context) {
  const Tensor& theta = context.input(0);
  const auto size = context.input(1).values<int64_t>();
  const bool align = context.attributes().i("align_corners") != 0;
  const int64_t axes = theta.dim(1);
  Dims dims{size[0]};
  dims.insert(dims.end(), size.begin() + 2, size.end());
  dims.push_back(axes);
  Tensor& out = context.allocate(0, theta.type(), dims);
  if (out.size() == 0) return;
  const int64_t width = dims[static_cast<size_t>(axes)], rows = out.size() / (width * axes);
  const int64_t rows_per_batch = rows / dims[0];
  std::vector<double> columns(static_cast<size_t>(width));
  for (int64_t x = 0; x < width; ++x) columns[static_cast<size_t>(x)] = position(x, width, align);
  dispatch<FloatTypes>(theta.type(), [&]<class T>(std::type_identity<T>) {
    const T* matrices = theta.data<T>();
    T* y = out.mutable_data<T>();
    parallel_for(rows, std::max<int64_t>(1, 4096 / width), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* matrix = matrices + row / rows_per_batch * axes * (axes + 1);
        // What the outer axes contribute, with the translation.
        double base[3], step[3];
        for (int64_t k = 0; k < axes; ++k) {
          const T* m = matrix + k * (axes + 1);
          step[k] = static_cast<double>(m[0]);
          base[k] = static_cast<double>(m[axes]);
          int64_t rest = row % rows_per_batch;
          for (int64_t d = axes - 1; d >= 1; --d) {
            const int64_t count = dims[static_cast<size_t>(d)];
            base[k] += static_cast<double>(m[axes - d]) * position(rest % count, count, align);
            rest /= count;
          }
        }
        T* to = y + row * width * axes;
        for (int64_t x = 0; x < width; ++x) {
          for (int64_t k = 0; k < axes; ++k) {
            *to++ = static_cast<T>(
                static_cast<ComputeType<T>>(base[k] + step[k] * columns[static_cast<size_t>(x)]));
          }
        }
      }
    });
  });
}

}  // namespace

std::vector<OpDef> affine_grid_ops() {
  return {{.name = "AffineGrid",
           .since = 20,
           .min_inputs = 2,
           .max_inputs = 2,
           .input_types = {types::kFloat, types::kInt64},
           .attributes = {{"align_corners", AttributeType::int_, int64_t{0}}},
           .infer = infer_affine_grid,
           .evaluate = evaluate_affine_grid}};
}

}  // namespace plica
