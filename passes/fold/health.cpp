#include "passes/fold/health.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <functional>
#include <limits>
#include <optional>

#include "engine/core/fail.h"
#include "engine/ops/attribute_reader.h"
#include "engine/ops/table.h"
#include "passes/constants.h"

namespace plica {
namespace {

using enum HealthSeverity;

constexpr std::string_view kRecalibrate = "retrain it, or re-estimate its running statistics on data";

// What a floating-point type can hold.
struct Range {
  double smallest_normal, largest;
  int precision;  // bits of the significand, the implicit one too
};

Range range_of(DataType type) {
  switch (type) {
    case DataType::float16:
      return {0x1p-14, 65504, 11};
    case DataType::bfloat16:
      return {0x1p-126, 0x1.fep127, 8};
    case DataType::float64:
      return {std::numeric_limits<double>::min(), std::numeric_limits<double>::max(), 53};
    default:
      return {0x1p-126, static_cast<double>(std::numeric_limits<float>::max()), 24};
  }
}

const Tensor* constant_of(const Value* value) {
  constexpr int kMostHops = 64;  // many batch norms may hang on one endless chain
  for (int hop = 0; value && hop < kMostHops; ++hop) {
    if (const Tensor* t = value->constant()) return t;
    const Node* producer = value->producer();
    if (!producer || !producer->is("Identity")) return nullptr;
    value = producer->input(0);
  }
  return nullptr;
}

// Of the magnitudes of the finite values; 0 when there is none.
double median_magnitude(const std::vector<double>& values) {
  std::vector<double> finite;
  for (double v : values) {
    if (std::isfinite(v)) finite.push_back(std::abs(v));
  }
  if (finite.empty()) return 0;
  const auto middle = finite.begin() + static_cast<std::ptrdiff_t>(finite.size() / 2);
  std::nth_element(finite.begin(), middle, finite.end());
  return *middle;
}

DataType element_type(const Node& node, DataType fallback) {
  for (const Value* value : {node.input(0), node.output(0)}) {
    if (value && value->type().is_tensor() && is_foldable_type(value->type().element))
      return value->type().element;
  }
  return fallback;
}

class Examination {
 public:
  explicit Examination(BatchNormHealth& out) : out_(out) {}

  void whole(std::string_view kind, HealthSeverity severity, std::string text, std::string fix) {
    out_.findings.push_back({kind, severity, 0, {}, std::move(text), std::move(fix)});
  }

  // A finding about the channels for which `concerned` holds; text follows "N of C channels ".
  template <std::predicate<size_t> Concerned>
  void channels(std::string_view kind, HealthSeverity severity, const Concerned& concerned,
                std::string_view text, std::string_view fix) {
    BatchNormFinding f{kind, severity, 0, {}, {}, std::string(fix)};
    for (size_t c = 0; c < out_.gain.size(); ++c) {
      if (!concerned(c)) continue;
      if (f.first.size() < health::kFirstChannels) f.first.push_back(static_cast<int64_t>(c));
      ++f.channels;
      out_.marks[c] = std::max(out_.marks[c], static_cast<uint8_t>(1 + static_cast<int>(severity)));
    }
    if (f.channels == 0) return;
    f.text = fmt::format("{} of {} channels {}", f.channels, out_.gain.size(), text);
    out_.findings.push_back(std::move(f));
  }

