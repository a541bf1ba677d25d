// Pairs for docs/performance.md, "Where oneDNN's primitive is not used": an operator as the runtime runs it,
// its own overhead included, and oneDNN's primitive for it on the same row-major tensors:
//   bench_kernels --benchmark_filter=pair
// One thread.
#include <functional>

#include "engine/core/parallel.h"
#include "net.h"
#include "runtime/kernels/primitive_kernel.h"
#include "runtime/onednn/describe.h"

namespace plica {
namespace {

using dnnl::algorithm;
using onednn::Desc;
using onednn::describe_primitive;
using onednn::kInference;
using onednn::Primitive;
using onednn::row_major;

// Where oneDNN 3 asks for a source and a destination, 2 for one.
#if DNNL_VERSION_MAJOR >= 3
#define SOURCE_AND_DESTINATION(desc) desc, desc
#define SOURCE_WEIGHTS_DESTINATION(desc, other) desc, other, desc
#else
#define SOURCE_AND_DESTINATION(desc) desc
#define SOURCE_WEIGHTS_DESTINATION(desc, other) desc, other
#endif

struct Operand {
  int number;
  Desc desc;
};

void run_primitive(benchmark::State& state, std::optional<Primitive> primitive,
                   const std::vector<Operand>& operands) {
  if (!primitive) return state.SkipWithError("oneDNN has none");
  state.SetLabel(primitive->implementation);
  std::vector<PrimitiveKernel::Operand> described;
  std::vector<Tensor> tensors;
  std::vector<void*> memory;
  for (const Operand& o : operands) {
    described.push_back({o.number, o.desc, nullptr});
    tensors.push_back(random(onednn::dims_of(o.desc)));
    for (float& v : tensors.back().mutable_values<float>()) v += 2;  // a variance is positive
  }
  for (Tensor& t : tensors) memory.push_back(t.mutable_raw());
  const PrimitiveKernel kernel(*std::move(primitive), std::move(described));
  const auto binding = kernel.bind();
  Tensor scratch(DataType::uint8, {static_cast<int64_t>(kernel.scratch_bytes()) + 1});
  dnnl::stream stream(onednn::cpu_engine());
  Arguments arguments{.memory = memory, .scratch = scratch.mutable_raw(), .stream = stream.get()};
  arguments.binding = binding.get();
  for (auto _ : state) kernel.run(arguments);
}

template <class Op, class... Args>
std::optional<Primitive> make(Args&&... args) {
  const dnnl::primitive_attr attributes = onednn::PostOps().attributes();
  auto pd = onednn::attempt([&] { return describe_primitive<Op>(attributes, args...); });
  return pd ? std::optional(onednn::finish(*pd)) : std::nullopt;
}

const Dims kText = {8, 128, 768}, kImage = {1, 64, 112, 112}, kSmall = {1, 64, 56, 56},
           kLarge = {1, 64, 112, 112};
const Desc kText3 = row_major(kText), kImage4 = row_major(kImage), kRow = row_major({768});

using Benchmark = std::function<void(benchmark::State&)>;

Attributes with(std::vector<std::pair<std::string, AttributeValue>> values) {
  Attributes a;
  for (auto& [name, value] : values) a.set(name, std::move(value));
  return a;
}

// One node on x and constants of these dims.
Benchmark own(const char* op, const Dims& x, const std::vector<Dims>& constants,
              const Attributes& attributes = {}) {
  return [=](benchmark::State& state) {
    Net net(x);
    std::vector<Value*> inputs = {net.x()};
    for (const Dims& dims : constants) {
      Tensor t = random(dims);
      for (float& v : t.mutable_values<float>()) v += 2;
      inputs.push_back(net.model->graph.add_initializer(net.model->graph.fresh_name("c"), std::move(t)));
    }
    net.run(state, net.node(op, inputs, attributes));
  };
}

Benchmark own_reduction(const char* op, const Dims& x, const std::vector<int64_t>& axes) {
  return own(op, x, {}, with({{"axes", axes}, {"keepdims", int64_t{1}}}));
}

void own_resize(benchmark::State& state, const char* mode) {
  Net net(kSmall);
  Graph& g = net.model->graph;
  Value* scales = g.add_initializer("scales", Tensor::of(std::vector<float>{1, 1, 2, 2}, {4}));
  net.run(state, net.node("Resize", {net.x(), nullptr, scales}, with({{"mode", std::string(mode)}})));
}

Benchmark unary(algorithm f, float alpha = 0, float beta = 0) {
  return [=](benchmark::State& s) {
    run_primitive(s, onednn::eltwise(kText3, f, alpha, beta),
                  {{DNNL_ARG_SRC, kText3}, {DNNL_ARG_DST, kText3}});
  };
}
Benchmark binary(const Desc& a, const Desc& b) {
  return [=](benchmark::State& s) {
    run_primitive(s, make<dnnl::binary>(algorithm::binary_add, a, b, a),
                  {{DNNL_ARG_SRC_0, a}, {DNNL_ARG_SRC_1, b}, {DNNL_ARG_DST, a}});
  };
}
Benchmark reduction(const Desc& x, const Desc& y, algorithm f) {
  return [=](benchmark::State& s) {
    run_primitive(s, make<dnnl::reduction>(f, x, y, 0.f, 0.f), {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}});
  };
}
Benchmark resampling(algorithm f) {
  return [=](benchmark::State& s) {
    const Desc x = row_major(kSmall), y = row_major(kLarge);
    run_primitive(s, make<dnnl::resampling_forward>(kInference, f, x, y),
                  {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}});
  };
}

