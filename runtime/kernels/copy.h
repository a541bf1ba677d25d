// A plain copy of bytes.
#pragma once

#include <cstring>

#include "runtime/kernels/kernel.h"

namespace plica {

class CopyKernel : public Kernel {  // operands: from, to
 public:
  explicit CopyKernel(size_t bytes) : bytes_(bytes) {}
  void run(const Arguments& arguments) const override {
    if (bytes_ > 0) std::memcpy(arguments.memory[1], arguments.memory[0], bytes_);
  }

 private:
  size_t bytes_;
};

}  // namespace plica
