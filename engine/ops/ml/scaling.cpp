// Binarizer, Imputer, Normalizer and Scaler: one number out for each number in.
#include <cmath>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/axis_split.h"
#include "engine/ops/cast.h"
#include "engine/ops/ml/ml.h"

namespace plica::ml {
namespace {

using NumberTypes = TypeList<float, double, int64_t, int32_t>;
constexpr int64_t kGrain = 16384;

void infer_same_type(InferContext& context) { context.same_as_input(); }

// ---- Binarizer: y = x > threshold

void evaluate_binarizer(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  const float threshold = context.attributes().f("threshold");
  dispatch<NumberTypes>(x.type(), [&]<class T>(std::type_identity<T>) {
    const T* in = x.data<T>();
    T* out = context.output().mutable_data<T>();
    parallel_for(x.size(), kGrain, [=](int64_t begin, int64_t end) {
      // In double, int32 and float compare exactly.
      for (int64_t i = begin; i < end; ++i) out[i] = static_cast<T>(static_cast<double>(in[i]) > threshold);
    });
  });
}

// ---- Imputer: y = x == replaced ? imputed[feature] : x; a `replaced` of NaN stands for every NaN

// How many features an attribute that has one value, or one a feature, is for; 0 when that is not known.
int64_t length_of_last(const std::optional<Shape>& shape) {
  if (!shape || shape->rank() == 0) return 0;
  const Dim& last = (*shape)[shape->rank() - 1];
  return last.is_known() ? last.value() : 0;
}

void require_length(std::string_view name, size_t length, const std::optional<Shape>& shape) {
  const int64_t features = length_of_last(shape);
  require(length == 1 || features == 0 || static_cast<int64_t>(length) == features, ErrorCode::invalid_model,
          "{} has {} values for {} features, it must have 1 or as many", name, length, features);
}

void infer_imputer(InferContext& context) {
  const AttributeReader& attributes = context.attributes();
  const size_t of_floats = attributes.floats("imputed_value_floats").size(),
               of_ints = attributes.ints("imputed_value_int64s").size();
  if (const DataType type = context.input_type(0); type != DataType::undefined) {
    require((is_integer(type) ? of_ints : of_floats) != 0, ErrorCode::invalid_model,
            "{} is missing for an input of {}",
            is_integer(type) ? "imputed_value_int64s" : "imputed_value_floats", to_string(type));
    require_length("the list of imputed values", is_integer(type) ? of_ints : of_floats,
                   context.input_shape(0));
  }
  context.same_as_input();
}

template <class T, class V>
void impute(const Tensor& x, Tensor& y, const std::vector<V>& imputed, V replaced) {
  const auto values = static_cast<int64_t>(imputed.size());
  const T* in = x.data<T>();
  T* out = y.mutable_data<T>();
  const bool replaces_nan = replaced != replaced;
  parallel_for(x.size(), kGrain, [&](int64_t begin, int64_t end) {
    int64_t feature = begin % values;
    for (int64_t i = begin; i < end; ++i) {
      const bool hit = replaces_nan ? in[i] != in[i] : in[i] == static_cast<T>(replaced);
      out[i] = hit ? static_cast<T>(imputed[static_cast<size_t>(feature)]) : in[i];
      if (++feature == values) feature = 0;
    }
  });
}

struct Imputed {
  std::vector<float> floats;
  std::vector<int64_t> ints;
  float replaced_float;
  int64_t replaced_int;

