// What a process keeps does not grow with runs, nor with shapes beyond the caches.
#include <unistd.h>

#include <fstream>

#include "tests/runtime/runtime_test.h"

namespace plica::testing {
namespace {

int64_t resident_bytes() {
  int64_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Convolutions of all kinds, a pool and a product, of any height and width.
std::shared_ptr<const ModelGraph> small_net() {
  GraphMaker g(3);
  Value* x = g.symbolic_input(Shape{1, 3, Dim::symbol("h"), Dim::symbol("w")});
  const std::vector<int64_t> same = {1, 1, 1, 1};
  x = g.node("Relu", {g.node("Conv", {x, g.weights({16, 3, 3, 3})}, {{"pads", same}})});
  x = g.node("Conv", {x, g.weights({16, 1, 3, 3})}, {{"pads", same}, {"group", int64_t{16}}});
  x = g.node("Sigmoid", {g.node("Conv", {x, g.weights({24, 16, 1, 1})})});
  x = g.node("GlobalAveragePool", {g.node("Conv", {x, g.weights({24, 24, 3, 3})}, {{"pads", same}})});
  g.output(g.node("MatMul", {g.node("Flatten", {x}), g.weights({24, 10})}));
  return g.model();
}

void run(const Executor& executor, int64_t height, int64_t width) {
  NamedTensors inputs;
  inputs["x"] = Tensor::zeros(DataType::float32, {1, 3, height, width});
  ASSERT_EQ(executor.run(inputs).size(), 1u);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // which keeps what is freed
#else
constexpr bool kSanitized = false;
#endif
constexpr int64_t kSlack = 2 << 20;  // of the allocator; a run's tensors leaked would be 100 times that

TEST(Memory, IsFlatOverRuns) {
  if (kSanitized) GTEST_SKIP();
  const Executor executor(small_net(), {.threads = 1});
  const auto many = [&](int runs) {
    for (int i = 0; i < runs; ++i) run(executor, 8, 8);
  };
  many(1000);
  const int64_t before = resident_bytes();
  many(100000);
  EXPECT_LT(resident_bytes() - before, kSlack);
}

// oneDNN keeps 1024 primitives, the least recently used go.
TEST(Memory, IsFlatOverShapes) {
  if (kSanitized) GTEST_SKIP();
  const Executor executor(small_net(), {.threads = 1, .cached_plans = 8});
  const auto shapes = [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) run(executor, 4 + i % 50, 4 + i / 50);
  };
  shapes(0, 1500);
  const int64_t before = resident_bytes();
  shapes(1500, 3000);
  EXPECT_LT(resident_bytes() - before, 4 * kSlack);
}

}  // namespace
}  // namespace plica::testing
