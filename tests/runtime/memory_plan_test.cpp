#include "runtime/plan/memory_plan.h"

#include <gtest/gtest.h>

#include <random>

namespace plica {
namespace {

// The oracle: no two tensors that live together share a byte, all are aligned and inside the arena, and the
// arena is no smaller than what lives at once at any step.
void check(const std::vector<Lifetime>& tensors) {
  const MemoryPlan plan = plan_memory(tensors);
  ASSERT_EQ(plan.offsets.size(), tensors.size());
  size_t bound = 0;
  int last = 0;
  for (const Lifetime& t : tensors) last = std::max(last, t.last);
  for (int step = 0; step <= last; ++step) {
    size_t alive = 0;
    for (const Lifetime& t : tensors) {
      if (t.first <= step && step <= t.last) alive += (t.bytes + 63) / 64 * 64;
    }
    bound = std::max(bound, alive);
  }
  EXPECT_EQ(plan.lower_bound, bound);
  EXPECT_GE(plan.bytes, bound);
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(plan.offsets[i] % kArenaAlignment, 0u);
    EXPECT_LE(plan.offsets[i] + tensors[i].bytes, plan.bytes);
    for (size_t k = 0; k < i; ++k) {
      const bool together = tensors[i].first <= tensors[k].last && tensors[k].first <= tensors[i].last;
      const bool apart = plan.offsets[i] + tensors[i].bytes <= plan.offsets[k] ||
                         plan.offsets[k] + tensors[k].bytes <= plan.offsets[i];
      EXPECT_TRUE(!together || apart) << i << " and " << k;
    }
  }
}

TEST(MemoryPlan, Empty) {
  EXPECT_EQ(plan_memory({}).bytes, 0u);
  check({{0, 0, 0}, {0, 0, 3}});
}

TEST(MemoryPlan, ChainNeedsTwo) {
  const std::vector<Lifetime> chain = {{640, 0, 1}, {640, 1, 2}, {640, 2, 3}, {640, 3, 4}};
  check(chain);
  EXPECT_EQ(plan_memory(chain).bytes, 1280u);
}

TEST(MemoryPlan, ResidualLivesThrough) {
  const std::vector<Lifetime> block = {{100, 0, 3}, {1000, 0, 1}, {1000, 1, 2}, {100, 2, 3}};
  check(block);
  EXPECT_EQ(plan_memory(block).bytes, plan_memory(block).lower_bound);
}

TEST(MemoryPlan, GapsAreFilled) {
  const std::vector<Lifetime> tensors = {{1024, 0, 1}, {512, 0, 5}, {256, 2, 3}, {256, 2, 3}, {512, 2, 3}};
  check(tensors);
  EXPECT_EQ(plan_memory(tensors).bytes, 1536u);
}

TEST(MemoryPlan, RandomLifetimes) {
  std::mt19937 r(42);
  double worst = 1;
  for (int round = 0; round < 300; ++round) {
    std::vector<Lifetime> tensors(1 + r() % 60);
    for (Lifetime& t : tensors) {
      t.bytes = r() % 5000;
      t.first = static_cast<int>(r() % 40);
      t.last = t.first + static_cast<int>(r() % 6);
    }
    check(tensors);
    if (HasFailure()) FAIL() << "round " << round;
    const MemoryPlan plan = plan_memory(tensors);
    if (plan.lower_bound > 0)
      worst = std::max(worst, static_cast<double>(plan.bytes) / static_cast<double>(plan.lower_bound));
  }
  EXPECT_LE(worst, 1.6);  // greedy by size stays near the bound
}

TEST(MemoryPlan, Thousands) {
  std::mt19937 r(7);
  std::vector<Lifetime> tensors(5000);
  for (Lifetime& t : tensors) {
    t.bytes = r() % 5000;
    t.first = static_cast<int>(r() % 2000);
    t.last = t.first + static_cast<int>(r() % 20);
  }
  check(tensors);
}

TEST(MemoryPlan, ThousandsAtOnceFillTheArena) {
  const std::vector<Lifetime> tensors(5000, Lifetime{64, 0, 1});
  EXPECT_EQ(plan_memory(tensors).bytes, 5000u * 64);
}

TEST(MemoryPlan, ALongChainNeedsTwo) {
  std::vector<Lifetime> chain;
  for (int i = 0; i < 100'000; ++i) chain.push_back({640, i, i + 1});
  EXPECT_EQ(plan_memory(chain).bytes, 1280u);
}

}  // namespace
}  // namespace plica
