// DFT and STFT: https://onnx.ai/onnx/operators/onnx__DFT.html,
// https://onnx.ai/onnx/operators/onnx__STFT.html. The last axis holds a number's real and imaginary part, or
// the real part alone.
#include <algorithm>
#include <complex>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/axis_split.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/fourier_transform.h"
#include "engine/ops/infer.h"
#include "engine/ops/scalar_input.h"
#include "engine/ops/signal.h"

namespace plica {
namespace {

bool read_flag(const AttributeReader& attributes, std::string_view name) {
  const int64_t value = attributes.i(name);
  require(value == 0 || value == 1, ErrorCode::invalid_model, "attribute '{}' is {}, it must be 0 or 1", name,
          value);
  return value == 1;
}

// Half a spectrum says all of a real signal's.
int64_t half_spectrum(int64_t length) { return length / 2 + 1; }
Dim half_spectrum(const Dim& length) {
  return length.is_known() ? Dim(half_spectrum(length.value())) : Dim();
}

// The last axis of the input: 1 for real numbers, 2 for complex ones.
void check_parts(const Dim& parts) {
  require(!parts.is_known() || parts.value() == 1 || parts.value() == 2, ErrorCode::invalid_model,
          "the last axis has {} elements, it must have 1 (real) or 2 (complex)", to_string(parts));
}

// The transform of a real signal, whose first and middle elements are real: without their rounding errors.
template <class C>
void drop_imaginary(std::vector<std::complex<C>>& spectrum) {
  spectrum[0] = spectrum[0].real();
  if (spectrum.size() % 2 == 0) spectrum[spectrum.size() / 2] = spectrum[spectrum.size() / 2].real();
}

// ---- DFT

bool axis_is_input(const OpDef& def) { return def.since >= 20; }

int signal_axis(int64_t axis, int rank) {
  const int result = normalize_axis(axis, rank);
  require(result != rank - 1, ErrorCode::invalid_model, "axis {} is that of the real and imaginary parts",
          axis);
  return result;
}

void check_length(int64_t length) {
  require(length > 0, ErrorCode::invalid_model, "the length of the transform is {}", length);
}

// The transform's length when it is not given: the axis's, or that of a signal with this half spectrum.
int64_t default_length(int64_t size, bool half_inverse) {
  return half_inverse ? checked_mul<int64_t>(2, size - 1) : size;
}

void infer_dft(InferContext& context) {
  const DataType type = context.input_type(0);
  const bool inverse = read_flag(context.attributes(), "inverse"),
             onesided = read_flag(context.attributes(), "onesided");
  const bool has_length = context.has_input(1);
  const Dim length = has_length ? scalar_input(context, 1, "length of the transform") : Dim();
  if (length.is_known()) check_length(length.value());
  Dim axis;
  if (!axis_is_input(context.def())) {
    axis = context.attributes().i("axis");
  } else if (context.has_input(2)) {
    axis = scalar_input(context, 2, "axis");
  } else {
    axis = -2;
  }
  const auto& in = context.input_shape(0);
  if (!in) return context.set_output(0, type, std::nullopt);
  require(in->rank() >= 2, ErrorCode::invalid_model, "the input is of rank {}, at least 2 is needed",
          in->rank());
  const Dim& parts = (*in)[in->rank() - 1];
  check_parts(parts);
  require(!onesided || !parts.is_known() || (parts.value() == 2) == inverse, ErrorCode::invalid_model,
          "a onesided {} needs {} input", inverse ? "inverse transform" : "transform",
          inverse ? "complex" : "real");
  Shape out = *in;
  out[in->rank() - 1] = onesided && inverse ? 1 : 2;
  if (!axis.is_known()) {
    const bool keeps_sizes = !has_length && !onesided;
    for (int d = 0; d + 1 < out.rank() && !keeps_sizes; ++d) out[d] = Dim();
    return context.set_output(0, type, std::move(out));
  }
  Dim& size = out[signal_axis(axis.value(), in->rank())];
  if (has_length) {
    size = length;
  } else if (size.is_known()) {
    size = default_length(size.value(), onesided && inverse);
    check_length(size.value());
  } else if (onesided && inverse) {
    size = Dim();
  }
  if (onesided && !inverse) size = half_spectrum(size);
  context.set_output(0, type, std::move(out));
}

// One transform after the other: each is gathered, transformed, scattered.
template <class T>
void transform_axis(const Tensor& in, Tensor& out, int axis, int64_t length, bool inverse, bool onesided) {
  using C = ComputeType<T>;
  using Complex = std::complex<C>;
  const AxisSplit from = split_at(in.dims(), axis), to = split_at(out.dims(), axis);
  const int64_t parts = in.dim(-1), out_parts = out.dim(-1), lines = from.inner / parts;
  const bool half_inverse = inverse && onesided;
  // Of a half spectrum, the rest is its mirror image.
  const int64_t wanted = half_inverse ? half_spectrum(length) : length;
  const int64_t taken = std::min(from.length, wanted);
  const FourierTransform<C> transform(length);
  const T* x = in.data<T>();
  T* y = out.mutable_data<T>();
  parallel_for(from.outer * lines, std::max<int64_t>(1, 4096 / length), [&](int64_t begin, int64_t end) {
    typename FourierTransform<C>::Scratch scratch;
    std::vector<Complex> signal(static_cast<size_t>(length));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i / lines, line = i % lines;
      const T* source = x + o * from.length * from.inner + line * parts;
      for (int64_t k = 0; k < taken; ++k, source += from.inner) {
        signal[static_cast<size_t>(k)] = {static_cast<C>(source[0]),
                                          parts == 2 ? static_cast<C>(source[1]) : 0};
      }
      std::fill(signal.begin() + taken, signal.end(), Complex{});
      if (half_inverse) {
        drop_imaginary(signal);
        for (int64_t k = wanted; k < length; ++k)
          signal[static_cast<size_t>(k)] = std::conj(signal[static_cast<size_t>(length - k)]);
      }
      transform.run(signal.data(), inverse, scratch);
      if (parts == 1) drop_imaginary(signal);
      T* target = y + o * to.length * to.inner + line * out_parts;
      for (int64_t k = 0; k < to.length; ++k, target += to.inner) {
        target[0] = static_cast<T>(signal[static_cast<size_t>(k)].real());
        if (out_parts == 2) target[1] = static_cast<T>(signal[static_cast<size_t>(k)].imag());
      }
    }
  });
}

void evaluate_dft(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const bool inverse = context.attributes().i("inverse") != 0,
             onesided = context.attributes().i("onesided") != 0;
  int64_t axis = -2;
  if (!axis_is_input(context.def())) {
    axis = context.attributes().i("axis");
  } else if (const Tensor* given = context.maybe_input(2)) {
    axis = read_scalar(*given, "axis");
  }
  const int at = signal_axis(axis, in.rank());
  const Tensor* given = context.maybe_input(1);
  const int64_t length = given ? read_scalar(*given, "length of the transform")
                               : default_length(in.dim(at), inverse && onesided);
  check_length(length);
  Dims dims = in.dims();
  dims[static_cast<size_t>(at)] = onesided && !inverse ? half_spectrum(length) : length;
  dims.back() = onesided && inverse ? 1 : 2;
  Tensor& out = context.allocate(0, in.type(), std::move(dims));
  if (out.size() == 0) return;
  dispatch<FloatTypes>(in.type(), [&]<class T>(std::type_identity<T>) {
    transform_axis<T>(in, out, at, length, inverse, onesided);
  });
}

// ---- STFT: signal [batch, length, parts] -> [batch, frames, frequencies, 2]. Models in use have real
// signals of [batch, length] too, which ONNX Runtime takes.

void check_stft(int64_t step, int64_t frame, const Dim& window, const Dim& signal) {
  require(step > 0, ErrorCode::invalid_model, "the frame step is {}", step);
  require(frame > 0, ErrorCode::invalid_model, "the frame length is {}", frame);
  require(!window.is_known() || window.value() == frame, ErrorCode::invalid_model,
          "the window has {} elements, a frame {}", to_string(window), frame);
  require(!signal.is_known() || signal.value() >= frame, ErrorCode::invalid_model,
          "the signal has {} elements, a frame {}", to_string(signal), frame);
}

void infer_stft(InferContext& context) {
  const DataType type = context.input_type(0);
  const bool onesided = read_flag(context.attributes(), "onesided");
  const auto& signal = context.input_shape(0);
  require(!signal || signal->rank() == 2 || signal->rank() == 3, ErrorCode::invalid_model,
          "the signal is of rank {}, it must be 2 or 3", signal ? signal->rank() : 0);
  Dim window, size = signal ? (*signal)[1] : Dim();
  if (context.has_input(2)) {
    require(context.input_type(2) == type || type == DataType::undefined, ErrorCode::invalid_model,
            "the signal is of type {}, the window of type {}", to_string(type),
            to_string(context.input_type(2)));
    const auto& shape = context.input_shape(2);
    require(!shape || shape->rank() == 1, ErrorCode::invalid_model, "the window is of rank {}, it must be 1",
            shape ? shape->rank() : 0);
    if (shape) window = (*shape)[0];
  }
  if (signal && signal->rank() == 3) {
    check_parts((*signal)[2]);
    require(!onesided || !(*signal)[2].is_known() || (*signal)[2].value() == 1, ErrorCode::invalid_model,
            "a onesided transform needs a real signal");
  }
  const Dim step = scalar_input(context, 1, "frame step");
  const Dim frame = context.has_input(3)   ? scalar_input(context, 3, "frame length")
                    : context.has_input(2) ? window
                                           : size;
  Dim frames;
  if (step.is_known() && frame.is_known()) {
    check_stft(step.value(), frame.value(), window, size);
    if (size.is_known()) frames = (size.value() - frame.value()) / step.value() + 1;
  }
  context.set_output(
      0, type, Shape{signal ? (*signal)[0] : Dim(), frames, onesided ? half_spectrum(frame) : frame, 2});
}

template <class T>
void transform_frames(const Tensor& signal, const Tensor* window, int64_t step, int64_t length, Tensor& out) {
  using C = ComputeType<T>;
  using Complex = std::complex<C>;
  const int64_t size = signal.dim(1), parts = signal.rank() == 3 ? signal.dim(2) : 1, frames = out.dim(1),
                frequencies = out.dim(2);
  const FourierTransform<C> transform(length);
  std::vector<C> weights(static_cast<size_t>(length), C(1));
  if (window) {
    std::transform(window->data<T>(), window->data<T>() + length, weights.begin(),
                   [](T w) { return static_cast<C>(w); });
  }
  parallel_for(out.dim(0) * frames, std::max<int64_t>(1, 4096 / length), [&](int64_t begin, int64_t end) {
    typename FourierTransform<C>::Scratch scratch;
    std::vector<Complex> frame(static_cast<size_t>(length));
    for (int64_t i = begin; i < end; ++i) {
      const T* x = signal.data<T>() + (i / frames * size + i % frames * step) * parts;
      for (int64_t k = 0; k < length; ++k, x += parts) {
        const Complex value{static_cast<C>(x[0]), parts == 2 ? static_cast<C>(x[1]) : 0};
        frame[static_cast<size_t>(k)] = value * weights[static_cast<size_t>(k)];
      }
      transform.run(frame.data(), false, scratch);
      if (parts == 1) drop_imaginary(frame);
      T* y = out.mutable_data<T>() + i * frequencies * 2;
      for (int64_t k = 0; k < frequencies; ++k) {
        y[2 * k] = static_cast<T>(frame[static_cast<size_t>(k)].real());
        y[2 * k + 1] = static_cast<T>(frame[static_cast<size_t>(k)].imag());
      }
    }
  });
}

void evaluate_stft(EvaluateContext& context) {
  const Tensor &signal = context.input(0), *window = context.maybe_input(2), *given = context.maybe_input(3);
  const int64_t step = read_scalar(context.input(1), "frame step"), size = signal.dim(1);
  const int64_t length = given ? read_scalar(*given, "frame length") : window ? window->dim(0) : size;
  check_stft(step, length, window ? Dim(window->dim(0)) : Dim(), size);
  const bool onesided = context.attributes().i("onesided") != 0;
  Tensor& out = context.allocate(
      0, signal.type(),
      {signal.dim(0), (size - length) / step + 1, onesided ? half_spectrum(length) : length, 2});
  if (out.size() == 0) return;
  dispatch<FloatTypes>(signal.type(), [&]<class T>(std::type_identity<T>) {
    transform_frames<T>(signal, window, step, length, out);
  });
}

}  // namespace

std::vector<OpDef> fourier_ops() {
  const AttributeDef inverse{"inverse", AttributeType::int_, int64_t{0}},
      onesided{"onesided", AttributeType::int_, int64_t{0}};
  OpDef dft{.name = "DFT",
            .max_inputs = 2,
            .input_types = {types::kFloat, types::kIndex, types::kInt64},
            .infer = infer_dft,
            .evaluate = evaluate_dft};
  std::vector<OpDef> ops;
  ops.push_back(for_versions(dft, 17, 19, {{"axis", AttributeType::int_, int64_t{1}}, inverse, onesided}));
  dft.max_inputs = 3;
  ops.push_back(for_versions(dft, 20, kLatestOpset, {inverse, onesided}));
  ops.push_back({.name = "STFT",
                 .since = 17,
                 .min_inputs = 2,
                 .max_inputs = 4,
                 .input_types = {types::kFloat, types::kIndex, types::kFloat, types::kIndex},
                 .attributes = {{"onesided", AttributeType::int_, int64_t{1}}},
                 .infer = infer_stft,
                 .evaluate = evaluate_stft});
  return ops;
}

}  // namespace plica
