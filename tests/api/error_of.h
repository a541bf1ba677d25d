#pragma once

#include <gtest/gtest.h>

#include "engine/core/error.h"

namespace plica {

// What `f` throws, which is one line; a failure when it throws nothing.
template <class F>
Error error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.message().find('\n'), std::string::npos);
    return error;
  }
  ADD_FAILURE() << "no error";
  return Error(ErrorCode::internal, "");
}

}  // namespace plica
