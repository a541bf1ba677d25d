// Health of a batch norm: what is remarkable about its parameters, channel by channel, before anything is
// folded. A pure function of the node; the only place that has these thresholds.
//
//   y = gain * x + shift,   gain = scale / sqrt(variance + epsilon),   shift = bias - mean * gain
//
// Severities: an error computes NaN, infinity or something that depends on the rest of the batch; a warning
// is likely a mistake, or costs accuracy or speed; a note is worth knowing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/graph/graph.h"

namespace plica {

enum class HealthSeverity { note, warning, error };
std::string_view to_string(HealthSeverity severity);

struct BatchNormFinding {
  std::string_view kind;  // one of the words below, for machines
  HealthSeverity severity = HealthSeverity::note;
  int64_t channels = 0;        // how many it concerns; 0: the batch norm as a whole
  std::vector<int64_t> first;  // the first of them
  std::string text;            // a clause about the batch norm, in the user's terms
  std::string fix;             // what the user can do; may be empty
};

struct BatchNormHealth {
  DataType type = DataType::undefined;  // of the elements that it computes, as far as that is known
  double epsilon = 0;
  bool training = false;  // uses the batch's statistics
  // By channel; all empty when the parameters are not constants with one value for each channel. Gain and
  // shift are NaN where variance + epsilon is negative.
  std::vector<double> mean, variance, gain, shift;
  std::vector<uint8_t> marks;              // by channel: 0, or 1 + the worst severity of what concerns it
  std::vector<BatchNormFinding> findings;  // the worst first

  int64_t channels() const { return static_cast<int64_t>(gain.size()); }
};

namespace health {

// ---- Kinds, and why each threshold is where it is. Where training has given each channel of `x` about unit
// variance after normalization, |scale| is the standard deviation of what the channel computes: that is what
// makes channels of a layer comparable.

inline constexpr std::string_view kTrainingMode = "training_mode";   // error
inline constexpr std::string_view kSpatial = "spatial";              // warning: a value for each activation
inline constexpr std::string_view kNotConstant = "not_constant";     // note: there is nothing to examine
inline constexpr std::string_view kNotExamined = "not_examined";     // note: too many channels in all
inline constexpr std::string_view kBadShape = "bad_shape";           // error: not one value for each channel
inline constexpr std::string_view kNotFinite = "not_finite";         // error: a parameter is NaN or infinite
inline constexpr std::string_view kNoSquareRoot = "no_square_root";  // error: variance + epsilon <= 0
inline constexpr std::string_view kNegative = "negative_variance";   // warning: epsilon hides it
inline constexpr std::string_view kOverflow = "overflow";            // error: gain or shift beyond the type
inline constexpr std::string_view kSubnormal = "subnormal";  // warning: gain or shift below its normals
inline constexpr std::string_view kZeroVariance = "zero_variance";  // warning: variance is exactly 0
inline constexpr std::string_view kTinyVariance = "tiny_variance";  // note
inline constexpr std::string_view kDead = "dead";                   // note: scale is exactly 0
inline constexpr std::string_view kNearlyDead = "nearly_dead";      // note
inline constexpr std::string_view kExtremeGain = "extreme_gain";    // warning
inline constexpr std::string_view kFarMean = "far_mean";            // warning
inline constexpr std::string_view kNeverUpdated = "never_updated";  // warning: mean all 0, variance all 1

// A channel is nearly dead when it varies 10^-4 times (-80 dB) as much as the layer's median channel, by
// |scale|: below what 8-bit quantization keeps (-48 dB), and far from what training leaves in live channels.
inline constexpr double kDeadShare = 1e-4;

// A variance is tiny when epsilon makes up at least half of variance + epsilon, so that the constant and not
// the data decides the gain; or when the standard deviation is below a thousandth of the layer's median.
inline constexpr double kTinyVarianceShare = 1e-6;  // of the median variance

// A gain multiplies the rounding errors of what comes in. With |scale| = 1 and the default epsilon of 1e-5 it
// can't pass 1 / sqrt(epsilon) = 316, for an input that never varied at all; beyond 1000 in float32 more than
// the last 3 of its 7 digits are noise. Or beyond 100 times the layer's median, with a gain above 1: one
// channel then decides the range of the whole tensor.
inline constexpr double kLargestGain = 1000;
inline constexpr double kLargestGainShare = 100;  // of the median |gain|

// x - mean cancels: with |mean| = r standard deviations, log2(r) bits of x are lost. A mean is far when half
// of the type's p bits are: r > 2^(p/2), which is 4096 for float32, 45 for float16, 16 for bfloat16.
double far_mean_ratio(DataType type);

inline constexpr size_t kFirstChannels = 8;  // that a finding lists

// A report keeps the channels of so many; batch norms beyond get the finding not_examined. 25 times what the
// largest networks have (EfficientNet-B7: 80,000), and at most 100 MB.
inline constexpr int64_t kMostChannels = 1 << 21;

}  // namespace health

// Why a batch norm normalizes by the statistics of its batch: training_mode (opset 14), is_test = 0 (up to
// 6), or statistics among its outputs; and what to do. Nothing when it uses the running ones.
struct TrainingMode {
  std::string reason, fix;
};
std::optional<TrainingMode> training_mode(const Node& node);

// `node` is a BatchNormalization of any version. Its parameters are read through Identity. `channels_left`:
// what is left of kMostChannels; the batch norm's channels are taken from it.
BatchNormHealth examine_batch_norm(const Node& node, int64_t& channels_left);

}  // namespace plica
