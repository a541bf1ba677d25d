#include "engine/ops/conv_geometry.h"

#include <algorithm>
#include <string_view>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/ops/infer.h"

namespace plica {
namespace {

enum class AutoPad { notset, same_upper, same_lower, valid };

AutoPad read_auto_pad(const AttributeReader& attributes) {
  const std::string mode = attributes.s("auto_pad");
  if (mode == "NOTSET" || mode.empty()) return AutoPad::notset;
  if (mode == "SAME_UPPER") return AutoPad::same_upper;
  if (mode == "SAME_LOWER") return AutoPad::same_lower;
  if (mode == "VALID") return AutoPad::valid;
  fail(ErrorCode::invalid_model, "auto_pad is {}, it must be NOTSET, SAME_UPPER, SAME_LOWER or VALID",
       quoted(mode));
}

// The attribute's numbers, `fallback` when absent; as many as expected, each at least `least`.
Dims read_list(const AttributeReader& attributes, std::string_view name, size_t count, int64_t least,
               int64_t fallback) {
  if (!attributes.has(name)) return Dims(count, fallback);
  const Dims values = attributes.ints(name);
  require(values.size() == count, ErrorCode::invalid_model,
          "attribute '{}' has {} values, {} spatial axes need {}", name, values.size(),
          name == "pads" ? count / 2 : count, count);
  for (int64_t v : values) {
    require(v >= least, ErrorCode::invalid_model, "attribute '{}' contains {}, the least is {}", name, v,
            least);
  }
  return values;
}

// What the attributes say for all axes.
struct Window {
  AutoPad auto_pad;
  Dims strides, dilations, pads;

  Window(const AttributeReader& attributes, size_t rank)
      : auto_pad(read_auto_pad(attributes)),
        strides(read_list(attributes, "strides", rank, 1, 1)),
        dilations(read_list(attributes, "dilations", rank, 1, 1)),
        pads(read_list(attributes, "pads", 2 * rank, 0, 0)) {
    // With auto_pad, pads have no say; exporters write zeros then.
    if (auto_pad != AutoPad::notset) std::ranges::fill(pads, 0);
  }
  size_t rank() const { return strides.size(); }
};

// The same for one axis, with the kernel.
struct Axis {
  AutoPad auto_pad;
  int64_t kernel, stride, dilation, begin, end;

  Axis(const Window& window, size_t i, int64_t kernel_size)
      : auto_pad(window.auto_pad),
        kernel(kernel_size),
        stride(window.strides[i]),
        dilation(window.dilations[i]),
        begin(window.pads[i]),
        end(window.pads[window.rank() + i]) {}

