#include "engine/core/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/core/tensor.h"

namespace plica {
namespace {

template <class F>
ErrorCode code_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::internal;  // none is expected to be
}

Tensor kilobytes(int64_t count) { return Tensor(DataType::uint8, {count * 1000}); }

TEST(Limits, TensorsAreCountedUntilTheyAreFreed) {
  const LimitsScope scope({.max_memory = 10'000});
  Tensor a = kilobytes(6);
  EXPECT_EQ(scope.limits()->held(), 6000u);
  EXPECT_EQ(code_of([] { kilobytes(5); }), ErrorCode::limit);
  EXPECT_EQ(scope.limits()->held(), 6000u);
  const Tensor same = a, view = a.reshaped({6, 1000});
  a = Tensor();
  EXPECT_EQ(scope.limits()->held(), 6000u);
  Tensor b = kilobytes(4);
  EXPECT_EQ(code_of([] { kilobytes(1); }), ErrorCode::limit);
  b = Tensor();
  EXPECT_EQ(scope.limits()->held(), 6000u);
  EXPECT_EQ(code_of([&] { same.clone(); }), ErrorCode::limit);
  EXPECT_EQ(scope.limits()->held(), 6000u);
}

TEST(Limits, WhatOutlivesTheScopeIsStillCounted) {
  const auto limits = std::make_shared<Limits>(LimitOptions{.max_memory = 10'000});
  Tensor t;
  {
    const LimitsScope scope(limits);
    t = kilobytes(8);
  }
  const Tensor outside = kilobytes(8);
  EXPECT_EQ(limits->held(), 8000u);
  {
    const LimitsScope scope(limits);
    EXPECT_EQ(code_of([] { kilobytes(8); }), ErrorCode::limit);
  }
  t = Tensor();
  EXPECT_EQ(limits->held(), 0u);
}

TEST(Limits, OfOuterScopesHoldToo) {
  const LimitsScope outer({.max_memory = 10'000});
  const Tensor a = kilobytes(4);
  {
    const LimitsScope inner({.max_memory = 8'000});
    const Tensor b = kilobytes(5);
    EXPECT_EQ(code_of([] { kilobytes(2); }), ErrorCode::limit);  // the outer's
    EXPECT_EQ(code_of([] { kilobytes(9); }), ErrorCode::limit);
    EXPECT_EQ(inner.limits()->held(), 5000u);
    EXPECT_EQ(outer.limits()->held(), 9000u);
  }
  EXPECT_EQ(outer.limits()->held(), 4000u);
}

TEST(Limits, AreCarriedToTheTeam) {
  const ThreadScope threads(4);
  const LimitsScope scope({.max_memory = 10'000});
  std::atomic<int> refused = 0;
  parallel_for(4, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) refused += code_of([] { kilobytes(11); }) == ErrorCode::limit;
  });
  EXPECT_EQ(refused, 4);
  EXPECT_EQ(scope.limits()->held(), 0u);
}

TEST(Limits, AreTheirThreadsOwn) {
  const LimitsScope scope({.max_memory = 10'000});
  std::thread([] { EXPECT_EQ(kilobytes(20).bytes(), 20'000u); }).join();
  EXPECT_EQ(scope.limits()->held(), 0u);
}

TEST(Limits, TimeAndCancellation) {
  check_limits();
  {
    const LimitsScope scope({.timeout = 1e-9});
    EXPECT_EQ(code_of(check_limits), ErrorCode::cancelled);
    EXPECT_TRUE(scope.limits()->timed_out());
    const LimitsScope inner({.timeout = 1000});
    EXPECT_EQ(code_of(check_limits), ErrorCode::cancelled);  // the outer's
    EXPECT_FALSE(inner.limits()->timed_out());
  }
  std::atomic<bool> cancel = false;
  const LimitsScope scope({.timeout = 1e300, .cancel = &cancel});
  check_limits();
  std::thread([&] { cancel = true; }).join();
  EXPECT_EQ(code_of(check_limits), ErrorCode::cancelled);
  EXPECT_FALSE(scope.limits()->timed_out());
  EXPECT_EQ(code_of([] { LimitsScope({.timeout = -1}); }), ErrorCode::invalid_argument);
}

TEST(Limits, AreAskedAtEachLook) {
  int looks = 0;
  const LimitsScope scope({.stop = [&] { return ++looks == 3; }});
  check_limits();
  check_limits();
  EXPECT_EQ(code_of(check_limits), ErrorCode::cancelled);
  EXPECT_EQ(looks, 3);
}

TEST(Limits, WhatTheMachineCannotGiveIsRefusedWithoutAny) {
  EXPECT_EQ(code_of([] { Tensor(DataType::float32, {int64_t{1} << 50}); }), ErrorCode::limit);
  check_machine_memory(size_t{1} << 20);
}

}  // namespace
}  // namespace plica
