// RandomNormal, RandomUniform, their Like forms, Bernoulli and Multinomial:
// https://onnx.ai/onnx/operators/onnx__RandomNormal.html and its neighbours.
//
// Outputs are made of the blocks of a Philox stream (philox.h) in turn: two doubles, or four numbers of any
// other type, to a block. Its key is the seed's bits, or without a seed drawn anew for each run. So a seed
// gives the same tensor whatever the number of threads.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <numbers>
#include <random>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/philox.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

constexpr int64_t kGrain = 4096;

Philox generator(const AttributeReader& attributes) {
  if (const auto seed = attributes.maybe_f("seed")) return Philox(std::bit_cast<uint32_t>(*seed));
  static const uint64_t start = [] {
    std::random_device device;
    return static_cast<uint64_t>(device()) << 32 | device();
  }();
  static std::atomic<uint64_t> runs = 0;
  // An odd multiplier reaches every key.
  return Philox(start + runs.fetch_add(1, std::memory_order_relaxed) * 0x9E3779B97F4A7C15u);
}

// The attribute dtype; without it, `fallback`.
DataType output_type(const AttributeReader& attributes, DataType fallback, TypeSet allowed) {
  DataType type = fallback;
  if (const auto number = attributes.maybe_i("dtype")) {
    const auto given = data_type_from_onnx(*number);
    require(given && allowed.contains(*given), ErrorCode::invalid_model,
            "dtype is {}, which the operator does not give", *number);
    return *given;
  }
  require(type == DataType::undefined || allowed.contains(type), ErrorCode::invalid_model,
          "the output would be of type {}, which the operator does not give", to_string(type));
  return type;
}

// ---- RandomNormal, RandomUniform: by the attributes shape and dtype, or like an input

void infer_random(InferContext& context) {
  if (context.def().min_inputs == 0) {
    const Dims dims = context.attributes().ints("shape");
    checked_elements(dims);
    return context.set_output(0, output_type(context.attributes(), DataType::float32, types::kFloat),
                              Shape(dims));
  }
  context.set_output(0, output_type(context.attributes(), context.input_type(0), types::kFloat),
                     context.input_shape(0));
}

// draw(block, values) makes the numbers of one block: 4 floats or 2 doubles.
template <class Draw>
void fill(Tensor& out, const Philox& random, const Draw& draw) {
  dispatch<FloatTypes>(out.type(), [&]<class T>(std::type_identity<T>) {
    using C = ComputeType<T>;
    constexpr int64_t kNumbers = 16 / sizeof(C);
    T* y = out.mutable_data<T>();
    parallel_for((out.size() + kNumbers - 1) / kNumbers, kGrain / kNumbers, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        std::array<C, kNumbers> values;
        draw(random.block(static_cast<uint64_t>(b)), values);
        const int64_t first = b * kNumbers, count = std::min(kNumbers, out.size() - first);
        for (int64_t i = 0; i < count; ++i) y[first + i] = static_cast<T>(values[static_cast<size_t>(i)]);
      }
    });
  });
}

// The uniform numbers in [0, 1) of a block.
void to_uniform(const Philox::Block& block, std::array<float, 4>& values) {
  for (size_t i = 0; i < 4; ++i) values[i] = Philox::to_uniform(block[i]);
}
void to_uniform(const Philox::Block& block, std::array<double, 2>& values) {
  for (size_t i = 0; i < 2; ++i) values[i] = Philox::to_uniform(block[2 * i], block[2 * i + 1]);
}

// low + (high - low) u
void evaluate_uniform(EvaluateContext& context) {
  const double low = context.attributes().f("low"), high = context.attributes().f("high");
  fill(context.output(), generator(context.attributes()), [=](const Philox::Block& block, auto& values) {
    to_uniform(block, values);
    for (auto& v : values) v = static_cast<std::decay_t<decltype(v)>>(low + (high - low) * v);
  });
}

// mean + scale r cos(a) and mean + scale r sin(a) with r = sqrt(-2 ln(1 - u)), a = 2 pi v: G. Box and M.
// Muller, "A Note on the Generation of Random Normal Deviates" (1958). u < 1, so the logarithm is finite.
void evaluate_normal(EvaluateContext& context) {
  const double mean = context.attributes().f("mean"), scale = context.attributes().f("scale");
  fill(context.output(), generator(context.attributes()), [=](const Philox::Block& block, auto& values) {
    using C = typename std::decay_t<decltype(values)>::value_type;
    to_uniform(block, values);
    for (size_t i = 0; i < values.size(); i += 2) {
      const C radius = std::sqrt(-2 * std::log1p(-values[i])),
              angle = 2 * std::numbers::pi_v<C> * values[i + 1];
      values[i] = static_cast<C>(mean + scale * (radius * std::cos(angle)));
      values[i + 1] = static_cast<C>(mean + scale * (radius * std::sin(angle)));
    }
  });
}

// The i-th number of a stream of doubles.
double uniform(const Philox& random, int64_t i) {
  std::array<double, 2> values;
  to_uniform(random.block(static_cast<uint64_t>(i / 2)), values);
  return values[static_cast<size_t>(i % 2)];
}

// ---- Bernoulli: 1 with the probability that the input says, else 0

constexpr TypeSet kBernoulliTypes = types::kNumeric | types::kBool;

void infer_bernoulli(InferContext& context) {
  context.set_output(0, output_type(context.attributes(), context.input_type(0), kBernoulliTypes),
                     context.input_shape(0));
}

