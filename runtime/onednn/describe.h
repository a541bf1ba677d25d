// How the factories of onednn.h make primitives: what depends on the major version of oneDNN, and what its
// errors mean. For the files of this directory alone. Thread safety: all functions.
#pragma once

#include <new>
#include <optional>
#include <utility>

#include "engine/core/fail.h"
#include "runtime/onednn/onednn.h"

namespace plica::onednn {

constexpr auto kInference = dnnl::prop_kind::forward_inference;

// Runs `make`, which makes a primitive descriptor or throws. No implementation is nullopt.
template <class Make>
auto attempt(Make&& make) -> std::optional<decltype(make())> {
  try {
    auto pd = make();
    if (!pd.get(true)) return std::nullopt;
    return pd;
  } catch (const dnnl::error& e) {
    if (e.status == dnnl_unimplemented || e.status == dnnl_invalid_arguments) return std::nullopt;
    if (e.status == dnnl_out_of_memory) throw std::bad_alloc();
    fail(ErrorCode::internal, "oneDNN: {}", e.what());
  }
}

template <class Pd>
Primitive finish(const Pd& pd) {
  Primitive p;
  p.implementation = pd.impl_info_str();
  p.scratch_bytes = bytes_of(pd.scratchpad_desc());
  try {
    p.primitive = dnnl::primitive(pd.get());
  } catch (const dnnl::error& e) {
    if (e.status == dnnl_out_of_memory) throw std::bad_alloc();
    fail(ErrorCode::internal, "oneDNN: {}", e.what());
  }
  return p;
}

#if DNNL_VERSION_MAJOR >= 3
template <class Op, class... Args>
typename Op::primitive_desc describe_primitive(const dnnl::primitive_attr& attributes, Args&&... args) {
  return typename Op::primitive_desc(cpu_engine(), std::forward<Args>(args)..., attributes, true);
}
#else
template <class Op, class... Args>
typename Op::primitive_desc describe_primitive(const dnnl::primitive_attr& attributes, Args&&... args) {
  return typename Op::primitive_desc(typename Op::desc(std::forward<Args>(args)...), attributes, cpu_engine(),
                                     true);
}
#endif

}  // namespace plica::onednn
