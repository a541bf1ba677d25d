#include "tools/verify.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tools/console.h"
#include "tools/inputs.h"
#include "tools/values.h"

namespace plica::tools {
namespace {

constexpr double kAmplification = 16, kLargestTolerance = 1e-2;

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

}  // namespace

Report::Verification verify(const Model& before, const Model& after, const Report& report,
                            const VerifyOptions& options, std::vector<std::string>* assumed) {
  double bounds = 0;
  for (const Report::BatchNorm& b : report.batch_norms) bounds += b.error_bound.value_or(0);
  const Session old_session(before, {.threads = options.threads}),
      new_session(after, {.threads = options.threads});

  Report::Verification result{.inputs = options.inputs, .equal = true};
  double worst = -1;
  for (int64_t i = 0; i < options.inputs; ++i) {
    progress(fmt::format("verifying on input {} of {}", i + 1, options.inputs));
    const uint64_t seed =
        options.seed + static_cast<uint64_t>(i) * 1000;  // each input of the model has a seed of its own
    const TensorMap inputs = random_inputs(before, options.sizes, seed, i == 0 ? assumed : nullptr);
    const TensorMap expected = old_session.run(inputs), actual = new_session.run(inputs);
    for (const TensorInfo& output : before.outputs()) {
      const Tensor& y = expected.at(output.name);
      const double tolerance =
          is_floating(y.type())
              ? std::min(kLargestTolerance,
                         kAmplification *
                             (bounds + static_cast<double>(report.nodes_before) * epsilon_of(y.type())))
              : 0;
      double largest = 0;
      if (is_numeric(y.type())) {
        for (double value : to_doubles(y)) {
          if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
        }
      }
      const Difference d = compare(actual.at(output.name), y, 0, tolerance * largest);
      // Infinite when something differs that has no distance.
      double relative = largest > 0 ? d.max_absolute / largest : d.max_absolute;
      if (!d.equal() && !(relative > tolerance)) relative = std::numeric_limits<double>::infinity();
      result.equal = result.equal && d.equal();
      const double weight = tolerance > 0 ? relative / tolerance : relative;
      if (weight > worst) {
        worst = weight;
        result.max_difference = relative;
        result.tolerance = tolerance;
        result.worst_output = output.name;
      }
    }
  }
  progress("");
  return result;
}

}  // namespace plica::tools
