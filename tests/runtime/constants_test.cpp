#include "runtime/plan/constants.h"

#include <gtest/gtest.h>

#include <list>

namespace plica::testing {
namespace {

TEST(ConstantCache, SharesAndForgets) {
  ConstantCache cache;
  const Tensor kept = Tensor::vector({1.f, 2.f});
  const auto twice = [](const Tensor& t) {
    return [&t] { return Tensor::vector({2 * t.data<float>()[0], 2 * t.data<float>()[1]}); };
  };
  const auto first = cache.get(kept, "twice", 8, twice(kept));
  EXPECT_EQ(first->packed.data<float>()[1], 4.f);
  std::list<Tensor> all;  // alive, so that each has an address of its own
  for (int i = 0; i < 1000; ++i) {
    const Tensor& t = all.emplace_back(Tensor::vector({0.f, 1.f}));
    cache.get(t, "twice", 8, twice(t));
  }
  EXPECT_LE(cache.size(), 64u);
  EXPECT_EQ(cache.get(kept, "twice", 8, twice(kept)), first);
  EXPECT_NE(cache.get(kept, "same", 8, [&] { return kept; }), first);
}

}  // namespace
}  // namespace plica::testing
