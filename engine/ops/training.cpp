// The optimizers of the domain ai.onnx.preview.training: Adagrad, Adam, Momentum.
// https://onnx.ai/onnx/operators/index.html#ai-onnx-preview-training
//
// Inputs are the learning rate R, the count of updates T, and then groups of tensors, one tensor of each
// group for each parameter X that is updated: all X, all gradients G, all states. Outputs are the new X and
// the new states alike.
#include <cmath>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

constexpr int kFirst = 2;  // R and T come before the groups
constexpr int64_t kGrain = 16384;
using TrainingTypes = TypeList<float, double>;

// X, G, and the states.
int groups_of(const OpDef& def) { return def.name == "Adam" ? 4 : 3; }

void infer_optimizer(InferContext& context) {
  const int groups = groups_of(context.def()), tensors = context.num_inputs() - kFirst,
            count = tensors / groups;
  require(tensors % groups == 0, ErrorCode::invalid_model,
          "{} tensors after R and T, they must come in groups of {}", tensors, groups);
  require(context.num_outputs() == count * (groups - 1), ErrorCode::invalid_model,
          "{} outputs for {} tensors", context.num_outputs(), count);
  for (int i = 0; i < kFirst; ++i) {
    const auto dims = context.input_shape(i) ? context.input_shape(i)->known() : std::nullopt;
    require(!dims || dims->empty() || *dims == Dims{1}, ErrorCode::invalid_model,
            "{} has shape {}, it must be a scalar", i == 0 ? "R" : "T", dims ? to_string(*dims) : "");
  }
  if (context.attributes().defines("mode")) {
    const std::string mode = context.attributes().s("mode");
    require(mode == "standard" || mode == "nesterov", ErrorCode::invalid_model,
            "mode is {}, it must be standard or nesterov", quoted(mode));
  }
  for (int i = 0; i < count; ++i) {
    Type type = context.input(kFirst + i).type;
    for (int g = 1; g < groups; ++g) {
      const Type& other = context.input(kFirst + g * count + i).type;
      require(type.element == DataType::undefined || other.element == DataType::undefined ||
                  type.element == other.element,
              ErrorCode::invalid_model, "tensor {} is of {}, its gradient or state of {}", i,
              to_string(type.element), to_string(other.element));
      if (!type.shape || !other.shape) continue;
      require(type.shape->rank() == other.shape->rank(), ErrorCode::invalid_model,
              "tensor {} has shape {}, its gradient or state {}", i, to_string(*type.shape),
              to_string(*other.shape));
      for (int d = 0; d < type.shape->rank(); ++d)
        (*type.shape)[d] = merge((*type.shape)[d], (*other.shape)[d]);
    }
    for (int g = 0; g + 1 < groups; ++g) context.set_output(g * count + i, type);
  }
}

// Calls update(i, inputs, outputs) for every element i of every parameter: inputs are X, G and the states,
// outputs the new X and states, as pointers to elements of T.
template <class T, class Update>
void update_all(EvaluateContext& context, const Update& update) {
  const int groups = groups_of(context.def()), count = (context.num_inputs() - kFirst) / groups;
  for (int p = 0; p < count; ++p) {
    const T* in[4] = {};
    T* out[3] = {};
    std::vector<Tensor> unused;
    unused.reserve(3);
    const Dims& dims = context.input(kFirst + p).dims();
    for (int g = 0; g < groups; ++g) in[g] = context.input(kFirst + g * count + p).data<T>();
    for (int g = 0; g + 1 < groups; ++g) {
      const int o = g * count + p;
      Tensor& to = context.has_output(o) ? context.allocate(o, data_type_of<T>, dims)
                                         : unused.emplace_back(data_type_of<T>, dims);
      out[g] = to.mutable_data<T>();
    }
    parallel_for(context.input(kFirst + p).size(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) update(i, in, out);
    });
  }
}

// Calls f(T(), R, T's count) with the element type of the parameters.
template <class F>
void with_rate(EvaluateContext& context, F&& f) {
  const auto updates = static_cast<double>(context.input(1).data<int64_t>()[0]);
  const Tensor& rate = context.input(0);
  const double r =
      rate.type() == DataType::float64 ? rate.data<double>()[0] : static_cast<double>(rate.data<float>()[0]);
  dispatch<TrainingTypes>(context.input(kFirst).type(),
                          [&]<class T>(std::type_identity<T>) { f(T{}, r, updates); });
}