void evaluate_bernoulli(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  Tensor& out = context.output();
  const Philox random = generator(context.attributes());
  dispatch<FloatTypes>(in.type(), [&]<class P>(std::type_identity<P>) {
    const P* probability = in.data<P>();
    const auto draw = [&]<class T>(std::type_identity<T>) {
      T* y = out.mutable_data<T>();
      parallel_for(out.size(), kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const double p = static_cast<double>(static_cast<ComputeType<P>>(probability[i]));
          require(p >= 0 && p <= 1, ErrorCode::invalid_argument, "a probability is {}, it must be in [0, 1]",
                  p);
          y[i] = static_cast<T>(uniform(random, i) < p ? 1.0f : 0.0f);
        }
      });
    };
    dispatch<NumericAndBoolTypes>(out.type(), draw);
  });
}

// ---- Multinomial: [batch, classes] unnormalized log-probabilities -> [batch, samples] classes

void infer_multinomial(InferContext& context) {
  const int64_t samples = context.attributes().i("sample_size");
  require(samples >= 0, ErrorCode::invalid_model, "sample_size is {}", samples);
  const auto& in = context.input_shape(0);
  require(!in || in->rank() == 2, ErrorCode::invalid_model, "the input is of rank {}, it must be 2",
          in ? in->rank() : 0);
  context.set_output(0, output_type(context.attributes(), DataType::int32, types::kIndex),
                     Shape{in ? (*in)[0] : Dim(), samples});
}

// Where a number falls among the running sums of exp(x - max).
void evaluate_multinomial(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  Tensor& out = context.output();
  const int64_t classes = in.dim(1), samples = out.dim(1);
  if (out.size() == 0) return;
  require(classes > 0, ErrorCode::invalid_argument, "there is no class to draw");
  const Philox random = generator(context.attributes());
  std::vector<double> sums(static_cast<size_t>(classes));
  dispatch<FloatTypes>(in.type(), [&]<class P>(std::type_identity<P>) {
    const auto draw = [&]<class T>(std::type_identity<T>) {
      for (int64_t n = 0; n < in.dim(0); ++n) {
        const P* x = in.data<P>() + n * classes;
        const auto value = [&](int64_t c) { return static_cast<double>(static_cast<ComputeType<P>>(x[c])); };
        double largest = value(0), sum = 0;
        for (int64_t c = 0; c < classes; ++c) {
          require(!std::isnan(value(c)), ErrorCode::invalid_argument, "a log-probability is NaN");
          largest = std::max(largest, value(c));
        }
        require(std::isfinite(largest), ErrorCode::invalid_argument, "the largest log-probability is {}",
                largest);
        for (int64_t c = 0; c < classes; ++c) {
          sum += std::exp(value(c) - largest);
          sums[static_cast<size_t>(c)] = sum;
        }
        // Where the sums end: rounding may make a number the last sum, and the classes after it are
        // impossible.
        const auto last = std::ranges::lower_bound(sums, sum);
        T* y = out.mutable_data<T>() + n * samples;
        parallel_for(samples, kGrain / 4, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const double at = uniform(random, n * samples + i) * sum;
            const auto found = std::ranges::upper_bound(sums, at);
            y[i] = static_cast<T>(std::min(found, last) - sums.begin());
          }
        });
      }
    };
    dispatch<TypeList<int32_t, int64_t>>(out.type(), draw);
  });
}

}  // namespace

std::span<const OpDef> random_ops() {
  static const std::vector<OpDef> ops = [] {
    const AttributeDef seed{"seed", AttributeType::float_, Optional{}},
        dtype{"dtype", AttributeType::int_, Optional{}}, shape{"shape", AttributeType::ints, Required{}};
    const auto number = [](std::string_view name, float value) {
      return AttributeDef{name, AttributeType::float_, value};
    };
    const std::vector<AttributeDef> normal{dtype, seed, number("mean", 0), number("scale", 1)};
    const std::vector<AttributeDef> uniform{dtype, seed, number("high", 1), number("low", 0)};
    std::vector<OpDef> all;
    for (const bool is_normal : {true, false}) {
      OpDef def{.name = is_normal ? "RandomNormalLike" : "RandomUniformLike",
                .input_types = {types::kAll},
                .attributes = is_normal ? normal : uniform,
                .infer = infer_random,
                .evaluate = is_normal ? evaluate_normal : evaluate_uniform,
                .deterministic = false};
      all.push_back(def);
      def.name = is_normal ? "RandomNormal" : "RandomUniform";
      def.min_inputs = def.max_inputs = 0;
      def.input_types = {};
      def.attributes.push_back(shape);
      all.push_back(std::move(def));
    }
    all.push_back({.name = "Bernoulli",
                   .since = 15,
                   .input_types = {types::kFloat},
                   .attributes = {dtype, seed},
                   .infer = infer_bernoulli,
                   .evaluate = evaluate_bernoulli,
                   .deterministic = false});
    all.push_back({.name = "Multinomial",
                   .since = 7,
                   .input_types = {types::kFloat},
                   .attributes = {dtype, seed, {"sample_size", AttributeType::int_, int64_t{1}}},
                   .infer = infer_multinomial,
                   .evaluate = evaluate_multinomial,
                   .deterministic = false});
    return all;
  }();
  return ops;
}

}  // namespace plica
