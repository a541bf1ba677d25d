// Times single operations as the runtime runs them, its own overhead included: bench_kernels
// --benchmark_filter=Conv An argument list is what the benchmark's name says; all tensors are float32, batch
// 1, one thread.
#include "net.h"

namespace plica {
namespace {

void ConvRelu(
    benchmark::State& state) {  // input channels, output channels, size, kernel, exact (no Winograd)
  const int64_t in = state.range(0), out = state.range(1), size = state.range(2), kernel = state.range(3),
                pad = kernel / 2;
  Net net({1, in, size, size});
  Attributes a;
  a.set("pads", std::vector<int64_t>{pad, pad, pad, pad});
  net.run(state, net.node("Relu", {net.node("Conv", {net.x(), net.constant({out, in, kernel, kernel})}, a)}),
          state.range(4) != 0);
  const double macs = static_cast<double>(in * out * size * size * kernel * kernel);
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * macs, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(ConvRelu)
    ->ArgsProduct({{16, 64}, {16, 64}, {40}, {3}, {0, 1}})
    ->ArgsProduct({{64}, {64}, {56, 224}, {3}, {0, 1}})
    ->ArgsProduct({{128}, {32, 128}, {28, 112}, {3}, {0, 1}})
    ->ArgsProduct({{256}, {256}, {14, 56}, {3}, {0, 1}})
    ->ArgsProduct({{512}, {512}, {7, 14, 28}, {3}, {0, 1}})
    ->Args({256, 64, 56, 1, 1})
    ->Args({3, 64, 224, 7, 1});

void Depthwise(benchmark::State& state) {  // channels, size
  const int64_t channels = state.range(0), size = state.range(1);
  Net net({1, channels, size, size});
  Attributes a;
  a.set("pads", std::vector<int64_t>{1, 1, 1, 1});
  a.set("group", channels);
  net.run(state, net.node("HardSwish", {net.node("Conv", {net.x(), net.constant({channels, 1, 3, 3})}, a)}));
}
BENCHMARK(Depthwise)->Args({32, 112})->Args({384, 14});

void PixelDeconvolution(
    benchmark::State& state) {  // input channels, output channels, size; kernel and stride 2
  const int64_t in = state.range(0), out = state.range(1), size = state.range(2);
  Net net({1, in, size, size});
  Attributes a;
  a.set("strides", std::vector<int64_t>{2, 2});
  net.run(state, net.node("Relu", {net.node("ConvTranspose", {net.x(), net.constant({in, out, 2, 2})}, a)}));
}
BENCHMARK(PixelDeconvolution)->Args({24, 24, 160})->Args({24, 1, 320});

void MatMul(benchmark::State& state) {  // M, K, N
  Net net({state.range(0), state.range(1)});
  net.run(state, net.node("MatMul", {net.x(), net.constant({state.range(1), state.range(2)})}));
}
BENCHMARK(MatMul)->Args({1, 2048, 1000})->Args({1, 25088, 4096})->Args({40, 120, 360})->Args({512, 512, 512});

void Chain(benchmark::State& state) {  // elements: swish, by a channel's factor
  const int64_t size = state.range(0);
  Net net({1, 64, size, size});
  Value* x = net.x();
  Value* y = net.node("Mul", {net.node("Mul", {x, net.node("Sigmoid", {x})}), net.constant({1, 64, 1, 1})});
  net.run(state, y);
  state.SetBytesProcessed(state.iterations() * 64 * size * size * 8);
}
BENCHMARK(Chain)->Arg(14)->Arg(112);

void LayerNorm(benchmark::State& state) {  // rows, row
  Net net({state.range(0), state.range(1)});
  net.run(state, net.node("LayerNormalization",
                          {net.x(), net.constant({state.range(1)}), net.constant({state.range(1)})}));
}
BENCHMARK(LayerNorm)->Args({40, 120})->Args({197, 768});

}  // namespace
}  // namespace plica
