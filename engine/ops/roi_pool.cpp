// RoiAlign (He et al., "Mask R-CNN", 2017) and MaxRoiPool (Girshick, "Fast R-CNN", 2015):
// https://onnx.ai/onnx/operators/onnx__RoiAlign.html, https://onnx.ai/onnx/operators/onnx__MaxRoiPool.html
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/indexing.h"
#include "engine/ops/infer.h"
#include "engine/ops/spatial.h"
#include "engine/ops/widened.h"

namespace plica {
namespace {

// x [N, C, H, W] and rois [R, columns] -> [R, C, height, width]
void infer_pooled(InferContext& context, int64_t columns, int64_t height, int64_t width, const Dim& count) {
  require(height > 0 && width > 0, ErrorCode::invalid_model, "the pooled size is {} x {}", height, width);
  const auto &x = context.input_shape(0), &rois = context.input_shape(1);
  require(!x || x->rank() == 4, ErrorCode::invalid_model, "the input is of rank {}, it must be 4",
          x ? x->rank() : 0);
  require(!rois || rois->rank() == 2, ErrorCode::invalid_model, "the rois are of rank {}, they must be 2",
          rois ? rois->rank() : 0);
  require(!rois || !(*rois)[1].is_known() || (*rois)[1].value() == columns, ErrorCode::invalid_model,
          "the rois are {}, each must have {} elements", rois ? to_string(*rois) : "", columns);
  context.set_output(0, common_type(context, 0, 2),
                     Shape{merge(rois ? (*rois)[0] : Dim(), count), x ? (*x)[1] : Dim(), height, width});
}

// ---- RoiAlign

bool is_max(const AttributeReader& attributes) {
  const std::string mode = attributes.s("mode");
  require(mode == "avg" || mode == "max", ErrorCode::invalid_model, "mode is {}, it must be avg or max",
          quoted(mode));
  return mode == "max";
}

bool is_half_pixel(const AttributeReader& attributes) {
  if (!attributes.defines("coordinate_transformation_mode")) return false;
  const std::string mode = attributes.s("coordinate_transformation_mode");
  require(mode == "half_pixel" || mode == "output_half_pixel", ErrorCode::invalid_model,
          "coordinate_transformation_mode is {}, it must be half_pixel or output_half_pixel", quoted(mode));
  return mode == "half_pixel";
}

void infer_roi_align(InferContext& context) {
  const AttributeReader& attributes = context.attributes();
  is_max(attributes);
  is_half_pixel(attributes);
  constexpr int64_t kMostSamples = 1024;
  const int64_t ratio = attributes.i("sampling_ratio");
  require(ratio >= 0, ErrorCode::invalid_model, "sampling_ratio is {}", ratio);
  require(ratio <= kMostSamples, ErrorCode::limit, "sampling_ratio is {}, at most {} are supported", ratio,
          kMostSamples);
  const auto& batches = context.input_shape(2);
  require(!batches || batches->rank() == 1, ErrorCode::invalid_model,
          "the batch indices are of rank {}, they must be 1", batches ? batches->rank() : 0);
  infer_pooled(context, 4, attributes.i("output_height"), attributes.i("output_width"),
               batches ? (*batches)[0] : Dim());
}

// A sample along one axis, between two elements.
template <class T>
struct Sample {
  int64_t low, high;
  T low_weight, high_weight;
};

// The samples along one axis of a region, bin after bin. Those outside the input, which count as zero, are
// left out: so a region may be of any size.
template <class T>
struct AxisSamples {
  std::vector<Sample<T>> samples;
  std::vector<size_t> ends;       // [bins]
  std::vector<bool> has_outside;  // [bins]
  double per_bin = 0;             // outside ones included