 private:
  BatchNormHealth& out_;
};

void examine_channels(BatchNormHealth& out, const std::vector<double>& scale,
                      const std::vector<double>& bias) {
  namespace h = health;
  Examination examine(out);
  const Range range = range_of(out.type);
  const auto& [mean, variance, gain, shift] = std::tie(out.mean, out.variance, out.gain, out.shift);
  const double epsilon = out.epsilon;

  const auto finite = [&](size_t c) {
    return std::isfinite(scale[c]) && std::isfinite(bias[c]) && std::isfinite(mean[c]) &&
           std::isfinite(variance[c]);
  };
  const auto has_root = [&](size_t c) { return finite(c) && variance[c] + epsilon > 0; };
  examine.channels(
      h::kNotFinite, error, [&](size_t c) { return !finite(c); },
      "have a parameter that is NaN or infinite: so is everything they compute", kRecalibrate);
  examine.channels(
      h::kNoSquareRoot, error, [&](size_t c) { return finite(c) && !has_root(c); },
      fmt::format(
          "have variance + epsilon (epsilon {:g}) of 0 or less, which has no square root to divide by: "
          "they compute NaN or infinity",
          epsilon),
      kRecalibrate);
  examine.channels(
      h::kNegative, warning, [&](size_t c) { return has_root(c) && variance[c] < 0; },
      "have a negative variance, which no data has: the running statistics are damaged", kRecalibrate);

  const auto overflows = [&](size_t c) {
    return has_root(c) && (!(std::abs(gain[c]) <= range.largest) || !(std::abs(shift[c]) <= range.largest));
  };
  examine.channels(h::kOverflow, error, overflows,
                   fmt::format("have a factor or an offset beyond the largest {}, {:g}", to_string(out.type),
                               range.largest),
                   "use a type of larger range, or re-estimate the running statistics");
  const auto subnormal = [&](double v) { return v != 0 && std::abs(v) < range.smallest_normal; };
  examine.channels(
      h::kSubnormal, out.type == DataType::float16 ? note : warning,
      [&](size_t c) { return has_root(c) && (subnormal(gain[c]) || subnormal(shift[c])); },
      fmt::format("have a factor or an offset below the smallest normal {}, {:.3g}: it loses digits{}",
                  to_string(out.type), range.smallest_normal,
                  out.type == DataType::float16 ? "" : ", and CPUs compute with it many times slower"),
      out.type == DataType::float16 ? "keep these parameters in float32"
                                    : "folding makes such constants 0; or prune the channels");

  const double median_variance = median_magnitude(variance), median_scale = median_magnitude(scale),
               median_gain = median_magnitude(gain);
  // The largest takes the median's place where most channels are dead.
  double typical_scale = median_scale;
  if (typical_scale == 0) {
    for (double s : scale) {
      if (std::isfinite(s)) typical_scale = std::max(typical_scale, std::abs(s));
    }
  }
  const auto dead = [&](size_t c) { return finite(c) && scale[c] == 0; };
  const auto nearly_dead = [&](size_t c) {
    return finite(c) && !dead(c) && std::abs(scale[c]) < h::kDeadShare * typical_scale;
  };
  const auto tiny = [&](size_t c) {
    return has_root(c) && variance[c] > 0 &&
           (variance[c] <= epsilon || variance[c] < h::kTinyVarianceShare * median_variance);
  };
  examine.channels(
      h::kZeroVariance, warning,
      [&](size_t c) { return has_root(c) && variance[c] == 0 && !dead(c) && !nearly_dead(c); },
      fmt::format(
          "have variance 0: what comes in never changed in training, and any change is now multiplied "
          "by {:.3g} times the scale",
          epsilon > 0 ? 1 / std::sqrt(epsilon) : std::numeric_limits<double>::infinity()),
      "check the layer before it for dead channels; re-estimate the running statistics if it has none");
  examine.channels(
      h::kExtremeGain, warning,
      [&](size_t c) {
        const double g = std::abs(gain[c]);
        return has_root(c) && std::isfinite(g) &&
               (g > h::kLargestGain || (g > 1 && median_gain > 0 && g > h::kLargestGainShare * median_gain));
      },
      fmt::format(
          "multiply by more than {} or by more than {} times the layer's median, {:.3g}: they amplify "
          "rounding errors as much",
          h::kLargestGain, h::kLargestGainShare, median_gain),
      "look at their variance: re-estimate the running statistics on more data, or prune them");
  const double far = h::far_mean_ratio(out.type);
  examine.channels(
      h::kFarMean, warning,
      [&](size_t c) {
        return has_root(c) && !dead(c) && !tiny(c) && variance[c] > 0 &&
               std::abs(mean[c]) > far * std::sqrt(variance[c] + epsilon);
      },
      fmt::format("have a mean more than {:.4g} standard deviations from 0: subtracting it cancels more than "
                  "half of the digits of a {}",
                  far, to_string(out.type)),
      "subtract the mean before (from the data, or in the bias of the layer before), or use a more precise "
      "type");
  examine.channels(
      h::kTinyVariance, note, tiny,
      fmt::format("have a variance of epsilon ({:g}) or less, or below {:g} of the layer's median: "
                  "epsilon decides their factor, or they hardly ever vary",
                  epsilon, h::kTinyVarianceShare),
      "check that they are meant to carry so little, or prune them");
  examine.channels(h::kDead, note, dead,
                   "are dead: their scale is 0, and they compute their bias whatever comes in",
                   "prune them to make the model smaller");
  examine.channels(
      h::kNearlyDead, note, nearly_dead,
      fmt::format("are nearly dead: they vary less than {:g} times as much as the layer's median",
                  h::kDeadShare),
      "prune them to make the model smaller");

  const auto all = [](const std::vector<double>& values, double v) {
    return std::ranges::all_of(values, [v](double x) { return x == v; });
  };
  if (all(mean, 0) && all(variance, 1)) {
    const bool initial = all(scale, 1) && all(bias, 0);
    examine.whole(
        h::kNeverUpdated, warning,
        initial ? "all its parameters have their initial values: it was never trained"
                : "its mean is 0 and its variance 1 in all channels, their initial values: the "
                  "running statistics were never updated (or a converter wrote a scale as a batch norm)",
        "train it in training mode and export after loading the checkpoint, or re-estimate the running "
        "statistics on data");
  }
}

}  // namespace

std::string_view to_string(HealthSeverity severity) {
  constexpr std::array<std::string_view, 3> kNames = {"note", "warning", "error"};
  return kNames[static_cast<size_t>(severity)];
}

double health::far_mean_ratio(DataType type) { return std::exp2(range_of(type).precision / 2.0); }

std::optional<TrainingMode> training_mode(const Node& node) {
  const AttributeReader attributes(node);
  const std::string fix = "exported in training mode: call eval() before export";
  if (node.opset() >= 14) {
    if (attributes.i("training_mode") != 0)
      return TrainingMode{"it is in training mode: it normalizes by the statistics of each batch", fix};
  } else if (node.opset() <= 6 && attributes.i("is_test") == 0) {
    return TrainingMode{
        "its is_test is 0, which is training mode: it normalizes by the statistics of each batch",
        fix + ", or set is_test to 1"};
  }
  for (int i = 1; i < node.num_outputs(); ++i) {
    // Up to opset 13, listing these outputs is what puts the operator into training mode.
    if (node.has_output(i) && (node.opset() < 14 || node.output(i)->has_uses()))
      return TrainingMode{
          fmt::format("it computes statistics too (output {})", quoted(node.output(i)->name())), fix};
  }
  return std::nullopt;
}

BatchNormHealth examine_batch_norm(const Node& node, int64_t& channels_left) {
  BatchNormHealth out;
  Examination examine(out);
  if (!find_op(node) || has_attribute_references(node)) {
    examine.whole(health::kNotConstant, note, "its attributes are not known here, so it can't be examined",
                  "");
    return out;
  }
  try {
    const AttributeReader attributes(node);
    out.epsilon = static_cast<double>(attributes.f("epsilon"));
    out.training = training_mode(node).has_value();
  } catch (const Error& e) {  // an attribute of another type
    examine.whole(health::kNotConstant, note, e.message(), "");
    return out;
  }
  if (out.training) {
    examine.whole(
        health::kTrainingMode, error,
        "is in training mode: it normalizes by the statistics of each batch, so that an output depends on "
        "the rest of its batch",
        "call eval() before export");
  }

  std::array<const Tensor*, 4> parameters{};  // scale, bias, mean, variance
  for (int i = 0; i < 4; ++i) {
    const Tensor* t = constant_of(node.input(i + 1));
    if (!t || !is_foldable_type(t->type())) {
      examine.whole(health::kNotConstant, note,
                    "its parameters are not all floating-point constants, so they can't be examined",
                    "store them in the model as initializers");
      return out;
    }
    parameters[static_cast<size_t>(i)] = t;
  }
  const bool same = std::ranges::all_of(
      parameters, [&](const Tensor* t) { return t->dims() == parameters[0]->dims() && t->size() > 0; });
  if (same && parameters[0]->rank() > 1) {
    examine.whole(
        health::kSpatial, warning,
        "has statistics for each activation (spatial = 0), not for each channel: few runtimes compute "
        "it, and only what reads them as one row can take it in",
        "export it with spatial = 1, or to opset 9 or later");
    return out;
  }
  if (!same || parameters[0]->rank() != 1) {
    examine.whole(health::kBadShape, error, "its parameters do not have one value for each channel alike",
                  "the model is not valid: export it again");
    return out;
  }

  if (parameters[0]->size() > channels_left) {
    examine.whole(health::kNotExamined, note,
                  fmt::format("was not examined: the model's batch norms have more than {} channels in all",
                              health::kMostChannels),
                  "");
    return out;
  }
  channels_left -= parameters[0]->size();

  const std::vector<double> scale = to_doubles(*parameters[0]), bias = to_doubles(*parameters[1]);
  out.type = element_type(node, parameters[0]->type());
  out.mean = to_doubles(*parameters[2]);
  out.variance = to_doubles(*parameters[3]);
  out.gain.reserve(scale.size());
  out.shift.reserve(scale.size());
  for (size_t c = 0; c < scale.size(); ++c) {
    out.gain.push_back(scale[c] / std::sqrt(out.variance[c] + out.epsilon));
    out.shift.push_back(bias[c] - out.mean[c] * out.gain[c]);
  }
  out.marks.assign(scale.size(), 0);
  examine_channels(out, scale, bias);
  std::ranges::stable_sort(out.findings, std::greater(), &BatchNormFinding::severity);
  return out;
}

}  // namespace plica
