// Kernel: one prepared step of a plan. Immutable, so that many runs may share it; what one run needs comes in
// Arguments.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/core/tensor.h"
#include "runtime/onednn/onednn.h"

namespace plica {

// What a kernel keeps per workspace: made once, used by one run at a time.
class Binding {
 public:
  virtual ~Binding() = default;
};

struct Arguments {
  std::span<void* const> memory;  // by the kernel's own numbering of its operands
  void* scratch = nullptr;        // as many bytes as the kernel asked for, 64-byte aligned
  dnnl_stream_t stream = nullptr;
  Binding* binding = nullptr;
  std::span<Tensor> dynamic;  // the run's tensors of unknown shape
};

class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual std::unique_ptr<Binding> bind() const { return nullptr; }
  virtual size_t scratch_bytes() const { return 0; }
  virtual void run(const Arguments& arguments) const = 0;
};

}  // namespace plica