  void place(T start, T length, int64_t bins, int64_t ratio, int64_t size) {
    samples.clear();
    ends.clear();
    has_outside.clear();
    const T bin = length / static_cast<T>(bins);
    per_bin = ratio > 0 ? static_cast<double>(ratio) : std::max(std::ceil(static_cast<double>(bin)), 0.0);
    const T step = bin / static_cast<T>(per_bin);
    for (int64_t b = 0; b < bins; ++b) {
      const T first = start + static_cast<T>(b) * bin;
      // The samples at first + (i + 1/2) step within [-1, size], and one more on each side for rounding.
      int64_t begin = 0, end = 0;
      if (step > 0) {
        begin = to_integer<int64_t>(std::clamp((-1.0 - first) / step - 1.5, 0.0, per_bin));
        end = to_integer<int64_t>(std::clamp((static_cast<double>(size) - first) / step + 1.5, 0.0, per_bin));
      } else if (std::isfinite(step) && per_bin > 0) {  // all samples in one place, or from right to left
        end = to_integer<int64_t>(std::min(per_bin, 1024.0));
      }
      int64_t taken = 0;
      for (int64_t i = begin; i < end; ++i) {
        const T x = first + (static_cast<T>(i) + T(0.5)) * step;
        if (!(x >= -1 && x <= static_cast<T>(size))) continue;
        const T inside = std::max(x, T(0));
        auto low = static_cast<int64_t>(inside);
        if (low >= size - 1) {
          samples.push_back({size - 1, size - 1, 1, 0});
        } else {
          const T upper = inside - static_cast<T>(low);
          samples.push_back({low, low + 1, 1 - upper, upper});
        }
        ++taken;
      }
      ends.push_back(samples.size());
      has_outside.push_back(static_cast<double>(taken) < per_bin);
    }
  }
};

// One bin of one channel. The largest is of the weighted elements, not of the interpolated values: so the
// ONNX suite has it.
template <class T>
T pool_bin(const T* x, int64_t width, const AxisSamples<T>& rows, const AxisSamples<T>& columns,
           size_t row_bin, size_t column_bin, bool max) {
  const size_t row_begin = row_bin ? rows.ends[row_bin - 1] : 0,
               column_begin = column_bin ? columns.ends[column_bin - 1] : 0;
  const double count = std::max(rows.per_bin * columns.per_bin, 1.0);
  const bool outside = rows.has_outside[row_bin] || columns.has_outside[column_bin];
  T sum = 0, largest = outside ? T(0) : -std::numeric_limits<T>::infinity();
  bool any = outside;
  for (size_t i = row_begin; i < rows.ends[row_bin]; ++i) {
    const Sample<T>& v = rows.samples[i];
    const T *low = x + v.low * width, *high = x + v.high * width;
    for (size_t j = column_begin; j < columns.ends[column_bin]; ++j) {
      const Sample<T>& h = columns.samples[j];
      const T a = v.low_weight * h.low_weight * low[h.low], b = v.low_weight * h.high_weight * low[h.high],
              c = v.high_weight * h.low_weight * high[h.low],
              d = v.high_weight * h.high_weight * high[h.high];
      sum += a + b + c + d;
      largest = std::max({largest, a, b, c, d});
      any = true;
    }
  }
  if (max) return any ? largest : T(0);
  return static_cast<T>(sum / count);
}

template <class T>
void align(const AttributeReader& attributes, const Tensor& x, const Tensor& rois,
           const std::vector<int64_t>& batches, Tensor& out) {
  const bool max = is_max(attributes), half_pixel = is_half_pixel(attributes);
  const int64_t ratio = attributes.i("sampling_ratio"), channels = x.dim(1), height = x.dim(2),
                width = x.dim(3);
  const int64_t rows = out.dim(2), columns = out.dim(3);
  const T scale = static_cast<T>(attributes.f("spatial_scale")), shift = half_pixel ? T(0.5) : T(0);
  parallel_for(out.dim(0), 1, [&](int64_t begin, int64_t end) {
    AxisSamples<T> vertical, horizontal;
    for (int64_t r = begin; r < end; ++r) {
      const T* roi = rois.data<T>() + r * 4;
      const T left = roi[0] * scale - shift, top = roi[1] * scale - shift;
      T roi_width = roi[2] * scale - shift - left, roi_height = roi[3] * scale - shift - top;
      if (!half_pixel) {  // a malformed region becomes one element
        roi_width = std::max(roi_width, T(1));
        roi_height = std::max(roi_height, T(1));
      }
      vertical.place(top, roi_height, rows, ratio, height);
      horizontal.place(left, roi_width, columns, ratio, width);
      for (int64_t c = 0; c < channels; ++c) {
        const T* plane = x.data<T>() + (batches[static_cast<size_t>(r)] * channels + c) * height * width;
        T* y = out.mutable_data<T>() + (r * channels + c) * rows * columns;
        for (int64_t i = 0; i < rows; ++i) {
          for (int64_t j = 0; j < columns; ++j) {
            y[i * columns + j] = pool_bin(plane, width, vertical, horizontal, static_cast<size_t>(i),
                                          static_cast<size_t>(j), max);
          }
        }
      }
    }
  });
}

void evaluate_roi_align(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  // Indices from the end are none of this operator's.
  const auto given = context.input(2).values<int64_t>();
  const std::vector<int64_t> batches(given.begin(), given.end());
  for (const int64_t b : batches)
    require(b >= 0 && b < x.dim(0), ErrorCode::invalid_argument, "batch index {} is out of range for {}", b,
            x.dim(0));
  if (context.output().size() == 0) return;
  require(x.size() > 0, ErrorCode::invalid_argument, "an input of shape {} has nothing to sample",
          to_string(x.dims()));
  compute_widened({&x, &context.input(1)}, context.output(),
                  [&](const std::vector<const Tensor*>& in, Tensor& out) {
                    dispatch<TypeList<float, double>>(out.type(), [&]<class T>(std::type_identity<T>) {
                      align<T>(context.attributes(), *in[0], *in[1], batches, out);
                    });
                  });
}

// ---- MaxRoiPool

std::pair<int64_t, int64_t> pooled_shape(const AttributeReader& attributes) {
  const Dims shape = attributes.ints("pooled_shape");
  require(shape.size() == 2, ErrorCode::invalid_model, "pooled_shape has {} elements, it must have 2",
          shape.size());
  return {shape[0], shape[1]};
}

void infer_max_roi_pool(InferContext& context) {
  const auto [height, width] = pooled_shape(context.attributes());
  infer_pooled(context, 5, height, width, Dim());
}

struct Span {
  int64_t begin, end;
};

// Where the bin lies in the input, of a region from round(low * scale) to round(high * scale), both
// inclusive.
template <class T>
Span bin_span(T low, T high, float scale, int64_t bin, int64_t bins, int64_t size) {
  const double first = std::round(static_cast<double>(low) * scale),
               last = std::round(static_cast<double>(high) * scale);
  const double length = std::max(last - first + 1, 1.0) / static_cast<double>(bins);
  const double most = static_cast<double>(size), b = static_cast<double>(bin);
  const auto bound = [&](double x) { return x > 0 ? static_cast<int64_t>(std::min(x, most)) : int64_t{0}; };
  return {bound(std::floor(b * length) + first), bound(std::ceil((b + 1) * length) + first)};
}

template <class T>
void max_pool(const Tensor& x, const Tensor& rois, float scale, Tensor& out) {
  const int64_t channels = x.dim(1), height = x.dim(2), width = x.dim(3), rows = out.dim(2),
                columns = out.dim(3);
  parallel_for(out.dim(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* roi = rois.data<T>() + r * 5;
      const auto batch = to_integer<int64_t>(roi[0]);
      require(!std::isnan(roi[0]) && batch >= 0 && batch < x.dim(0), ErrorCode::invalid_argument,
              "batch index {} is out of range for {}", batch, x.dim(0));
      for (int64_t i = 0; i < rows; ++i) {
        const Span v = bin_span(roi[2], roi[4], scale, i, rows, height);
        for (int64_t j = 0; j < columns; ++j) {
          const Span h = bin_span(roi[1], roi[3], scale, j, columns, width);
          const bool is_empty = v.begin >= v.end || h.begin >= h.end;
          for (int64_t c = 0; c < channels; ++c) {
            const T* plane = x.data<T>() + (batch * channels + c) * height * width;
            T largest = is_empty ? T(0) : plane[v.begin * width + h.begin];
            for (int64_t k = v.begin; k < v.end; ++k) {
              for (int64_t l = h.begin; l < h.end; ++l) largest = std::max(largest, plane[k * width + l]);
            }
            out.mutable_data<T>()[((r * channels + c) * rows + i) * columns + j] = largest;
          }
        }
      }
    }
  });
}

void evaluate_max_roi_pool(EvaluateContext& context) {
  if (context.output().size() == 0) return;
  compute_widened({&context.input(0), &context.input(1)}, context.output(),
                  [&](const std::vector<const Tensor*>& in, Tensor& out) {
                    dispatch<TypeList<float, double>>(out.type(), [&]<class T>(std::type_identity<T>) {
                      max_pool<T>(*in[0], *in[1], context.attributes().f("spatial_scale"), out);
                    });
                  });
}

}  // namespace

