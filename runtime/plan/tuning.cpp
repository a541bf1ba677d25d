#include "runtime/plan/tuning.h"

#include <fmt/format.h>

#include <cstdint>

namespace plica {
namespace {

std::string by_x(const Dims& dims) {
  std::string out;
  for (int64_t d : dims) out += fmt::format("{}{}", out.empty() ? "" : "x", d);
  return out;
}

std::string operand(const LoweredGraph& graph, int v) {
  if (v < 0) return "-";
  const LoweredValue& value = graph.value(v);
  return (value.constant.defined() ? "w" : "") + by_x(value.dims);
}

std::string list(const LoweredGraph& graph, const std::vector<int>& values) {
  std::string out;
  for (size_t i = 0; i < values.size(); ++i) out += (i > 0 ? "," : "") + operand(graph, values[i]);
  return out;
}

// FNV-1a, 64 bits.
void mix(uint64_t& digest, const std::string& text) {
  for (const char c : text) digest = (digest ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  digest = (digest ^ 0xff) * 0x100000001b3;
}

}  // namespace

std::string step_key(const LoweredGraph& graph, const LoweredOp& op) {
  if (op.is<DynamicParams>()) return "";
  for (int v : reads_of(op)) {
    if (graph.value(v).dynamic) return "";
  }
  std::string key;
  for (const Node* node : op.nodes) key += (key.empty() ? "" : "+") + node->op_type();
  key += fmt::format(" {} to {}", list(graph, op.inputs), list(graph, op.outputs));
  if (const auto* p = op.get_if<ConvolutionParams>()) {
    const Window& w = p->window;
    key += fmt::format(" k{} s{} d{} p{}/{} g{}{}", by_x(w.kernel), by_x(w.strides), by_x(w.dilations),
                       by_x(w.pads_begin), by_x(w.pads_end), p->groups, p->transposed ? " transposed" : "");
  }
  for (const PointOp& link : op.chain) {
    if (!link.is_unary) key += " with " + operand(graph, link.operand);
  }
  return key;
}

std::string plan_key(const LoweredGraph& graph, int threads) {
  uint64_t digest = 0xcbf29ce484222325;
  for (const LoweredOp& op : graph.ops) mix(digest, step_key(graph, op));
  return fmt::format("{:016x}-t{}", digest, threads);
}

PlanTuning tuning_of(const LoweredGraph& graph, const Tuning* tuning, int threads) {
  if (!tuning) return {};
  std::string key = plan_key(graph, threads);
  PlanChoice choice = tuning->of(key);
  return {std::move(key), std::move(choice)};
}

}  // namespace plica
