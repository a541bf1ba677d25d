// What an operator makes of a node's attributes before it computes (OpDef::prepare): trees flattened, tables
// hashed, expressions compiled. It is immutable: all evaluations of the node share it, from any thread.
#pragma once

#include <memory>

#include "engine/core/fail.h"
#include "engine/ops/attribute_reader.h"
#include "engine/ops/op_def.h"

namespace plica {

// For OpDef::prepare: a T, which is made from the attributes, and throws invalid_model where they are wrong.
template <class T>
Prepared prepare_as(const AttributeReader& attributes) {
  return std::make_shared<const T>(attributes);
}

// The T that is kept, made now where nothing is.
template <class T>
const T& prepared_as(const OpDef& def, const AttributeReader& attributes, Prepared& kept) {
  require(def.prepare == prepare_as<T>, ErrorCode::internal, "{} prepares something else", def.name);
  if (!kept) kept = def.prepare(attributes);
  return *static_cast<const T*>(kept.get());
}

// That of a node; null where its operator prepares nothing. Errors name the node.
Prepared prepare_node(const Node& node);

}  // namespace plica
