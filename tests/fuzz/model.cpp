// Mutated models (mutate.h): loaded, inferred, optimized and run, with little memory and time. What the
// portable kernels compute, the plan computes, and so does the plan of the optimized model.
//
// Compared are results of models without random operators whose values stay finite and moderate. How far they
// may be apart is measured where they are: three times, with inputs and weights moved by about 2^-19 of
// themselves, the reference moves by d; what is within 1e-3 of the largest magnitude, or 16 d, is the same
// (both are far above what roundings do in graphs of this size and far below what a wrong result does). An
// output that is not floating-point is compared only if it does not move. PLICA_FUZZ_COMPARE=0 leaves all
// this out.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "engine/core/parallel.h"
#include "plica/plica.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "tools/values.h"

namespace plica::fuzz {
namespace {

using onnx_format::ModelProto;

const LimitOptions kModelLimits{.max_memory = size_t{32} << 20, .timeout = 0.3};
constexpr int64_t kOpenDim = 3;
constexpr int64_t kMostInputElements = 1 << 14;
constexpr double kTolerance = 1e-3, kFactor = 16;
constexpr double kModerate = 1e6;  // larger values cancel, or pass what float16 holds
constexpr float kMove = 0x1p-19F;

bool is_deterministic(const Model& model) {
  static const std::set<std::string> kRandom = {
      "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike",
      "Bernoulli",    "Multinomial",   "Dropout"};
  for (const auto& [name, count] : model.summarize().operators) {
    if (kRandom.contains(name)) return false;
  }
  return true;
}

TensorMap inputs_of(const Model& model) {
  TensorMap inputs;
  uint64_t seed = 1;
  int64_t total = 0;
  for (const TensorInfo& info : model.inputs()) {
    if (info.has_default) continue;
    if (!tools::is_numeric(info.type) && info.type != DataType::string)
      throw Error(ErrorCode::unsupported, "no values can be made up for an input");
    const Dims dims = Model::concrete_dims(info, {}, kOpenDim);
    double elements = 1;
    for (const int64_t dim : dims) elements *= static_cast<double>(dim);
    if (elements + static_cast<double>(total) > kMostInputElements)
      throw Error(ErrorCode::limit, "the inputs are too large");
    total += static_cast<int64_t>(elements);
    inputs.emplace(info.name, tools::random_tensor(info.type, dims, seed++));
  }
  return inputs;
}

TensorMap moved(const TensorMap& inputs, uint64_t seed) {
  TensorMap out = inputs;
  for (auto& [name, tensor] : out) {
    if (tensor.type() != DataType::float32) continue;
    const Tensor coins = tools::random_tensor(DataType::float32, tensor.dims(), seed);
    Tensor copy(tensor.type(), tensor.dims());
    const auto from = tensor.values<float>(), coin = coins.values<float>();
    auto to = copy.mutable_values<float>();
    for (size_t i = 0; i < from.size(); ++i) to[i] = from[i] * (1 + (coin[i] < 0 ? -kMove : kMove));
    tensor = copy;
  }
  return out;
}

bool is_moderate(const TensorMap& values) {
  for (const auto& [name, tensor] : values) {
    if (!tensor.defined() || !tools::is_numeric(tensor.type())) continue;
    for (const double x : tools::to_doubles(tensor)) {
      if (!(std::abs(x) <= kModerate)) return false;
    }
  }
  return true;
}

bool is_comparable(const Tensor& tensor) {
  return tensor.defined() && (tools::is_numeric(tensor.type()) || tensor.type() == DataType::string);
}

// In units of the magnitude of `expected`; infinite when anything differs that has no distance.
double distance(const Tensor& actual, const Tensor& expected) {
  const tools::Difference exact = tools::compare(actual, expected, 0, 0);
  if (exact.equal()) return 0;
  if (!exact.mismatch.empty() || !is_floating(expected.type()) ||
      !tools::compare(actual, expected, 0, exact.max_absolute).equal())
    return INFINITY;
  return exact.max_absolute / std::max(exact.largest, 1e-3);
}

class Oracle {
 public:
  Oracle(const Model& model, const TensorMap& inputs) : model_(model), inputs_(inputs) {
    expected_ = model.run_reference(inputs, &all_);
  }