  explicit Imputed(const AttributeReader& attributes)
      : floats(attributes.floats("imputed_value_floats")),
        ints(attributes.ints("imputed_value_int64s")),
        replaced_float(attributes.f("replaced_value_float")),
        replaced_int(attributes.i("replaced_value_int64")) {}
};

void evaluate_imputer(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  const auto& imputed = context.prepared<Imputed>();
  dispatch<NumberTypes>(x.type(), [&]<class T>(std::type_identity<T>) {
    if constexpr (std::is_integral_v<T>) {
      for (const int64_t v : imputed.ints) {
        require(static_cast<T>(v) == v, ErrorCode::invalid_model, "the imputed value {} does not fit {}", v,
                to_string(x.type()));
      }
      // A value that no element can have.
      if (static_cast<T>(imputed.replaced_int) != imputed.replaced_int) return context.share(0, x);
      impute<T>(x, context.output(), imputed.ints, imputed.replaced_int);
    } else {
      impute<T>(x, context.output(), imputed.floats, imputed.replaced_float);
    }
  });
}

// ---- Normalizer: rows of a batch divided by their maximum, sum of magnitudes, or Euclidean norm

enum class Norm { max, l1, l2 };

Norm norm_of(const AttributeReader& attributes) {
  const std::string name = attributes.s("norm");
  if (name == "MAX") return Norm::max;
  if (name == "L1") return Norm::l1;
  if (name == "L2") return Norm::l2;
  fail(ErrorCode::invalid_model, "norm is {}, it must be MAX, L1 or L2", quoted(name));
}

void infer_normalizer(InferContext& context) {
  norm_of(context.attributes());
  const auto& shape = context.input_shape(0);
  require(!shape || shape->rank() > 0, ErrorCode::invalid_model, "a scalar cannot be normalized");
  context.set_output(0, DataType::float32, shape);
}

void normalize(const float* in, float* out, int64_t length, int64_t stride, Norm norm) {
  float divisor = norm == Norm::max ? std::numeric_limits<float>::lowest() : 0;
  for (int64_t i = 0; i < length; ++i) {
    const float x = in[i * stride];
    divisor = norm == Norm::max ? std::max(divisor, x) : divisor + (norm == Norm::l1 ? std::abs(x) : x * x);
  }
  if (norm == Norm::l2) divisor = std::sqrt(divisor);
  if (divisor == 0) divisor = 1;
  for (int64_t i = 0; i < length; ++i) out[i * stride] = in[i * stride] / divisor;
}

void evaluate_normalizer(EvaluateContext& context) {
  const Norm norm = norm_of(context.attributes());
  const Tensor x = cast_tensor(context.input(0), DataType::float32);
  const AxisSplit split = split_at(x.dims(), x.rank() == 1 ? 0 : 1);
  const float* in = x.data<float>();
  float* out = context.output().mutable_data<float>();
  parallel_for(split.outer, kGrain / std::max<int64_t>(1, split.length * split.inner) + 1,
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin * split.inner; i < end * split.inner; ++i) {
                   const int64_t at = i / split.inner * split.length * split.inner + i % split.inner;
                   normalize(in + at, out + at, split.length, split.inner, norm);
                 }
               });
}

// ---- Scaler: y = (x - offset[feature]) * scale[feature]

void infer_scaler(InferContext& context) {
  for (const std::string_view name : {"offset", "scale"}) {
    const size_t length = context.attributes().floats(name).size();
    require(length != 0, ErrorCode::invalid_model, "{} is missing", name);
    require_length(name, length, context.input_shape(0));
  }
  context.set_output(0, DataType::float32, context.input_shape(0));
}

// As many offsets as scales, of one or more features.
struct Scaling {
  std::vector<float> offset, scale;

  explicit Scaling(const AttributeReader& attributes)
      : offset(attributes.floats("offset")), scale(attributes.floats("scale")) {
    const size_t features = std::max(offset.size(), scale.size());
    if (offset.size() == 1) offset.resize(features, offset[0]);
    if (scale.size() == 1) scale.resize(features, scale[0]);
  }
};

void evaluate_scaler(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  const auto& [offset, scale] = context.prepared<Scaling>();
  const auto period = static_cast<int64_t>(offset.size());
  float* out = context.output().mutable_data<float>();
  dispatch<NumberTypes>(x.type(), [&]<class T>(std::type_identity<T>) {
    using C = std::conditional_t<std::is_same_v<T, double>, double, float>;
    const T* in = x.data<T>();
    parallel_for(x.size(), kGrain, [&, in](int64_t begin, int64_t end) {
      int64_t feature = begin % period;
      for (int64_t i = begin; i < end;) {
        const int64_t run = std::min(end - i, period - feature);
        const float *o = offset.data() + feature, *s = scale.data() + feature;
        for (int64_t j = 0; j < run; ++j)
          out[i + j] = static_cast<float>((static_cast<C>(in[i + j]) - o[j]) * s[j]);
        i += run;
        feature = 0;
      }
    });
  });
}

}  // namespace

std::vector<OpDef> scaling_ops() {
  return {{.name = "Binarizer",
           .input_types = {kNumbers},
           .attributes = {{"threshold", AttributeType::float_, 0.0f}},
           .infer = infer_same_type,
           .evaluate = evaluate_binarizer},
          {.name = "Imputer",
           .input_types = {kNumbers},
           .attributes = {floats("imputed_value_floats"),
                          ints("imputed_value_int64s"),
                          {"replaced_value_float", AttributeType::float_, 0.0f},
                          {"replaced_value_int64", AttributeType::int_, int64_t{0}}},
           .infer = infer_imputer,
           .evaluate = evaluate_imputer,
           .prepare = prepare_as<Imputed>},
          {.name = "Normalizer",
           .input_types = {kNumbers},
           .attributes = {{"norm", AttributeType::string, std::string_view("MAX")}},
           .infer = infer_normalizer,
           .evaluate = evaluate_normalizer},
          {.name = "Scaler",
           .input_types = {kNumbers},
           .attributes = {floats("offset"), floats("scale")},
           .infer = infer_scaler,
           .evaluate = evaluate_scaler,
           .prepare = prepare_as<Scaling>}};
}

}  // namespace plica::ml
