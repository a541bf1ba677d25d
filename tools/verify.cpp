#include "tools/verify.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tools/console.h"
#include "tools/inputs.h"
#include "tools/values.h"

namespace plica::tools {
namespace {

constexpr double kFactor = 8, kLargestTolerance = 1e-2;
constexpr int64_t kDitheredInputs = 3, kDithers = 2;

// The distance between 1 and the next number.
double epsilon_of(DataType type) {
  switch (type) {
    case DataType::float64:
      return 0x1p-52;
    case DataType::float16:
      return 0x1p-10;
    case DataType::bfloat16:
      return 0x1p-7;
    default:
      return 0x1p-23;
  }
}

bool is_continuous(DataType type) { return is_floating(type) && is_numeric(type); }

// Infinite when they differ in something that has no distance.
double distance(const Tensor& actual, const Tensor& expected) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  const Difference exact = compare(actual, expected, 0, 0);
  if (!exact.mismatch.empty()) return kInfinite;
  if (exact.equal()) return 0;
  if (!is_continuous(expected.type())) {
    return static_cast<double>(exact.differing) / static_cast<double>(expected.size());
  }
  // What is still different at that tolerance is not finite on one side.
  if (!compare(actual, expected, 0, exact.max_absolute).equal()) return kInfinite;
  return exact.largest > 0 ? exact.max_absolute / exact.largest : kInfinite;
}

// The largest error bound of a fold, in units of the smallest move of a constant.
double bound_ratio(const Report& report) {
  double ratio = 1;
  for (const Report::BatchNorm& b : report.batch_norms) {
    if (b.error_bound) ratio = std::max(ratio, *b.error_bound / (epsilon_of(b.type) / 2));
  }
  return ratio;
}

}  // namespace

Verifier::Verifier(const Model& before, const VerifyOptions& options, std::vector<std::string>* assumed)
    : before_(before), options_(options) {
  if (assumed && options_.inputs > 0) random_inputs(before_, options_.sizes, options_.seed, assumed);
  session_ = std::make_unique<Session>(before_, SessionOptions{.threads = options_.threads});
  measure_sensitivity();
}

int64_t Verifier::count() const { return options_.inputs + (options_.data ? options_.data->size() : 0); }

TensorMap Verifier::inputs(int64_t i) const {
  if (i >= options_.inputs) return (*options_.data)[i - options_.inputs];
  // Each input of the model has a seed of its own.
  return random_inputs(before_, options_.sizes, options_.seed + static_cast<uint64_t>(i) * 1000);
}

void Verifier::measure_sensitivity() {
  if (options_.tolerance) return;
  // Some of either kind: the user's data may be another regime of the model than noise is.
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < std::min(options_.inputs, kDitheredInputs); ++i) chosen.push_back(i);
  for (int64_t i = options_.inputs; i < std::min(count(), options_.inputs + kDitheredInputs); ++i)
    chosen.push_back(i);
  std::vector<TensorMap> expected;
  for (int64_t i : chosen) expected.push_back(session_->run(inputs(i)));
  for (int64_t dither = 0; dither < kDithers; ++dither) {
    progress(
        fmt::format("measuring how sensitive the model is to roundings, {} of {}", dither + 1, kDithers));
    const Session session(before_.dithered(options_.seed + static_cast<uint64_t>(dither)),
                          {.threads = options_.threads});
    for (size_t k = 0; k < chosen.size(); ++k) {
      for (const auto& [name, tensor] : session.run(inputs(chosen[k]))) {
        double& d = sensitivity_[name];
        d = std::max(d, distance(tensor, expected[k].at(name)));
      }
    }
  }
  progress("");
}

Report::Verification Verifier::compare(const Model& after, const Report& report) const {
  const Session session(after, {.threads = options_.threads});
  const double ratio = bound_ratio(report);
  Report::Verification result{.inputs = count(), .equal = true};
  result.seeded = options_.inputs;
  result.given = result.inputs - result.seeded;
  double worst = -1;
  for (int64_t i = 0; i < result.inputs; ++i) {
    progress(fmt::format("verifying on input {} of {}", i + 1, result.inputs));
    const TensorMap set = inputs(i);
    const TensorMap expected = session_->run(set), actual = session.run(set);
    for (const TensorInfo& output : before_.outputs()) {
      const Tensor& y = expected.at(output.name);
      const auto measured = sensitivity_.find(output.name);
      const double sensitivity = measured == sensitivity_.end() ? 0 : measured->second;
      const double least = is_continuous(y.type()) ? epsilon_of(y.type()) : 0;
      const double tolerance = options_.tolerance.value_or(
          std::min(kLargestTolerance, kFactor * std::max(sensitivity, least) * ratio));
      const double difference = distance(actual.at(output.name), y);
      result.equal = result.equal && difference <= tolerance;
      const double weight = difference == 0 ? 0 : difference / tolerance;  // infinite for a tolerance of 0
      if (weight > worst) {
        worst = weight;
        result.max_difference = difference;
        result.tolerance = tolerance;
        result.sensitivity = sensitivity;
        result.worst_output = output.name;
      }
    }
  }
  progress("");
  return result;
}

}  // namespace plica::tools
