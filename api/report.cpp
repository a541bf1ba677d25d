#include "plica/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace plica {
namespace {

using nlohmann::ordered_json;

// The magnitudes of gains spread around 1; all else as it is.
ordered_json summary_of(const std::vector<double>& values) {
  std::vector<double> finite;
  std::ranges::copy_if(values, std::back_inserter(finite), [](double v) { return std::isfinite(v); });
  ordered_json out = ordered_json::object();
  if (!finite.empty()) {
    std::ranges::sort(finite);
    out = {{"min", finite.front()}, {"median", finite[finite.size() / 2]}, {"max", finite.back()}};
  }
  if (finite.size() != values.size()) out["not_finite"] = values.size() - finite.size();
  return out;
}

ordered_json channels_json(const Report::Channels& channels, Report::ChannelDetail detail) {
  ordered_json out = {{"count", channels.gain.size()}};
  for (const auto& [name, values] :
       {std::pair("mean", &channels.mean), std::pair("variance", &channels.variance),
        std::pair("gain", &channels.gain), std::pair("shift", &channels.shift),
        std::pair("error_bound", &channels.bounds)}) {
    if (values->empty()) continue;
    out[name] = summary_of(*values);
    if (detail == Report::ChannelDetail::values) out[name]["values"] = *values;  // not finite: null
  }
  return out;
}

ordered_json health_json(const std::vector<HealthFinding>& findings) {
  ordered_json out = ordered_json::array();
  for (const HealthFinding& f : findings) {
    ordered_json entry = {{"kind", f.kind}, {"severity", to_string(f.severity)}};
    if (f.channels != 0) {
      entry["channels"] = f.channels;
      entry["first_channels"] = f.first_channels;
    }
    entry["message"] = f.message;
    if (!f.fix.empty()) entry["fix"] = f.fix;
    out.push_back(std::move(entry));
  }
  return out;
}

ordered_json norm_json(const Report::BatchNorm& b, Report::ChannelDetail detail) {
  ordered_json entry = {{"node", b.node}, {"verdict", b.folded ? "folded" : "kept"}};
  if (b.folded) {
    entry["into"] = b.into;
    entry["rule"] = b.rule;
    if (b.error_bound) entry["error_bound"] = *b.error_bound;
    if (b.offset_stays) entry["offset_stays"] = true;
    if (b.flushed != 0) entry["flushed"] = b.flushed;
  } else {
    entry["reason"] = b.reason;
    entry["fix"] = b.fix;
    if (!b.blocking.empty()) entry["blocking"] = b.blocking;
  }
  entry["epsilon"] = b.epsilon;
  if (!b.channels.gain.empty()) entry["channels"] = channels_json(b.channels, detail);
  entry["health"] = health_json(b.health);
  return entry;
}

}  // namespace

std::string_view to_string(HealthFinding::Severity severity) {
  constexpr std::array<std::string_view, 3> kNames = {"note", "warning", "error"};
  return kNames[static_cast<size_t>(severity)];
}

std::string to_text(const HealthFinding& f) {
  if (f.first_channels.empty()) return f.message;
  const bool more = f.channels > static_cast<int64_t>(f.first_channels.size());
  return fmt::format("{} (channel{} {}{})", f.message, f.channels == 1 ? "" : "s",
                     fmt::join(f.first_channels, ", "), more ? ", ..." : "");
}

int64_t Report::folded() const {
  return std::ranges::count_if(batch_norms, [](const BatchNorm& b) { return b.folded; });
}

int64_t Report::rewrites() const {
  int64_t count = 0;
  for (const auto& [rule, times] : rules) count += times;
  return count;
}

int64_t Report::findings(HealthFinding::Severity severity) const {
  int64_t count = 0;
  for (const BatchNorm& b : batch_norms) {
    count += std::ranges::count(b.health, severity, &HealthFinding::severity);
  }
  return count;
}

std::string Report::to_json(int indent, ChannelDetail detail) const {
  ordered_json norms = ordered_json::array();
  for (const BatchNorm& b : batch_norms) norms.push_back(norm_json(b, detail));
  ordered_json root = {{"schema", 1},
                       {"model", model},
                       {"nodes", {{"before", nodes_before}, {"after", nodes_after}}},
                       {"operators", {{"before", operators_before}, {"after", operators_after}}},
                       {"batch_norms", std::move(norms)},
                       {"rules", rules}};
  if (verification) {
    const Verification& v = *verification;
    root["verify"] = {{"inputs", v.inputs},
                      {"seeded", v.seeded},
                      {"given", v.given},
                      {"equal", v.equal},
                      {"max_difference", v.max_difference},
                      {"tolerance", v.tolerance},
                      {"sensitivity", v.sensitivity},
                      {"worst_output", v.worst_output}};
  }
  // Names come from files and need not be UTF-8.
  return root.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

std::string Report::to_text() const {
  std::string text = fmt::format("{} nodes became {}; {} of {} batch norms folded\n", nodes_before,
                                 nodes_after, folded(), batch_norms.size());
  for (const BatchNorm& b : batch_norms) {
    if (b.folded) {
      std::vector<std::string> into;
      for (const std::string& name : b.into) into.push_back(quoted(name));
      text += fmt::format("  folded {} into {}{} ({}", quoted(b.node), fmt::join(into, ", "),
                          b.offset_stays ? ", but for its offset, which stays" : "", b.rule);
      if (b.error_bound) text += fmt::format(", error at most {:.1e}", *b.error_bound);
      text += ")\n";
    } else {
      text += fmt::format("  kept   {}: {}", quoted(b.node), b.reason);
      if (!b.fix.empty()) text += fmt::format("; {}", b.fix);
      text += "\n";
    }
    for (const HealthFinding& f : b.health) {
      text += fmt::format("    {}: {}{}{}\n", plica::to_string(f.severity), plica::to_text(f),
                          f.fix.empty() ? "" : "; ", f.fix);
    }
  }
  return text;
}

}  // namespace plica
