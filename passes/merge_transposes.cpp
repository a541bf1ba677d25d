// Transposes one after the other.
#include "engine/ops/attribute_reader.h"
#include "passes/match.h"
#include "passes/rules.h"

namespace plica {
namespace {

// Output axis i is input axis perm[i]; nullopt when the attribute is left out and the rank is not known.
std::optional<Dims> permutation(const Node& node, const RuleContext& context) {
  if (auto given = AttributeReader(node).maybe_ints("perm")) return given;
  const int rank = context.facts.rank_of(node.input(0));
  if (rank < 0) return std::nullopt;
  return Dims();  // reversed
}

}  // namespace

// Transpose q of Transpose p: output axis i is axis p[q[i]] of the input. Two that cancel go at once, if
// others read what is between them or not.
RuleResult merge_transposes(const Node& node, const RuleContext& context) {
  if (!is_plain(node, "Transpose")) return NoMatch{};
  const Node* inner = producer_of(node.input(0), "Transpose");
  if (!inner) return NoMatch{};
  auto q = permutation(node, context), p = permutation(*inner, context);
  if (!p || !q) return NoMatch{};
  const size_t rank = p->empty() ? q->size() : p->size();
  const auto complete = [rank](Dims& perm) {
    for (size_t i = perm.size(); i < rank; ++i) perm.push_back(static_cast<int64_t>(rank - 1 - i));
  };
  const bool both_reversed = p->empty() && q->empty();
  complete(*p);
  complete(*q);
  if (p->size() != q->size()) return NoMatch{};
  Dims merged;
  bool identity = true;
  for (size_t i = 0; i < rank; ++i) {
    const int64_t at = (*q)[i];
    if (at < 0 || at >= static_cast<int64_t>(rank)) return NoMatch{};
    merged.push_back((*p)[static_cast<size_t>(at)]);
    identity = identity && merged.back() == static_cast<int64_t>(i);
  }
  if (identity || both_reversed) return pass_through(node, inner->input(0));
  if (!node.input(0)->has_single_use()) return NoMatch{};
  Node* self = node.output(0)->producer();
  Patch patch(node);
  patch.set_input(self, 0, inner->input(0));
  patch.set_attribute(self, {.name = "perm", .value = std::move(merged)});
  patch.keep_output(node.output(0));
  return patch;
}

}  // namespace plica
