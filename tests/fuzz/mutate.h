// Mutations of models that mostly leave them loadable: what they change is the message's meaning (attributes,
// shapes, types, operators, wiring, constants, nesting), not its bytes.
//
// Deterministic: the same model and random numbers give the same result.
#pragma once

#include <random>

#include "engine/onnx/messages.h"

namespace plica::fuzz {

using Random = std::minstd_rand;

// Changes one thing.
void mutate(onnx_format::ModelProto& model, Random& random);

// Appends the nodes of `other`, which read values of `model` where types or luck allow.
void cross(onnx_format::ModelProto& model, const onnx_format::ModelProto& other, Random& random);

}  // namespace plica::fuzz
