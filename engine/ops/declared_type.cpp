#include "engine/ops/declared_type.h"

#include "engine/core/fail.h"

namespace plica {
namespace {

// What is unknown contradicts nothing; nor does an optional, which stands for what it holds.
bool contradict(const Type& declared, const Type& inferred) {
  const auto says_nothing = [](const Type& t) {
    return t.kind == Type::Kind::unknown || t.kind == Type::Kind::optional || t.kind == Type::Kind::opaque;
  };
  if (says_nothing(declared) || says_nothing(inferred)) return false;
  if (declared.kind != inferred.kind) return true;
  return declared.element != DataType::undefined && inferred.element != DataType::undefined &&
         declared.element != inferred.element;
}

}  // namespace

void check_declared_type(const Node& node, const Value& output, const Type& inferred) {
  if (!contradict(output.type(), inferred)) return;
  fail(ErrorCode::invalid_model, "{}: its output {} is declared {}, and computed {}", describe(node),
       quoted(output.name()), to_string(without_shapes(output.type())), to_string(without_shapes(inferred)));
}

}  // namespace plica
