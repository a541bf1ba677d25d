// The file of choices by measurement: what is kept, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "api/tuning_file.h"
#include "engine/core/error.h"

namespace plica {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const TuningHost kHost = {"a CPU", "2.6.3", "1.0"};

class TuningFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "plica_tuning_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    path_ = dir_ / "deep" / "er" / "tuning.json";
  }
  void TearDown() override { fs::remove_all(dir_); }

  fs::path write(const std::string& text) const {
    const fs::path path = dir_ / "written.json";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  void expect_refused(const std::string& text, ErrorCode code, const std::string& part) const {
    try {
      read_tuning(write(text), kHost);
      ADD_FAILURE() << text << " is read";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << text;
      EXPECT_THAT(error.message(), HasSubstr(part)) << text;
      EXPECT_THAT(error.message(), HasSubstr("written.json"));
    }
  }

  fs::path dir_, path_;
};

Tuning example() {
  Tuning tuning;
  PlanChoice& plan = tuning.plans["0123456789abcdef-t2"];
  plan.layout = TunedLayout::blocked8;
  plan.steps["Conv a"] = {4, true};
  plan.steps["Conv b"] = {0, std::nullopt};
  plan.steps["Conv c"] = {std::nullopt, false};
  return tuning;
}

TEST_F(TuningFileTest, RoundTrip) {
  merge_tuning(path_, example(), kHost);
  const TuningFile read = read_tuning(path_, kHost);
  EXPECT_EQ(read.differs, "");
  EXPECT_EQ(read.tuning.plans, example().plans);
}

TEST_F(TuningFileTest, MergeKeepsOtherPlansAndReplacesItsOwn) {
  merge_tuning(path_, example(), kHost);
  Tuning more;
  more.plans["fedcba9876543210-t1"].layout = TunedLayout::channels_last;
  merge_tuning(path_, more, kHost);
  Tuning replaced;
  replaced.plans["0123456789abcdef-t2"] = {};
  merge_tuning(path_, replaced, kHost);
  Tuning expected = more;
  expected.plans["0123456789abcdef-t2"] = {};
  EXPECT_EQ(read_tuning(path_, kHost).tuning.plans, expected.plans);
}

TEST_F(TuningFileTest, AnotherHostIsNotUsed) {
  merge_tuning(path_, example(), kHost);
  for (const auto& [host, part] :
       {std::pair{TuningHost{"another CPU", "2.6.3", "1.0"}, "cpu 'a CPU', here 'another CPU'"},
        std::pair{TuningHost{"a CPU", "3.0", "1.0"}, "onednn '2.6.3', here '3.0'"},
        std::pair{TuningHost{"a CPU", "2.6.3", "1.1"}, "plica '1.0', here '1.1'"}}) {
    const TuningFile read = read_tuning(path_, host);
    EXPECT_EQ(read.differs, part);
    EXPECT_TRUE(read.tuning.plans.empty());
  }
  // What is measured there begins anew.
  const TuningHost other = {"another CPU", "2.6.3", "1.0"};
  Tuning more;
  more.plans["fedcba9876543210-t1"] = {};
  merge_tuning(path_, more, other);
  EXPECT_EQ(read_tuning(path_, other).tuning.plans, more.plans);
}

TEST_F(TuningFileTest, BrokenFilesAreRefused) {
  const std::string head = R"({"schema":1,"cpu":"a CPU","onednn":"2.6.3","plica":"1.0")";
  for (const char* text : {"", "{", "[]", "3", "{}", R"({"schema":2})", "{\"schema\":1}x"})
    expect_refused(text, ErrorCode::invalid_argument, "no tuning file of schema 1");
  expect_refused(std::string(100000, '['), ErrorCode::invalid_argument, "no tuning file");
  expect_refused(R"({"schema":1})", ErrorCode::invalid_argument, "cpu");
  expect_refused(R"({"schema":1,"cpu":3})", ErrorCode::invalid_argument, "cpu");
  expect_refused(head + "}", ErrorCode::invalid_argument, "plans");
  expect_refused(head + R"(,"plans":[]})", ErrorCode::invalid_argument, "plans");
  expect_refused(head + R"(,"plans":{"a":1}})", ErrorCode::invalid_argument, "plan");
  expect_refused(head + R"(,"plans":{"a":{"layout":"x"}}})", ErrorCode::invalid_argument, "layout");
  expect_refused(head + R"(,"plans":{"a":{"steps":[]}}})", ErrorCode::invalid_argument, "steps");
  expect_refused(head + R"(,"plans":{"a":{"steps":{"s":1}}}})", ErrorCode::invalid_argument, "step");
  expect_refused(head + R"(,"plans":{"a":{"steps":{"s":{"method":4}}}}})", ErrorCode::invalid_argument,
                 "method");
  expect_refused(head + R"(,"plans":{"a":{"steps":{"s":{"threads":"2"}}}}})", ErrorCode::invalid_argument,
                 "threads");
  expect_refused(std::string((16 << 20) + 1, ' '), ErrorCode::limit, "larger");
  std::string many = head + R"(,"plans":{)";
  for (int i = 0; i <= 10000; ++i) many += fmt::format("{}\"{}\":{{}}", i > 0 ? "," : "", i);
  expect_refused(many + "}}", ErrorCode::limit, "plans");
}

TEST_F(TuningFileTest, WhatIsNoTuningFileIsNotOverwritten) {
  const fs::path path = write("precious");
  EXPECT_THROW(merge_tuning(path, example(), kHost), Error);
  EXPECT_EQ(fs::file_size(path), 8u);
  EXPECT_THROW(read_tuning(dir_ / "missing.json", kHost), Error);
}

}  // namespace
}  // namespace plica