// r = R / (1 + T decay);  g = norm X + G;  H' = H + g^2;  X' = X - r g / (sqrt(H') + epsilon)
void evaluate_adagrad(EvaluateContext& context) {
  const AttributeReader& a = context.attributes();
  with_rate(context, [&]<class T>(T, double rate, double updates) {
    const T r = static_cast<T>(rate / (1 + updates * a.f("decay_factor"))), norm = a.f("norm_coefficient"),
            epsilon = a.f("epsilon");
    update_all<T>(context, [=](int64_t i, const T* const* in, T* const* out) {
      const T x = in[0][i], g = norm * x + in[1][i], h = in[2][i] + g * g;
      out[0][i] = x - r * g / (std::sqrt(h) + epsilon);
      out[1][i] = h;
    });
  });
}

// g = norm X + G;  V' = alpha V + (1 - alpha) g;  H' = beta H + (1 - beta) g^2
// r = R sqrt(1 - beta^T) / (1 - alpha^T), R where T is 0;  X' = (1 - norm_post) (X - r V' / (sqrt(H') +
// epsilon))
void evaluate_adam(EvaluateContext& context) {
  const AttributeReader& a = context.attributes();
  with_rate(context, [&]<class T>(T, double rate, double updates) {
    const T alpha = a.f("alpha"), beta = a.f("beta"), norm = a.f("norm_coefficient"),
            epsilon = a.f("epsilon"), kept = 1 - static_cast<T>(a.f("norm_coefficient_post"));
    const double correction = updates > 0
                                  ? std::sqrt(1 - std::pow(static_cast<double>(a.f("beta")), updates)) /
                                        (1 - std::pow(static_cast<double>(a.f("alpha")), updates))
                                  : 1;
    const T r = static_cast<T>(rate * correction);
    update_all<T>(context, [=](int64_t i, const T* const* in, T* const* out) {
      const T x = in[0][i], g = norm * x + in[1][i];
      const T v = alpha * in[2][i] + (1 - alpha) * g, h = beta * in[3][i] + (1 - beta) * g * g;
      out[0][i] = kept * (x - r * v / (std::sqrt(h) + epsilon));
      out[1][i] = v;
      out[2][i] = h;
    });
  });
}

// g = norm X + G;  V' = alpha V + beta g, beta being 1 where T is 0
// X' = X - R V', or in Nesterov's way X - R (g + alpha V')
void evaluate_momentum(EvaluateContext& context) {
  const AttributeReader& a = context.attributes();
  const bool nesterov = a.s("mode") == "nesterov";
  with_rate(context, [&]<class T>(T, double rate, double updates) {
    const T r = static_cast<T>(rate), alpha = a.f("alpha"), beta = updates > 0 ? a.f("beta") : 1,
            norm = a.f("norm_coefficient");
    update_all<T>(context, [=](int64_t i, const T* const* in, T* const* out) {
      const T x = in[0][i], g = norm * x + in[1][i], v = alpha * in[2][i] + beta * g;
      out[0][i] = x - r * (nesterov ? g + alpha * v : v);
      out[1][i] = v;
    });
  });
}

std::vector<OpDef> make_table() {
  constexpr TypeSet kFloats = {DataType::float32, DataType::float64};
  const auto number = [](std::string_view name, float value) {
    return AttributeDef{name, AttributeType::float_, value};
  };
  const auto required = [](std::string_view name, AttributeType type) {
    return AttributeDef{name, type, Required{}};
  };
  const OpDef optimizer{.domain = "ai.onnx.preview.training",
                        .min_inputs = 5,
                        .max_inputs = kUnlimited,
                        .max_outputs = kUnlimited,
                        .input_types = {kFloats, types::kInt64, kFloats},
                        .infer = infer_optimizer};
  OpDef adagrad = optimizer, adam = optimizer, momentum = optimizer;
  adagrad.name = "Adagrad";
  adagrad.evaluate = evaluate_adagrad;
  adagrad.attributes = {number("decay_factor", 0), number("epsilon", 1e-6f), number("norm_coefficient", 0)};
  adam.name = "Adam";
  adam.min_inputs = 6;
  adam.evaluate = evaluate_adam;
  adam.attributes = {number("alpha", 0.9f), number("beta", 0.999f), number("epsilon", 1e-6f),
                     number("norm_coefficient", 0), number("norm_coefficient_post", 0)};
  momentum.name = "Momentum";
  momentum.evaluate = evaluate_momentum;
  momentum.attributes = {required("alpha", AttributeType::float_), required("beta", AttributeType::float_),
                         required("mode", AttributeType::string),
                         required("norm_coefficient", AttributeType::float_)};
  return {adagrad, adam, momentum};
}

}  // namespace

std::span<const OpDef> training_ops() {
  static const std::vector<OpDef> ops = make_table();
  return ops;
}

}  // namespace plica