void layer_norm(benchmark::State& s) {
  using Flags = dnnl::normalization_flags;
  auto p = make<dnnl::layer_normalization_forward>(kInference, SOURCE_AND_DESTINATION(kText3), 1e-5f,
                                                   Flags::use_scale | Flags::use_shift);
  run_primitive(
      s, std::move(p),
      {{DNNL_ARG_SRC, kText3}, {DNNL_ARG_SCALE, kRow}, {DNNL_ARG_SHIFT, kRow}, {DNNL_ARG_DST, kText3}});
}

void batch_norm(benchmark::State& s) {
  using Flags = dnnl::normalization_flags;
  auto p =
      make<dnnl::batch_normalization_forward>(kInference, SOURCE_AND_DESTINATION(kImage4), 1e-5f,
                                              Flags::use_global_stats | Flags::use_scale | Flags::use_shift);
  const Desc channels = row_major({64});
  run_primitive(s, std::move(p),
                {{DNNL_ARG_SRC, kImage4},
                 {DNNL_ARG_MEAN, channels},
                 {DNNL_ARG_VARIANCE, channels},
                 {DNNL_ARG_SCALE, channels},
                 {DNNL_ARG_SHIFT, channels},
                 {DNNL_ARG_DST, kImage4}});
}

void lrn(benchmark::State& s) {
  run_primitive(s, onednn::lrn(kImage4, 5, 1e-4f, 0.75f, 1.f),
                {{DNNL_ARG_SRC, kImage4}, {DNNL_ARG_DST, kImage4}});
}

void prelu(benchmark::State& s) {
  const Desc slopes = row_major({1, 64, 1, 1});
  run_primitive(s, make<dnnl::prelu_forward>(kInference, SOURCE_WEIGHTS_DESTINATION(kImage4, slopes)),
                {{DNNL_ARG_SRC, kImage4}, {DNNL_ARG_WEIGHTS, slopes}, {DNNL_ARG_DST, kImage4}});
}

Benchmark softmax(const Dims& dims) {
  return [=](benchmark::State& s) {
    const Desc d = row_major(dims);
    run_primitive(s, onednn::softmax(d, static_cast<int>(dims.size()) - 1),
                  {{DNNL_ARG_SRC, d}, {DNNL_ARG_DST, d}});
  };
}

