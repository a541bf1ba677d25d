#include "runtime/plan/result_pool.h"

#include <gtest/gtest.h>

namespace plica {
namespace {

TEST(ResultPool, MemoryComesBack) {
  auto pool = ResultPool::make();
  const void* memory = nullptr;
  {
    Tensor t = pool->allocate(DataType::float32, {256, 256});
    memory = t.raw();
    const Tensor copy = t;
    t = Tensor();
    EXPECT_EQ(pool->free_bytes(), 0u) << "a copy uses it still";
  }
  EXPECT_EQ(pool->free_bytes(), 262144u);
  const Tensor smaller = pool->allocate(DataType::float64, {100, 200});
  EXPECT_EQ(smaller.raw(), memory);
  EXPECT_EQ(smaller.bytes(), 160000u);
  const Tensor other = pool->allocate(DataType::float32, {256, 256});
  EXPECT_NE(other.raw(), memory);
}

TEST(ResultPool, KeepsNoMoreThanWasUsedAtOneTime) {
  auto pool = ResultPool::make();
  for (int64_t rows : {100, 1000, 300, 4000, 200}) pool->allocate(DataType::float32, {rows, 256});
  EXPECT_LE(pool->free_bytes(), 4000u * 1024);
  pool->trim();
  EXPECT_EQ(pool->free_bytes(), 0u);
}

TEST(ResultPool, TensorsOutliveIt) {
  auto pool = ResultPool::make();
  Tensor t = pool->allocate(DataType::int64, {1 << 16});
  pool = nullptr;
  t.mutable_data<int64_t>()[(1 << 16) - 1] = 7;
  EXPECT_EQ(t.data<int64_t>()[(1 << 16) - 1], 7);
}

}  // namespace
}  // namespace plica
