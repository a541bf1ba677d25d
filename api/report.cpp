#include "plica/report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace plica {

int64_t Report::folded() const {
  return std::count_if(batch_norms.begin(), batch_norms.end(), [](const BatchNorm& b) { return b.folded; });
}

std::string Report::to_json(int indent) const {
  using nlohmann::ordered_json;
  ordered_json norms = ordered_json::array();
  for (const BatchNorm& b : batch_norms) {
    ordered_json entry = {{"node", b.node}, {"verdict", b.folded ? "folded" : "kept"}};
    if (b.folded) {
      entry["into"] = b.into;
      entry["rule"] = b.rule;
      if (b.error_bound) entry["error_bound"] = *b.error_bound;
      if (b.flushed != 0) entry["flushed"] = b.flushed;
    } else {
      entry["reason"] = b.reason;
      entry["fix"] = b.fix;
      if (!b.blocking.empty()) entry["blocking"] = b.blocking;
    }
    norms.push_back(std::move(entry));
  }
  ordered_json root = {{"schema", 1},
                       {"nodes", {{"before", nodes_before}, {"after", nodes_after}}},
                       {"batch_norms", std::move(norms)},
                       {"rules", rules}};
  if (verification) {
    const Verification& v = *verification;
    root["verify"] = {{"inputs", v.inputs},
                      {"equal", v.equal},
                      {"max_difference", v.max_difference},
                      {"tolerance", v.tolerance},
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
      text += fmt::format("  folded {} into {} ({}", quoted(b.node), fmt::join(into, ", "), b.rule);
      if (b.error_bound) text += fmt::format(", error at most {:.1e}", *b.error_bound);
      text += ")\n";
    } else {
      text += fmt::format("  kept   {}: {}", quoted(b.node), b.reason);
      if (!b.fix.empty()) text += fmt::format("; {}", b.fix);
      text += "\n";
    }
  }
  return text;
}

}  // namespace plica
