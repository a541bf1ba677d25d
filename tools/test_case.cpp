#include "tools/test_case.h"

#include <algorithm>
#include <memory>

#include "engine/core/fail.h"
#include "plica/plica.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/files.h"
#include "tools/values.h"

namespace plica::tools {
namespace {

namespace fs = std::filesystem;

struct Tolerance {
  double rtol = 1e-3, atol = 1e-7;  // the defaults of onnx.backend.test.runner
};

Tolerance read_tolerance(const fs::path& path) {
  Tolerance tolerance;
  if (!fs::exists(path)) return tolerance;
  const Json json = Json::parse(read_input(path.string()).text(), nullptr, false);
  require(json.is_object(), ErrorCode::invalid_argument, "tol.json is no JSON object");
  for (const auto& [key, value] : {std::pair("rtol", &tolerance.rtol), std::pair("atol", &tolerance.atol)}) {
    if (!json.contains(key)) continue;
    require(json[key].is_number() && json[key].get<double>() >= 0, ErrorCode::invalid_argument,
            "{} of tol.json is no tolerance", key);
    *value = json[key].get<double>();
  }
  return tolerance;
}

std::vector<fs::path> data_sets(const fs::path& dir) {
  std::vector<fs::path> sets;
  for (const auto& entry : fs::directory_iterator(dir)) {
    if (entry.is_directory() && entry.path().filename().string().starts_with("test_data_set_"))
      sets.push_back(entry.path());
  }
  std::ranges::sort(sets);
  return sets;
}

struct NamedTensorFile {
  const TensorInfo* value;
  Tensor tensor;
};

// input_0.pb, input_1.pb, ... A file belongs to the value of its name, or else to that of its position.
std::vector<NamedTensorFile> read_tensors(const fs::path& set, const char* kind,
                                          const std::vector<TensorInfo>& values) {
  std::vector<NamedTensorFile> out;
  for (size_t i = 0;; ++i) {
    const fs::path path = set / fmt::format("{}_{}.pb", kind, i);
    if (!fs::exists(path)) return out;
    const auto read = [&] {
      const Blob file = read_input(path.string());
      require(i < values.size(), ErrorCode::invalid_argument,
              "there are more data files than the model has values");
      std::string name;
      Tensor tensor = parse_value_proto(file.bytes, values[i].type, &name);
      const auto named = std::ranges::find(values, name, &TensorInfo::name);
      const TensorInfo& value = named != values.end() ? *named : values[i];
      if (value.type != values[i].type) tensor = parse_value_proto(file.bytes, value.type, &name);
      out.push_back({&value, std::move(tensor)});
    };
    with_context(read, [&] { return path.filename().string(); });
  }
}

// The suite of ONNX 1.12 and before holds bfloat16 values as the uint16 of their bits: NumPy has no bfloat16.
Tensor as_declared(const Tensor& tensor, const TensorInfo& value) {
  if (value.type != DataType::bfloat16 || tensor.type() != DataType::uint16) return tensor;
  return Tensor::view(DataType::bfloat16, tensor.dims(), tensor.raw(),
                      std::make_shared<const Tensor>(tensor));
}

// What differs; empty when nothing does.
std::string run_data_set(const Session& session, const Model& model, const fs::path& set,
                         const Tolerance& tolerance) {
  const auto inputs = model.inputs(), outputs = model.outputs();
  TensorMap given;
  for (const auto& [input, tensor] : read_tensors(set, "input", inputs))
    given.insert_or_assign(input->name, as_declared(tensor, *input));
  const TensorMap results = session.run(given);
  const auto expected = read_tensors(set, "output", outputs);
  require(!expected.empty() || outputs.empty(), ErrorCode::invalid_argument, "{} has no outputs",
          set.filename().string());
  for (const auto& [output, tensor] : expected) {
    const Tensor& actual = results.at(output->name);
    const Tensor right = as_declared(tensor, *output);
    const Difference d = compare(actual, right, tolerance.rtol, tolerance.atol);
    if (d.equal()) continue;
    const std::string where = fmt::format("{}: output {}", set.filename().string(), quoted(output->name));
    if (!d.mismatch.empty()) return fmt::format("{}: {}", where, d.mismatch);
    if (!is_numeric(right.type())) return fmt::format("{}: values differ", where);
    const auto at = static_cast<size_t>(d.first);
    return fmt::format("{}: {} of {} elements differ, the first at {}: {:.9g}, expected {:.9g}", where,
                       d.differing, right.size(), d.first, to_doubles(actual)[at], to_doubles(right)[at]);
  }
  return "";
}

}  // namespace

std::string_view to_string(TestResult::Kind kind) {
  switch (kind) {
    case TestResult::Kind::passed:
      return "passed";
    case TestResult::Kind::failed:
      return "failed";
    case TestResult::Kind::unsupported:
      return "unsupported";
  }
  return "failed";
}

std::vector<TestCase> find_test_cases(const fs::path& root) {
  std::vector<TestCase> cases;
  const auto visit = [&](const fs::path& dir) {
    std::error_code ignored;
    if (!fs::is_regular_file(dir / "model.onnx", ignored)) return;
    const fs::path whole = fs::weakly_canonical(dir);
    cases.push_back({dir, (whole.parent_path().filename() / whole.filename()).string()});
  };
  std::error_code error;
  if (!fs::is_directory(root, error)) exit_with(kInvalid, "{} is no directory", shown(root.string()));
  visit(root);
  for (fs::recursive_directory_iterator it(root, fs::directory_options::skip_permission_denied, error), end;
       it != end; it.increment(error)) {
    if (error) break;
    std::error_code ignored;
    if (it->is_directory(ignored)) visit(it->path());
  }
  std::ranges::sort(cases, {}, &TestCase::dir);
  return cases;
}

TestResult run_test_case(const TestCase& test, bool optimize, int threads) {
  using Kind = TestResult::Kind;
  try {
    Model model = Model::load(test.dir / "model.onnx");
    if (optimize) optimize_to_run(model);
    const Session session(model, {.threads = threads});
    const Tolerance tolerance = read_tolerance(test.dir / "tol.json");
    const auto sets = data_sets(test.dir);
    if (sets.empty()) return {Kind::failed, "there is no test_data_set"};
    for (const fs::path& set : sets) {
      std::string difference = run_data_set(session, model, set, tolerance);
      if (!difference.empty()) return {Kind::failed, std::move(difference)};
    }
    return {Kind::passed, ""};
  } catch (const Error& error) {
    return {error.code() == ErrorCode::unsupported ? Kind::unsupported : Kind::failed, error.message()};
  } catch (const std::bad_alloc&) {
    return {Kind::failed, "out of memory"};
  } catch (const std::exception& error) {
    return {Kind::failed, error.what()};
  }
}

}  // namespace plica::tools
