// Places tensors with known lifetimes in one arena. A pure function of the lifetimes.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace plica {

inline constexpr size_t kArenaAlignment = 64;

// A tensor of so many bytes, alive from step `first` to step `last`, both included.
struct Lifetime {
  size_t bytes = 0;
  int first = 0, last = 0;
};

struct MemoryPlan {
  std::vector<size_t> offsets;  // by tensor, multiples of kArenaAlignment
  size_t bytes = 0;             // of the arena
  size_t lower_bound = 0;       // the largest sum of (aligned) tensors alive at one step
};

// Greedy by size: the largest tensor first, each at the lowest offset where it overlaps none that is alive
// with it (Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, arXiv 2001.03288).
// That takes the square of their number: thousands are placed in the order of their steps, each in the
// smallest gap.
MemoryPlan plan_memory(std::span<const Lifetime> tensors);

}  // namespace plica
