#include "runtime/kernels/primitive_kernel.h"

#include "engine/core/fail.h"

namespace plica {
namespace {

void check(dnnl_status_t status, const char* what) {
  if (status == dnnl_out_of_memory) throw std::bad_alloc();
  require(status == dnnl_success, ErrorCode::internal, "oneDNN: {} failed with status {}", what,
          static_cast<int>(status));
}

// oneDNN's handles of the operands. A handle is told its address only when that changes, which for most is
// never.
class PrimitiveBinding : public Binding {
 public:
  std::vector<dnnl::memory> memory;
  std::vector<void*> address;
  std::vector<dnnl_exec_arg_t> arguments;
};

}  // namespace

PrimitiveKernel::PrimitiveKernel(onednn::Primitive primitive, std::vector<Operand> operands)
    : primitive_(std::move(primitive)), operands_(std::move(operands)) {}

std::unique_ptr<Binding> PrimitiveKernel::bind() const {
  auto b = std::make_unique<PrimitiveBinding>();
  const auto add = [&](int number, const onednn::Desc& desc, const Constant* constant) {
    b->memory.push_back(constant ? constant->memory : dnnl::memory(desc, onednn::cpu_engine(), nullptr));
    b->address.push_back(constant ? const_cast<void*>(constant->packed.raw()) : nullptr);
    b->arguments.push_back({number, b->memory.back().get()});
  };
  for (const Operand& o : operands_) add(o.number, o.desc, o.constant.get());
  if (primitive_.scratch_bytes > 0) {
    add(DNNL_ARG_SCRATCHPAD,
        onednn::Desc({static_cast<int64_t>(primitive_.scratch_bytes)}, dnnl::memory::data_type::u8,
                     dnnl::memory::format_tag::a),
        nullptr);
  }
  return b;
}

void PrimitiveKernel::run(const Arguments& arguments) const {
  auto& b = static_cast<PrimitiveBinding&>(*arguments.binding);
  for (size_t i = 0; i < b.memory.size(); ++i) {
    void* address = i < operands_.size() ? arguments.memory[i] : arguments.scratch;
    if (address == b.address[i]) continue;
    check(dnnl_memory_set_data_handle(b.memory[i].get(), address), "setting an operand");
    b.address[i] = address;
  }
  check(dnnl_primitive_execute(primitive_.primitive.get(), arguments.stream,
                               static_cast<int>(b.arguments.size()), b.arguments.data()),
        primitive_.implementation.c_str());
}

}  // namespace plica