void own_concat(benchmark::State& s, const Dims& dims, int64_t axis) {
  Net net(dims);
  net.run(s, net.node("Concat", {net.x(), net.constant(dims)}, with({{"axis", axis}})));
}
void concat(benchmark::State& s, const Dims& dims, int axis) {
  Dims whole = dims;
  whole[static_cast<size_t>(axis)] *= 2;
  const Desc part = row_major(dims), all = row_major(whole);
  run_primitive(s, onednn::concat({part, part}, axis, all),
                {{DNNL_ARG_MULTIPLE_SRC, part}, {DNNL_ARG_MULTIPLE_SRC + 1, part}, {DNNL_ARG_DST, all}});
}

const bool kRegistered = [] {
  const auto pair = [](const std::string& name, const Benchmark& first, const Benchmark& second) {
    benchmark::RegisterBenchmark(("pair/" + name + "/own").c_str(), first);
    benchmark::RegisterBenchmark(("pair/" + name + "/oneDNN").c_str(), [second](benchmark::State& state) {
      const ThreadScope one(1);  // when it is made, too
      second(state);
    });
  };
  for (const Dims& dims : {Dims{1, 1000}, Dims{64, 10}, Dims{64, 1000}, Dims{8, 12, 128, 128}}) {
    pair("Softmax " + to_string(dims), own("Softmax", dims, {}, with({{"axis", int64_t{-1}}})),
         softmax(dims));
  }
  pair("LayerNormalization", own("LayerNormalization", kText, {{768}, {768}}), layer_norm);
  pair("BatchNormalization", own("BatchNormalization", kImage, {{64}, {64}, {64}, {64}}), batch_norm);
  pair("LRN", own("LRN", kImage, {}, with({{"size", int64_t{5}}})), lrn);
  pair("PRelu", own("PRelu", kImage, {{64, 1, 1}}), prelu);
  pair("ReduceMean (last)", own_reduction("ReduceMean", kText, {-1}),
       reduction(kText3, row_major({8, 128, 1}), algorithm::reduction_mean));
  pair("ReduceMean (space)", own_reduction("ReduceMean", kImage, {2, 3}),
       reduction(kImage4, row_major({1, 64, 1, 1}), algorithm::reduction_mean));
  pair("ReduceMax (last)", own_reduction("ReduceMax", kText, {-1}),
       reduction(kText3, row_major({8, 128, 1}), algorithm::reduction_max));
  pair("ReduceMean (first)", own_reduction("ReduceMean", kText, {0}),
       reduction(kText3, row_major({1, 128, 768}), algorithm::reduction_mean));
  pair("Relu", own("Relu", kText, {}), unary(algorithm::eltwise_relu));
  pair("Sigmoid", own("Sigmoid", kText, {}), unary(algorithm::eltwise_logistic));
  pair("Tanh", own("Tanh", kText, {}), unary(algorithm::eltwise_tanh));
  pair("Exp", own("Exp", kText, {}), unary(algorithm::eltwise_exp));
  pair("Elu", own("Elu", kText, {}), unary(algorithm::eltwise_elu, 1));
  pair("HardSwish", own("HardSwish", kText, {}), unary(algorithm::eltwise_hardswish, 1.f / 6, 0.5f));
  pair("Add", own("Add", kText, {kText}), binary(kText3, kText3));
  pair("Add (channel)", own("Add", kImage, {{64, 1, 1}}), binary(kImage4, row_major({1, 64, 1, 1})));
  pair(
      "Resize nearest 2x", [](benchmark::State& s) { own_resize(s, "nearest"); },
      resampling(algorithm::resampling_nearest));
  pair(
      "Resize linear 2x", [](benchmark::State& s) { own_resize(s, "linear"); },
      resampling(algorithm::resampling_linear));
  pair(
      "Concat (channel)", [](benchmark::State& s) { own_concat(s, kImage, 1); },
      [](benchmark::State& s) { concat(s, kImage, 1); });
  pair(
      "Concat (last)", [](benchmark::State& s) { own_concat(s, kText, 2); },
      [](benchmark::State& s) { concat(s, kText, 2); });
  return true;
}();

}  // namespace
}  // namespace plica
