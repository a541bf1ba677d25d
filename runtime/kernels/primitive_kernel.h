// A kernel that is one oneDNN primitive.
#pragma once

#include "runtime/kernels/kernel.h"
#include "runtime/plan/constants.h"

namespace plica {

class PrimitiveKernel : public Kernel {
 public:
  // The primitive's argument `number` is operand i of the kernel, described by `desc`.
  struct Operand {
    int number;
    onednn::Desc desc;
    std::shared_ptr<const Constant> constant;  // then all threads use its handle
  };
  PrimitiveKernel(onednn::Primitive primitive, std::vector<Operand> operands);

  std::unique_ptr<Binding> bind() const override;
  size_t scratch_bytes() const override { return primitive_.scratch_bytes; }
  void run(const Arguments& arguments) const override;

 private:
  onednn::Primitive primitive_;
  std::vector<Operand> operands_;
};

}  // namespace plica
