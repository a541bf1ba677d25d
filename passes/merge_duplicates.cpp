// Nodes that compute the same, and initializers that hold the same, become one.
//
// One patch for a graph: values are numbered in list order, so that what follows from merged inputs merges in
// the same walk, and everything is found through hashes. Nodes of different graphs stay apart.
#define XXH_INLINE_ALL  // no library to link
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <unordered_map>

#include "engine/core/file.h"
#include "engine/graph/captures.h"
#include "engine/ops/table.h"
#include "passes/constants.h"
#include "passes/match.h"
#include "passes/rules.h"

namespace plica {
namespace {

template <class T>
void append_bytes(std::string& key, const T& number) {
  key.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void append_text(std::string& key, std::string_view text) {
  append_bytes(key, text.size());
  key += text;
}

// What tells tensors apart. False for those that are not compared.
bool append_tensor(std::string& key, const Tensor& t) {
  constexpr size_t kMostBytes = 4096;
  if (!t.defined() || t.type() == DataType::string || t.bytes() > kMostBytes) return false;
  append_bytes(key, t.type());
  append_bytes(key, t.rank());
  for (int64_t d : t.dims()) append_bytes(key, d);
  key.append(static_cast<const char*>(t.raw()), t.bytes());
  return true;
}

bool append_value(std::string& key, const AttributeValue& value) {
  append_bytes(key, value.index());
  return std::visit(
      [&]<class T>(const T& v) {
        if constexpr (std::is_same_v<T, float> || std::is_same_v<T, int64_t>) {
          append_bytes(key, v);
          return true;
        } else if constexpr (std::is_same_v<T, std::string>) {
          append_text(key, v);
          return true;
        } else if constexpr (std::is_same_v<T, std::vector<float>> ||
                             std::is_same_v<T, std::vector<int64_t>>) {
          append_bytes(key, v.size());
          for (const auto& e : v) append_bytes(key, e);
          return true;
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          append_bytes(key, v.size());
          for (const auto& e : v) append_text(key, e);
          return true;
        } else if constexpr (std::is_same_v<T, Tensor>) {
          return append_tensor(key, v);
        } else {
          return false;  // subgraphs, types, sparse tensors
        }
      },
      value);
}

// The same for nodes that compute the same from the same inputs; nullopt for those that are not compared.
std::optional<std::string> key_of(const Node& node,
                                  const std::unordered_map<const Value*, Value*>& representative) {
  const OpDef* def = find_op(node);
  if (!def || !def->deterministic || has_attribute_references(node)) return std::nullopt;
  std::string key;
  append_text(key, node.domain());
  append_text(key, node.op_type());
  for (int i = 0; i < node.num_inputs(); ++i) {
    const Value* input = node.input(i);
    const auto other = representative.find(input);
    append_bytes(key, other == representative.end() ? input : other->second);
  }
  append_bytes(key, node.num_outputs());
  for (int i = 0; i < node.num_outputs(); ++i) append_bytes(key, node.has_output(i));
  std::vector<const Attribute*> attributes;
  for (const Attribute& a : node.attributes()) attributes.push_back(&a);
  std::ranges::sort(attributes, {}, &Attribute::name);
  for (const Attribute* a : attributes) {
    append_text(key, a->name);
    if (!append_value(key, a->value)) return std::nullopt;
  }
  return key;
}

// Of the type and the dims: all that need not be read.
uint64_t shape_hash(const Tensor& t) {
  const auto type = static_cast<uint64_t>(t.type());
  return XXH3_64bits_withSeed(t.dims().data(), t.dims().size() * sizeof(int64_t), type);
}

// Also of a few bytes at the beginning, in the middle and at the end. Weights differ almost everywhere, so
// these tell them apart, and a weight that is still in its file stays there.
uint64_t sample_hash(const Tensor& t) {
  constexpr size_t kSample = 64;
  std::array<std::byte, 3 * kSample> samples{};
  const size_t size = std::min(kSample, t.bytes());
  const std::array<size_t, 3> offsets = {0, (t.bytes() - size) / 2, t.bytes() - size};
  for (size_t i = 0; i < offsets.size() && size > 0; ++i) {
    t.copy_bytes(offsets[i], std::span(samples.data() + i * kSample, size));
  }
  return XXH3_64bits_withSeed(samples.data(), samples.size(), shape_hash(t));
}

uint64_t whole_hash(const Tensor& t) {
  const Tensor elements = t.in_memory();
  return XXH3_64bits_withSeed(elements.raw(), elements.bytes(), shape_hash(t));
}

// Initializers that hold the same as another before them, and that one. Those that callers may override, and
// those that a graph lists among its inputs or outputs, are left out.
using Duplicates = std::vector<std::pair<Value*, Value*>>;
Duplicates duplicate_initializers(const Graph& graph) {
  // Whatever is alone with its shape, then with its samples, has no duplicate.
  std::vector<Value*> candidates;
  for (Value* v : graph.initializers()) {
    if (v->is_graph_input() || v->is_graph_output() || !v->has_uses()) continue;
    if (v->initializer()->type() != DataType::string) candidates.push_back(v);
  }
  for (const auto hash : {shape_hash, sample_hash}) {
    std::vector<uint64_t> hashes;
    std::unordered_map<uint64_t, int> counts;
    for (const Value* v : candidates) ++counts[hashes.emplace_back(hash(*v->initializer()))];
    size_t next = 0;
    std::erase_if(candidates, [&](const Value*) { return counts[hashes[next++]] == 1; });
  }
  Duplicates duplicates;
  std::unordered_multimap<uint64_t, Value*> seen;
  for (Value* value : candidates) {
    const Tensor& tensor = *value->initializer();
    const uint64_t hash = whole_hash(tensor);
    const auto [begin, end] = seen.equal_range(hash);
    const auto same = std::find_if(
        begin, end, [&](const auto& entry) { return entry.second->initializer()->identical_to(tensor); });
    if (same == end) {
      seen.emplace(hash, value);
    } else {
      duplicates.emplace_back(value, same->second);
    }
  }
  return duplicates;
}

}  // namespace

RuleResult merge_duplicate_nodes(Graph& graph, const RuleContext& context) {
  Patch patch(graph);
  std::unordered_map<std::string, Node*> seen;
  std::unordered_map<const Value*, Value*> representative;
  for (const auto& [value, first] : duplicate_initializers(graph)) representative.emplace(value, first);
  std::unordered_set<const Value*> renamed;  // those that take the name of a graph output
  for (Node* node : graph.nodes()) {
    const auto key = key_of(*node, representative);
    if (!key) continue;
    const auto [place, is_new] = seen.emplace(*key, node);
    Node& first = *place->second;
    if (is_new || context.kept.contains(node) || context.kept.contains(&first)) continue;
    bool possible = true;
    for (int i = 0; i < node->num_outputs(); ++i) {
      const Value *from = node->output(i), *by = first.output(i);
      if (!from) continue;
      possible = possible && can_replace(*from, *by) && !(from->is_graph_output() && renamed.contains(by));
    }
    if (!possible) continue;
    for (int i = 0; i < node->num_outputs(); ++i) {
      Value *from = node->output(i), *by = first.output(i);
      if (!from) continue;
      if (from->is_graph_output()) renamed.insert(by);
      patch.replace(from, by);
      representative.emplace(from, by);
    }
    for (const auto& [name, text] : node->metadata) {
      if (name == kFoldedKey) patch.note(&first, name, text);
    }
  }
  if (patch.replacements().empty()) return NoMatch{};
  return patch;
}

RuleResult merge_duplicate_initializers(Graph& graph, const RuleContext& context) {
  Patch patch(graph);
  std::unordered_set<const Node*> edited;
  for (const auto& [value, first] : duplicate_initializers(graph)) {
    const bool possible = std::ranges::all_of(value->uses(), [&](const Use& use) {
      return !has_subgraph(*use.node) && find_op(*use.node) && !context.kept.contains(use.node);
    });
    if (!possible || !can_replace(*value, *first)) continue;
    for (const Use& use : value->uses()) {
      patch.set_input(use.node, use.index, first);
      if (!edited.insert(use.node).second) continue;
      for (int i = 0; i < use.node->num_outputs(); ++i) {
        if (use.node->has_output(i)) patch.keep_output(use.node->output(i));
      }
    }
  }
  if (patch.input_edits().empty()) return NoMatch{};
  return patch;
}

}  // namespace plica