std::vector<OpDef> roi_ops() {
  const std::vector<AttributeDef> first{{"mode", AttributeType::string, std::string_view("avg")},
                                        {"output_height", AttributeType::int_, int64_t{1}},
                                        {"output_width", AttributeType::int_, int64_t{1}},
                                        {"sampling_ratio", AttributeType::int_, int64_t{0}},
                                        {"spatial_scale", AttributeType::float_, 1.0f}};
  const AttributeDef coordinates{"coordinate_transformation_mode", AttributeType::string,
                                 std::string_view("half_pixel")};
  std::vector<AttributeDef> later = first;
  later.push_back(coordinates);
  const OpDef align{.name = "RoiAlign",
                    .min_inputs = 3,
                    .max_inputs = 3,
                    .input_types = {types::kFloat, types::kFloat, types::kInt64},
                    .infer = infer_roi_align,
                    .evaluate = evaluate_roi_align};
  return {for_versions(align, 10, 15, first),
          for_versions(align, 16, kLatestOpset, later),
          {.name = "MaxRoiPool",
           .min_inputs = 2,
           .max_inputs = 2,
           .input_types = {types::kFloat},
           .attributes = {{"pooled_shape", AttributeType::ints, Required{}},
                          {"spatial_scale", AttributeType::float_, 1.0f}},
           .infer = infer_max_roi_pool,
           .evaluate = evaluate_max_roi_pool}};
}

}  // namespace plica
