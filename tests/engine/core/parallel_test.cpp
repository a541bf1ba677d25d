#include "engine/core/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace plica {
namespace {

TEST(ParallelFor, CoversEachIndexOnce) {
  const ThreadScope threads(4);
  for (int64_t count : {0, 1, 2, 3, 7, 64, 1001}) {
    for (int64_t grain : {0, 1, 10, 5000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
      parallel_for(count, grain, [&](int64_t begin, int64_t end) {
        EXPECT_LT(begin, end);
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      for (const auto& n : seen) EXPECT_EQ(n, 1);
    }
  }
  parallel_for(-5, 1, [](int64_t, int64_t) { FAIL(); });
}

TEST(ParallelFor, UsesTheThreadsOfTheScope) {
  const auto ranges = [](int64_t count, int64_t grain) {
    std::atomic<int> n = 0;
    parallel_for(count, grain, [&](int64_t, int64_t) { ++n; });
    return n.load();
  };
  const ThreadScope three(3);
  EXPECT_EQ(ranges(300, 1), 3);
  EXPECT_EQ(ranges(300, 150), 2);
  EXPECT_EQ(ranges(300, 151), 1);
  {
    const ThreadScope one(1);
    EXPECT_EQ(current_threads(), 1);
    EXPECT_EQ(ranges(300, 1), 1);
  }
  EXPECT_EQ(current_threads(), 3);
}

TEST(ParallelFor, RethrowsAndGoesOn) {
  const ThreadScope threads(4);
  for (int round = 0; round < 3; ++round) {
    EXPECT_THROW(parallel_for(1000, 1, [](int64_t, int64_t) { throw std::runtime_error("all of them"); }),
                 std::runtime_error);
    EXPECT_THROW(parallel_for(1000, 1,
                              [](int64_t begin, int64_t) {
                                if (begin == 0) throw std::out_of_range("one of them");
                              }),
                 std::out_of_range);
    std::atomic<int64_t> sum = 0;
    parallel_for(1000, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    EXPECT_EQ(sum, 1000);
  }
}

TEST(ParallelFor, NestedRunsSerially) {
  const ThreadScope threads(4);
  std::atomic<int64_t> sum = 0;
  std::atomic<int> inner_ranges = 0, outer_ranges = 0;
  parallel_for(8, 1, [&](int64_t begin, int64_t end) {
    ++outer_ranges;
    for (int64_t i = begin; i < end; ++i) {
      parallel_for(100, 1, [&](int64_t b, int64_t e) {
        ++inner_ranges;
        sum += e - b;
      });
    }
  });
  EXPECT_EQ(sum, 800);
  EXPECT_EQ(outer_ranges, 4);
  EXPECT_EQ(inner_ranges, 8);
}

TEST(ThreadScope, IsPerThread) {
  const ThreadScope two(2);
  std::thread([] {
    const ThreadScope five(5);
    EXPECT_EQ(current_threads(), 5);
  }).join();
  EXPECT_EQ(current_threads(), 2);
  const ThreadScope none(0);
  EXPECT_EQ(current_threads(), 1);
}

TEST(AvailableCpus, AtLeastOne) {
  EXPECT_GE(available_cpus(), 1);
  EXPECT_LE(available_cpus(), static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
}

}  // namespace
}  // namespace plica
