// HannWindow, HammingWindow, BlackmanWindow and MelWeightMatrix: what spectra are weighted with.
// https://onnx.ai/onnx/operators/onnx__HannWindow.html and its neighbours
#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/scalar_input.h"
#include "engine/ops/signal.h"

namespace plica {
namespace {

DataType output_type(const AttributeReader& attributes) {
  const int64_t number = attributes.i("output_datatype");
  const auto type = data_type_from_onnx(number);
  require(type && types::kNumeric.contains(*type), ErrorCode::invalid_model,
          "output_datatype is {}, which is no numeric type", number);
  return *type;
}

void check_size(int64_t size) { require(size >= 0, ErrorCode::invalid_argument, "the size is {}", size); }

void infer_window(InferContext& context) {
  const Dim size = scalar_input(context, 0, "size");
  if (size.is_known()) check_size(size.value());
  context.set_output(0, output_type(context.attributes()), Shape{size});
}

// a - b cos(2 pi i / n) + c cos(4 pi i / n), n the size, or of a symmetric window one less. A symmetric
// window of one element, for which that has no value, is 1.
struct Cosines {
  double a, b, c;
};
constexpr Cosines kHann{0.5, 0.5, 0}, kHamming{25.0 / 46, 21.0 / 46, 0}, kBlackman{0.42, 0.5, 0.08};

template <const Cosines& kTerms>
void evaluate_window(EvaluateContext& context) {
  const int64_t size = read_scalar(context.input(0), "size");
  check_size(size);
  Tensor& out = context.allocate(0, output_type(context.attributes()), {size});
  const int64_t period = context.attributes().i("periodic") != 0 ? size : size - 1;
  const double step = period > 0 ? 2 * std::numbers::pi / static_cast<double>(period) : 0;
  Tensor wide(DataType::float64, {size});
  double* y = wide.mutable_data<double>();
  for (int64_t i = 0; i < size; ++i) {
    const double angle = static_cast<double>(i) * step;
    y[i] = period > 0 ? kTerms.a - kTerms.b * std::cos(angle) + kTerms.c * std::cos(2 * angle) : 1;
  }
  cast_elements(wide, out);
}

// ---- MelWeightMatrix: [dft_length / 2 + 1, num_mel_bins]

void check_mel(int64_t bins, int64_t length) {
  require(bins >= 0, ErrorCode::invalid_argument, "the number of mel bins is {}", bins);
  require(length >= 0, ErrorCode::invalid_argument, "the length of the transform is {}", length);
}

void infer_mel_weight_matrix(InferContext& context) {
  const Dim bins = scalar_input(context, 0, "number of mel bins"),
            length = scalar_input(context, 1, "length of the transform");
  for (int i = 2; i < 5; ++i) scalar_input(context, i, i == 2 ? "sample rate" : "edge frequency");
  check_mel(bins.is_known() ? bins.value() : 0, length.is_known() ? length.value() : 0);
  context.set_output(0, output_type(context.attributes()),
                     Shape{length.is_known() ? Dim(length.value() / 2 + 1) : Dim(), bins});
}

double mel_of(double hertz) { return 2595 * std::log10(1 + hertz / 700); }
double hertz_of(double mel) { return 700 * (std::pow(10, mel / 2595) - 1); }

double read_frequency(const Tensor& tensor) { return *cast_tensor(tensor, DataType::float64).data<double>(); }

// Bin b is a triangle from edge b over edge b + 1, where it is 1, to edge b + 2. The edges are evenly spaced
// on the mel scale, by (upper - lower) / (bins + 2) (so the ONNX suite has it: the last edge lies below the
// upper one), and rounded down to frequencies of the transform.
void evaluate_mel_weight_matrix(EvaluateContext& context) {
  const int64_t bins = read_scalar(context.input(0), "number of mel bins");
  const int64_t length = read_scalar(context.input(1), "length of the transform");
  const int64_t rate = read_scalar(context.input(2), "sample rate");
  check_mel(bins, length);
  require(rate > 0, ErrorCode::invalid_argument, "the sample rate is {}", rate);
  const double lower = read_frequency(context.input(3)), upper = read_frequency(context.input(4));
  require(lower >= 0 && upper >= lower && std::isfinite(upper), ErrorCode::invalid_argument,
          "the edges are {} and {} Hz", lower, upper);
  const int64_t frequencies = length / 2 + 1;
  Tensor& out = context.allocate(0, output_type(context.attributes()), {frequencies, bins});
  Tensor wide = Tensor::zeros(DataType::float64, out.dims());
  double* y = wide.mutable_data<double>();
  const double first = mel_of(lower),
               step = (mel_of(upper) - first) / static_cast<double>(checked_add<int64_t>(bins, 2));
  const auto edge = [&](int64_t i) {
    const double hertz = hertz_of(first + static_cast<double>(i) * step);
    const auto at = to_integer<int64_t>(
        std::floor((static_cast<double>(length) + 1) * hertz / static_cast<double>(rate)));
    require(at < frequencies, ErrorCode::invalid_argument,
            "a frequency of {} Hz is above half of the sample rate {}", hertz, rate);
    return at;
  };
  for (int64_t b = 0; b < bins; ++b) {
    const int64_t left = edge(b), center = edge(b + 1), right = edge(b + 2);
    for (int64_t k = left; k < center; ++k)
      y[k * bins + b] = static_cast<double>(k - left) / static_cast<double>(center - left);
    y[center * bins + b] = 1;
    for (int64_t k = center + 1; k < right; ++k)
      y[k * bins + b] = static_cast<double>(right - k) / static_cast<double>(right - center);
  }
  cast_elements(wide, out);
}

}  // namespace

std::vector<OpDef> window_ops() {
  const AttributeDef type{"output_datatype", AttributeType::int_, int64_t{1}};
  const OpDef hann{.name = "HannWindow",
                   .since = 17,
                   .input_types = {types::kIndex},
                   .attributes = {type, {"periodic", AttributeType::int_, int64_t{1}}},
                   .infer = infer_window,
                   .evaluate = evaluate_window<kHann>};
  OpDef hamming = hann, blackman = hann;
  hamming.name = "HammingWindow";
  hamming.evaluate = evaluate_window<kHamming>;
  blackman.name = "BlackmanWindow";
  blackman.evaluate = evaluate_window<kBlackman>;
  return {hann,
          hamming,
          blackman,
          {.name = "MelWeightMatrix",
           .since = 17,
           .min_inputs = 5,
           .max_inputs = 5,
           .input_types = {types::kIndex, types::kIndex, types::kIndex, types::kFloat, types::kFloat},
           .attributes = {type},
           .infer = infer_mel_weight_matrix,
           .evaluate = evaluate_mel_weight_matrix}};
}

}  // namespace plica
