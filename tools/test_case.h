// One directory of the ONNX backend suite: model.onnx, test_data_set_*/{input,output}_*.pb, and perhaps
// tol.json {"rtol", "atol"}.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace plica::tools {

struct TestCase {
  std::filesystem::path dir;
  std::string name;  // the last two parts of the path: "node/test_add"
};

// All directories at or below `root` that hold a model.onnx, by path.
std::vector<TestCase> find_test_cases(const std::filesystem::path& root);

struct TestResult {
  enum class Kind { passed, failed, unsupported };
  Kind kind = Kind::failed;
  std::string detail;
};
std::string_view to_string(TestResult::Kind kind);

// Runs the model on every data set and compares as the ONNX runner does: element type and shape are equal,
// elements within atol + rtol |expected|. Throws nothing but std::bad_alloc.
TestResult run_test_case(const TestCase& test, bool optimize, int threads);

// Calls `done(i, result)` for each case in order. They run in a child process that is replaced when one
// crashes or takes longer than `timeout` seconds, so that this process survives both.
void run_isolated(const std::vector<TestCase>& cases, bool optimize, int threads, double timeout,
                  const std::function<void(size_t, const TestResult&)>& done);

}  // namespace plica::tools