  void expect_same(const TensorMap& actual, const std::string& who) const {
    for (const auto& [name, expected] : expected_) {
      if (!is_comparable(expected)) continue;
      const double far = distance(actual.at(name), expected);
      if (far <= tolerance_of(expected.type())) continue;
      if (!is_moderate(all_)) return;
      const double d = sensitivity(name);
      if (far <= kFactor * d || (!is_floating(expected.type()) && d > 0)) continue;
      report(fmt::format("output {} of {} is {:.3g} from the reference, which moves by {:.3g}:\n  {}\n  {}",
                         quoted(name), who, far, d, tools::summary(actual.at(name)),
                         tools::summary(expected)));
    }
  }

  // A plan checks more of a model before it runs (the outputs of both branches of an If, say), and refuses more.
  void expect_computes(const Error& error, const std::string& who) const {
    if (error.code() != ErrorCode::invalid_argument && error.code() != ErrorCode::io) return;
    report(fmt::format("the reference computes it, {} does not: {}", who, error.message()));
  }

 private:
  static double tolerance_of(DataType type) {
    if (type == DataType::float16) return 16 * 0x1p-10;
    if (type == DataType::bfloat16) return 16 * 0x1p-7;
    return is_floating(type) ? kTolerance : 0;
  }
  double sensitivity(const std::string& name) const {
    double d = 0;
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      const TensorMap other = model_.dithered(seed).run_reference(moved(inputs_, seed));
      d = std::max(d, distance(other.at(name), expected_.at(name)));
    }
    return d;
  }

  const Model& model_;
  const TensorMap& inputs_;
  TensorMap expected_, all_;
};

void run(const Model& model, const TensorMap& inputs, const std::string& who, const Oracle* oracle) {
  TensorMap outputs;
  try {
    outputs = Session(model, {.threads = 1}).run(inputs);
  } catch (const Error& error) {
    if (oracle) oracle->expect_computes(error, who);
    throw;
  }
  if (oracle) oracle->expect_same(outputs, who);
}

void check(std::span<const std::byte> bytes) {
  static const char* const variable = std::getenv("PLICA_FUZZ_COMPARE");
  static const bool comparing = !variable || std::string_view(variable) != "0";
  const Model model = Model::parse(bytes);
  succeeds([&] { model.values(); });
  Model optimized = model;
  const bool is_optimized = succeeds([&] { optimized.optimize(); });
  TensorMap inputs;
  if (!succeeds([&] { inputs = inputs_of(model); })) return;
  std::unique_ptr<Oracle> oracle;
  succeeds([&] {
    auto made = std::make_unique<Oracle>(model, inputs);
    if (comparing && is_deterministic(model)) oracle = std::move(made);
  });
  succeeds([&] { run(model, inputs, "the plan", oracle.get()); });
  if (is_optimized) succeeds([&] { run(optimized, inputs, "the optimized model", oracle.get()); });
}

}  // namespace
}  // namespace plica::fuzz

using namespace plica;
using namespace plica::fuzz;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  static const ThreadScope one(1);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const LimitsScope scope(kModelLimits);
  succeeds([&] { check(bytes_of(data, size)); });
  return 0;
}

namespace {

size_t written(const ModelProto& model, uint8_t* data, size_t size, size_t most) {
  const size_t now = model.ByteSizeLong();
  if (now > most) return size;
  model.SerializeToArray(data, static_cast<int>(now));
  return now;
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  Random random(seed);
  ModelProto model;
  if (!model.ParseFromArray(data, static_cast<int>(size)) || !model.has_graph()) {
    model.Clear();
    model.set_ir_version(8);
    model.add_opset_import()->set_version(18);
    model.mutable_graph()->set_name("g");
  }
  for (unsigned i = 0, count = 1 + random() % 3; i < count; ++i) mutate(model, random);
  return written(model, data, size, most);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* a, size_t a_size, const uint8_t* b, size_t b_size,
                                            uint8_t* out, size_t most, unsigned seed) {
  Random random(seed);
  ModelProto model, other;
  if (!model.ParseFromArray(a, static_cast<int>(a_size)) ||
      !other.ParseFromArray(b, static_cast<int>(b_size)))
    return 0;
  cross(model, other, random);
  return written(model, out, 0, most);
}
