#include "engine/core/checked.h"

#include <gtest/gtest.h>

#include <limits>

#include "engine/core/error.h"
#include "engine/core/shape.h"

namespace plica {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

template <class F>
ErrorCode code_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::internal;
}

TEST(Checked, AtTheEdges) {
  EXPECT_EQ(checked_add<int64_t>(kMax - 1, 1), kMax);
  EXPECT_EQ(code_of([] { checked_add<int64_t>(kMax, 1); }), ErrorCode::limit);
  EXPECT_EQ(checked_sub<int64_t>(kMin + 1, 1), kMin);
  EXPECT_EQ(code_of([] { checked_sub<int64_t>(kMin, 1); }), ErrorCode::limit);
  EXPECT_EQ(code_of([] { checked_sub<size_t>(0, 1); }), ErrorCode::limit);
  EXPECT_EQ(checked_mul<int64_t>(int64_t{1} << 31, int64_t{1} << 31), int64_t{1} << 62);
  EXPECT_EQ(code_of([] { checked_mul<int64_t>(int64_t{1} << 32, int64_t{1} << 31); }), ErrorCode::limit);
  EXPECT_EQ(code_of([] { checked_mul<int64_t>(kMin, -1); }), ErrorCode::limit);
}

TEST(Checked, Elements) {
  EXPECT_EQ(checked_elements(Dims{}), 1);
  EXPECT_EQ(checked_elements(Dims{2, 3, 4}), 24);
  EXPECT_EQ(checked_elements(Dims{2, 0, 4}), 0);
  EXPECT_EQ(code_of([] { checked_elements(Dims{-1}); }), ErrorCode::invalid_model);
  EXPECT_EQ(code_of([] { checked_elements(Dims{0, -1}); }), ErrorCode::invalid_model);
  EXPECT_EQ(code_of([] { checked_elements(Dims{int64_t{1} << 32, int64_t{1} << 32}); }), ErrorCode::limit);
  EXPECT_EQ(code_of([] { checked_elements(Dims{kMax, 2}); }), ErrorCode::limit);
  EXPECT_EQ(code_of([] { checked_elements(Dims{0, int64_t{1} << 62, int64_t{1} << 62}); }), ErrorCode::limit);
}

}  // namespace
}  // namespace plica
