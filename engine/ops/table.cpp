#include "engine/ops/table.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <unordered_map>

#include "engine/core/fail.h"
#include "engine/graph/model_graph.h"
#include "engine/ops/custom_operators.h"

namespace plica {
namespace {

std::array<std::span<const OpDef>, 26> families() {
  return {elementwise_ops(),  activation_ops(), reduction_ops(), linear_ops(),   normalization_ops(),
          pooling_ops(),      layout_ops(),     indexing_ops(),  resize_ops(),   constant_ops(),
          quantization_ops(), recurrent_ops(),  attention_ops(), loss_ops(),     einsum_ops(),
          spatial_ops(),      signal_ops(),     random_ops(),    image_ops(),    integer_ops(),
          microsoft_ops(),    ml_ops(),         text_ops(),      training_ops(), sequence_ops(),
          control_ops()};
}

std::string_view canonical(std::string_view domain) { return domain == "ai.onnx" ? "" : domain; }

using Index = std::unordered_map<std::string_view, std::vector<const OpDef*>>;

const Index& by_name() {
  static const Index index = [] {
    Index map;
    for (auto family : families()) {
      for (const OpDef& def : family) map[def.name].push_back(&def);
    }
    return map;
  }();
  return index;
}

}  // namespace

const OpDef* find_op(std::string_view domain, std::string_view op_type, int64_t opset) {
  auto it = by_name().find(op_type);
  if (it == by_name().end()) return nullptr;
  for (const OpDef* def : it->second) {
    if (def->domain == canonical(domain) && def->since <= opset && opset <= def->until) return def;
  }
  return nullptr;
}

const OpDef* find_op(const Node& node) {
  if (const auto& custom = node.graph()->model().custom_operators) {
    if (const OpDef* def = custom->find(node.domain(), node.op_type(), node.opset())) return def;
  }
  return find_op(node.domain(), node.op_type(), node.opset());
}

const OpDef& op_of(const Node& node) {
  if (const OpDef* def = find_op(node)) return *def;
  fail(ErrorCode::unsupported, "operator {} of {} opset {} is not supported", quoted(node.op_type()),
       node.domain().empty() ? "ai.onnx" : quoted(node.domain()), node.opset());
}

std::vector<const OpDef*> all_ops() {
  std::vector<const OpDef*> all;
  for (auto family : families()) {
    for (const OpDef& def : family) all.push_back(&def);
  }
  std::ranges::sort(all, {}, [](const OpDef* d) { return std::tuple(d->domain, d->name, d->since); });
  return all;
}

std::string to_string(TypeSet set) {
  struct Group {
    std::string_view name;
    TypeSet types;
  };
  // The larger first.
  static constexpr Group kGroups[] = {
      {"any", types::kAll},       {"numeric", types::kNumeric},   {"integer", types::kInteger},
      {"signed", types::kSigned}, {"unsigned", types::kUnsigned}, {"float", types::kFloat},
      {"float8", types::kFloat8}, {"packed", types::kPacked},     {"complex", types::kComplex},
  };
  std::string text;
  const auto add = [&](std::string_view name) { text += (text.empty() ? "" : ", ") + std::string(name); };
  std::vector<DataType> left;
  for (int i = 1; i <= static_cast<int>(DataType::map); ++i) {
    if (set.contains(static_cast<DataType>(i))) left.push_back(static_cast<DataType>(i));
  }
  for (const Group& g : kGroups) {
    const auto rest = std::ranges::stable_partition(left, [&](DataType t) { return !g.types.contains(t); });
    int size = 0;
    for (int i = 1; i < kDataTypeCount; ++i) size += g.types.contains(static_cast<DataType>(i));
    if (std::ssize(rest) != size) {
      std::ranges::sort(left);
      continue;
    }
    add(g.name);
    left.erase(rest.begin(), rest.end());
  }
  for (DataType t : left) add(to_string(t));
  return text;
}

}  // namespace plica