  bool is_same() const { return auto_pad == AutoPad::same_upper || auto_pad == AutoPad::same_lower; }
  int64_t extent() const { return checked_add(checked_mul(kernel - 1, dilation), int64_t{1}); }
  int64_t pads() const { return checked_add(begin, end); }
  // Half of it on each side; `at_end` says where an odd one goes.
  void split_padding(int64_t total, bool at_end) {
    begin = at_end ? total / 2 : total - total / 2;
    end = total - begin;
  }
};

// Conv and pools, and the equations are those of https://onnx.ai/onnx/operators/onnx__MaxPool.html:
//   output = floor((input + pads - extent) / stride) + 1, or ceil(...) with ceil_mode;
//   SAME: output = ceil(input / stride), pads = (output - 1) * stride + extent - input
// A window that ceil_mode adds must begin within the input or the padding before it.
int64_t place_windows(Axis& axis, int64_t input, bool ceil_mode) {
  const int64_t extent = axis.extent();
  if (axis.is_same()) {
    const int64_t output = input / axis.stride + (input % axis.stride != 0);
    const int64_t covered = output == 0 ? 0 : checked_add(checked_mul(output - 1, axis.stride), extent);
    axis.split_padding(std::max<int64_t>(checked_sub(covered, input), 0),
                       axis.auto_pad == AutoPad::same_upper);
    return output;
  }
  const int64_t padded = checked_add(input, axis.pads());
  const int64_t room = checked_sub(padded, extent);
  const bool ceil = ceil_mode && axis.auto_pad == AutoPad::notset;
  // The first window may stick out in ceil mode too, by less than a stride.
  require(room >= 0 || (ceil && room > -axis.stride), ErrorCode::invalid_model,
          "the kernel spans {} elements, the padded input has only {}", extent, padded);
  if (!ceil) return room / axis.stride + 1;
  if (room < 0) return 1;
  const int64_t output = room / axis.stride + (room % axis.stride != 0) + 1;
  return checked_mul(output - 1, axis.stride) >= input + axis.begin ? output - 1 : output;
}

// ConvTranspose, with the equations of https://onnx.ai/onnx/operators/onnx__ConvTranspose.html: the full
// result has
//   stride * (input - 1) + output_padding + extent
// elements, of which pads are cut off; or the output is given, and what is too much is the padding. (Opset
// 1's text swaps where an odd one goes; opset 11 corrected it.) What the output has beyond the full result is
// at its end.
int64_t place_transposed(Axis& axis, int64_t input, int64_t output_padding, std::optional<int64_t> output) {
  const int64_t steps = checked_mul(axis.stride, input - 1);
  const int64_t full = checked_add(checked_add(steps, output_padding), axis.extent());
  if (!output && axis.is_same()) output = checked_mul(input, axis.stride);
  if (output) {
    axis.split_padding(std::max<int64_t>(checked_sub(full, *output), 0),
                       axis.auto_pad == AutoPad::same_upper);
    return *output;
  }
  const int64_t rest = checked_sub(full, axis.pads());
  require(rest >= 0, ErrorCode::invalid_model, "pads of {} leave nothing of {} output elements", axis.pads(),
          full);
  return rest;
}

// The kernel by the weight's dims, and kernel_shape when it is there.
std::vector<Dim> merge_kernel(const AttributeReader& attributes, const std::vector<Dim>& kernel,
                              size_t rank) {
  require(kernel.size() == rank, ErrorCode::invalid_model, "the weight has {} spatial axes, the input {}",
          kernel.size(), rank);
  std::vector<Dim> merged = kernel;
  for (size_t i = 0; i < rank; ++i) {
    require(!kernel[i].is_known() || kernel[i].value() >= 1, ErrorCode::invalid_model,
            "the weight has an empty kernel");
  }
  if (!attributes.has("kernel_shape")) return merged;
  const Dims given = read_list(attributes, "kernel_shape", rank, 1, 1);
  for (size_t i = 0; i < rank; ++i) {
    require(!kernel[i].is_known() || kernel[i].value() == given[i], ErrorCode::invalid_model,
            "kernel_shape {} differs from the weight's kernel {}", to_string(given),
            to_string(Shape(kernel)));
    merged[i] = given[i];
  }
  return merged;
}

Dims numbers(const std::vector<Dim>& dims) {
  Dims out;
  for (const Dim& d : dims) out.push_back(d.value());
  return out;
}

std::vector<Dim> dims_of(const Dims& dims) { return {dims.begin(), dims.end()}; }

bool ceil_mode(const AttributeReader& attributes) {
  return attributes.has("ceil_mode") && attributes.i("ceil_mode") != 0;
}

struct TransposeSizes {
  Dims output_padding;
  std::optional<Dims> output_shape;

  TransposeSizes(const AttributeReader& attributes, const Window& window)
      : output_padding(read_list(attributes, "output_padding", window.rank(), 0, 0)) {
    for (size_t i = 0; i < window.rank(); ++i) {
      require(output_padding[i] < std::max(window.strides[i], window.dilations[i]), ErrorCode::invalid_model,
              "output_padding {} must be less than the stride {} or the dilation {}", output_padding[i],
              window.strides[i], window.dilations[i]);
    }
    if (!attributes.has("output_shape")) return;
    Dims shape = attributes.ints("output_shape");
    if (shape.empty()) return;
    // Some exporters give it with batch and channels.
    if (shape.size() == window.rank() + 2) shape.erase(shape.begin(), shape.begin() + 2);
    require(shape.size() == window.rank(), ErrorCode::invalid_model,
            "attribute 'output_shape' has {} values, {} spatial axes need {}", shape.size(), window.rank(),
            window.rank());
    for (int64_t v : shape)
      require(v >= 0, ErrorCode::invalid_model, "attribute 'output_shape' contains {}", v);
    output_shape = std::move(shape);
  }
  std::optional<int64_t> output(size_t i) const {
    return output_shape ? std::optional((*output_shape)[i]) : std::nullopt;
  }
};

template <class Place>
WindowGeometry make_geometry(const Window& window, const Dims& spatial, Dims kernel, const Place& place) {
  WindowGeometry g;
  for (size_t i = 0; i < window.rank(); ++i) {
    Axis axis(window, i, kernel[i]);
    g.output.push_back(place(axis, i, spatial[i]));
    g.pads_begin.push_back(axis.begin);
    g.pads_end.push_back(axis.end);
  }
  g.kernel = std::move(kernel);
  g.strides = window.strides;
  g.dilations = window.dilations;
  return g;
}

WindowGeometry windows_geometry(const AttributeReader& attributes, const Window& window, const Dims& spatial,
                                Dims kernel) {
  const bool ceil = ceil_mode(attributes);
  return make_geometry(window, spatial, std::move(kernel),
                       [&](Axis& axis, size_t, int64_t input) { return place_windows(axis, input, ceil); });
}

// Conv and pools with partly known dims.
std::vector<Dim> windows_output(const AttributeReader& attributes, const Window& window,
                                const std::vector<Dim>& spatial, const std::vector<Dim>& kernel) {
  const bool ceil = ceil_mode(attributes);
  std::vector<Dim> out(spatial.size());
  for (size_t i = 0; i < spatial.size(); ++i) {
    if (!kernel[i].is_known()) {
      Axis axis(window, i, 1);
      if (axis.is_same() && axis.stride == 1)
        out[i] = spatial[i];
      else if (axis.is_same() && spatial[i].is_known())
        out[i] = place_windows(axis, spatial[i].value(), ceil);
      continue;
    }
    Axis axis(window, i, kernel[i].value());
    const bool unchanged = axis.stride == 1 && (axis.is_same() || axis.pads() == axis.extent() - 1);
    if (spatial[i].is_known())
      out[i] = place_windows(axis, spatial[i].value(), ceil);
    else if (unchanged)
      out[i] = spatial[i];
  }
  return out;
}

}  // namespace

WindowGeometry conv_geometry(const AttributeReader& attributes, const Dims& spatial, const Dims& kernel) {
  const Window window(attributes, spatial.size());
  return windows_geometry(attributes, window, spatial,
                          numbers(merge_kernel(attributes, dims_of(kernel), spatial.size())));
}

WindowGeometry conv_transpose_geometry(const AttributeReader& attributes, const Dims& spatial,
                                       const Dims& kernel) {
  const Window window(attributes, spatial.size());
  const TransposeSizes sizes(attributes, window);
  return make_geometry(window, spatial, numbers(merge_kernel(attributes, dims_of(kernel), spatial.size())),
                       [&](Axis& axis, size_t i, int64_t input) {
                         return place_transposed(axis, input, sizes.output_padding[i], sizes.output(i));
                       });
}

WindowGeometry pool_geometry(const AttributeReader& attributes, const Dims& spatial) {
  const Window window(attributes, spatial.size());
  require(attributes.has("kernel_shape"), ErrorCode::invalid_model, "attribute 'kernel_shape' is missing");
  return windows_geometry(attributes, window, spatial,
                          read_list(attributes, "kernel_shape", spatial.size(), 1, 1));
}

std::vector<Dim> conv_output_dims(const AttributeReader& attributes, const std::vector<Dim>& spatial,
                                  const std::vector<Dim>& kernel) {
  const Window window(attributes, spatial.size());
  return windows_output(attributes, window, spatial, merge_kernel(attributes, kernel, spatial.size()));
}

std::vector<Dim> conv_transpose_output_dims(const AttributeReader& attributes,
                                            const std::vector<Dim>& spatial, const std::vector<Dim>& kernel) {
  const Window window(attributes, spatial.size());
  const TransposeSizes sizes(attributes, window);
  const std::vector<Dim> merged = merge_kernel(attributes, kernel, spatial.size());
  std::vector<Dim> out(spatial.size());
  for (size_t i = 0; i < spatial.size(); ++i) {
    if (const auto given = sizes.output(i)) {
      out[i] = *given;
    } else if (window.auto_pad == AutoPad::same_upper || window.auto_pad == AutoPad::same_lower) {
      out[i] = multiply(spatial[i], window.strides[i]);
    } else if (merged[i].is_known()) {
      Axis axis(window, i, merged[i].value());
      if (spatial[i].is_known()) {
        out[i] = place_transposed(axis, spatial[i].value(), sizes.output_padding[i], std::nullopt);
      } else if (axis.stride == 1 && axis.pads() == checked_add(axis.extent() - 1, sizes.output_padding[i])) {
        out[i] = spatial[i];
      }
    }
  }
  return out;
}

std::vector<Dim> pool_output_dims(const AttributeReader& attributes, const std::vector<Dim>& spatial) {
  const Window window(attributes, spatial.size());
  require(attributes.has("kernel_shape"), ErrorCode::invalid_model, "attribute 'kernel_shape' is missing");
  const Dims kernel = read_list(attributes, "kernel_shape", spatial.size(), 1, 1);
  return windows_output(attributes, window, spatial, dims_of(kernel));
}

}  // namespace plica
