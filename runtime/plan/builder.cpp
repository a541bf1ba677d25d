#include "runtime/plan/builder.h"

#include <algorithm>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/core/limits.h"
#include "engine/core/parallel.h"
#include "runtime/kernels/copy.h"
#include "runtime/kernels/primitive_kernel.h"
#include "runtime/plan/runner.h"

namespace plica {

std::string node_names(const LoweredOp& op) {
  std::string names;
  for (const Node* n : op.nodes) {
    if (!names.empty()) names += '+';
    names += !n->name.empty() ? n->name : n->has_output(0) ? n->output(0)->name() : n->op_type();
  }
  return names;
}

double multiply_adds(const LoweredGraph& graph, const LoweredOp& op) {
  const auto elements = [&](int v) { return static_cast<double>(checked_elements(graph.value(v).dims)); };
  if (const auto* p = op.get_if<ConvolutionParams>()) {
    const auto channels = static_cast<double>(std::max<int64_t>(graph.value(op.inputs[1]).dims[0], 1));
    return elements(p->transposed ? op.inputs[0] : op.outputs[0]) * elements(op.inputs[1]) / channels;
  }
  if (const auto* p = op.get_if<MatMulParams>()) {
    const Dims& a = graph.value(op.inputs[0]).dims;
    return elements(op.outputs[0]) * static_cast<double>(a[a.size() - (p->transpose_a ? 2 : 1)]);
  }
  if (const auto* p = op.get_if<BatchProductParams>())
    return elements(op.outputs[0]) *
           static_cast<double>(graph.value(op.inputs[0]).dims[static_cast<size_t>(p->a_order.back())]);
  if (const auto* p = op.get_if<IntegerProductParams>()) {
    const Dims& w = graph.value(op.inputs[1]).dims;
    const double terms = p->convolution
                             ? elements(op.inputs[1]) / static_cast<double>(std::max<int64_t>(w[0], 1))
                             : static_cast<double>(w[w.size() - 2]);
    return elements(op.outputs[0]) * terms;
  }
  if (op.is<RecurrentParams>()) {
    const double rows = elements(op.inputs[0]) / static_cast<double>(graph.value(op.inputs[0]).dims.back());
    return rows * (elements(op.inputs[1]) + elements(op.inputs[2]));
  }
  return 0;
}

PlanBuilder::PlanBuilder(LoweredGraph graph, onednn::Layout layout, PlanTuning tuned,
                         const Programs& programs)
    : graph_(std::move(graph)),
      layout_(layout),
      tuned_(std::move(tuned)),
      programs_(programs),
      constants_(programs.constants()),
      threads_(current_threads()),
      plan_(std::make_shared<Plan>()) {}

std::shared_ptr<Plan> PlanBuilder::build() {
  uses_left_ = graph_.use_counts();
  const size_t count = graph_.values.size();
  places_.resize(count);
  dynamic_slot_.assign(count, -1);
  choose_homes();
  for (size_t v = 0; v < count; ++v) {
    const LoweredValue& value = graph_.values[v];
    if (value.dynamic) dynamic_slot_[v] = plan_->dynamic_slots++;
    if (value.graph_input < 0) continue;
    plan_->dynamic_inputs.resize(
        std::max(plan_->dynamic_inputs.size(), static_cast<size_t>(value.graph_input) + 1), -1);
    if (value.dynamic) {
      plan_->dynamic_inputs[static_cast<size_t>(value.graph_input)] = dynamic_slot_[v];
      continue;
    }
    Storage s;
    s.kind = Storage::Kind::input;
    s.index = value.graph_input;
    s.bytes = plica::bytes_of(value.type, checked_elements(value.dims));
    Placement p{add_storage(std::move(s)), 0, {}};
    if (value.type == DataType::float32) p.desc = onednn::row_major(value.dims);
    record(static_cast<int>(v), p);
  }
  for (const LoweredOp& op : graph_.ops) {
    check_limits();
    current_ = &op;
    if (!tuned_.key.empty()) {
      step_key_ = step_key(graph_, op);
      choice_ = step_key_.empty() ? StepChoice() : tuned_.choice.of(step_key_);
    }
    with_context(
        [&] {
          const ThreadScope threads(choice_.one_thread.value_or(is_small(op)) ? 1 : threads_);
          build_step(*this, op);
        },
        [&] { return op.nodes.empty() ? "" : describe(*op.nodes.front()); });
    for (int v : reads_of(op)) {
      --uses_left_[static_cast<size_t>(v)];
      for (const Placement& p : places_[static_cast<size_t>(v)])
        --storage_uses_[static_cast<size_t>(p.storage)];
    }
  }
  current_ = nullptr;
  step_key_.clear();
  finish_outputs();
  plan_arena();
  return plan_;
}

// Waking the team and waiting for it takes some microseconds, and milliseconds when other processes want the
// CPUs: an operation that one thread does in a few microseconds is left to it.
bool PlanBuilder::is_small(const LoweredOp& op) const {
  constexpr double kSmall = 3e5;      // multiply-adds
  constexpr double kPerElement = 16;  // what moving an element costs in these
  if (const auto* p = op.get_if<RecurrentParams>()) {
    // Its threads wait for one another at every step, so what one step multiplies counts: [N, hidden] by R.
    const Dims &x = graph_.value(op.inputs[0]).dims, &r = graph_.value(op.inputs[2]).dims;
    return static_cast<double>(x[p->batch_first ? 0 : 1] * r[1]) * static_cast<double>(r[2]) < kSmall;
  }
  double elements = 0;
  for (int v : reads_of(op)) {
    if (graph_.value(v).dynamic) return false;
    // What engine/ops does with constants is not known here; its loops decide for themselves too.
    if (!graph_.value(v).constant.defined() || op.is<EvaluateParams>())
      elements += static_cast<double>(checked_elements(graph_.value(v).dims));
  }
  double result = 0;
  for (int v : op.outputs) {
    if (v >= 0) result += static_cast<double>(checked_elements(graph_.value(v).dims));
  }
  const double faster = op.is<IntegerProductParams>() ? 4 : 1;  // than with float32
  return multiply_adds(graph_, op) / faster + (elements + result) * kPerElement < kSmall;
}

// ---- places

int PlanBuilder::add_storage(Storage storage) {
  plan_->storages.push_back(std::move(storage));
  storage_uses_.push_back(0);
  lifetimes_.push_back({plan_->storages.back().bytes, -1, -1});
  return static_cast<int>(plan_->storages.size()) - 1;
}

void PlanBuilder::record(int v, Placement where) {
  storage_uses_[static_cast<size_t>(where.storage)] += uses_left_[static_cast<size_t>(v)];
  places_[static_cast<size_t>(v)].push_back(std::move(where));
}

void PlanBuilder::alias(int v, Placement where) { record(v, std::move(where)); }

bool PlanBuilder::dies_here(const Placement& where) const {
  const auto s = static_cast<size_t>(where.storage);
  if (plan_->storages[s].kind != Storage::Kind::arena) return false;
  int now = 0;
  for (int v : reads_of(*current_)) {
    for (const Placement& p : places_[static_cast<size_t>(v)]) now += p.storage == where.storage;
  }
  return now == 1 && storage_uses_[s] == 1;
}

std::optional<int> PlanBuilder::dynamic_slot(int v) const {
  const int slot = dynamic_slot_[static_cast<size_t>(v)];
  return slot < 0 ? std::nullopt : std::optional(slot);
}

Placement PlanBuilder::placement(int v) {
  auto& places = places_[static_cast<size_t>(v)];
  if (!places.empty()) return places.front();
  const LoweredValue& value = graph_.value(v);
  require(value.constant.defined(), ErrorCode::internal, "a value is read before it is computed");
  Placement p;
  if (value.type == DataType::float32) {
    const onednn::Desc desc = onednn::row_major(value.dims);
    if (checked_elements(value.dims) > 0) return packed(value.constant, desc, desc);
    p.desc = desc;
  }
  Storage s;
  s.kind = Storage::Kind::constant;
  s.tensor = value.constant;
  s.bytes = value.type == DataType::string ? 0 : value.constant.bytes();
  p.storage = add_storage(std::move(s));
  record(v, p);
  return p;
}

int PlanBuilder::storage_of(std::shared_ptr<const Constant> constant) {
  auto [it, is_new] = constant_storage_.try_emplace(constant.get(), -1);
  if (is_new) {
    Storage s;
    s.kind = Storage::Kind::constant;
    s.bytes = constant->packed.bytes();
    s.constant = std::move(constant);
    it->second = add_storage(std::move(s));
  }
  return it->second;
}

Placement PlanBuilder::packed(const Tensor& tensor, const onednn::Desc& from, const onednn::Desc& desc,
                              Arrange arrange) {
  return {storage_of(constants_.get(tensor, from, desc, arrange)), 0, desc};
}

Placement PlanBuilder::packed(const Tensor& tensor, const std::string& form, size_t bytes,
                              const std::function<Tensor()>& make) {
  return {storage_of(constants_.get(tensor, form, bytes, make)), 0, {}};
}

Placement PlanBuilder::in_layout(int v, const onednn::Desc& desc) {
  const LoweredValue& value = graph_.value(v);
  if (value.constant.defined() && places_[static_cast<size_t>(v)].empty()) {
    return packed(value.constant, onednn::row_major(value.dims, value.type), desc);
  }
  for (const Placement& p : places_[static_cast<size_t>(v)]) {
    if (p.desc ? onednn::same_placement(*p.desc, desc) : onednn::is_row_major(desc))
      return {p.storage, p.offset, desc};
  }
  Placement from = placement(v);
  if (!from.desc) from.desc = onednn::row_major(value.dims, value.type);
  Placement to = allocate_temporary(desc);
  reorder(current_ ? node_names(*current_) : std::string(), from, to);
  record(v, to);
  return to;
}

Placement PlanBuilder::row_major(int v) {
  const LoweredValue& value = graph_.value(v);
  if (value.type == DataType::float32) return in_layout(v, onednn::row_major(value.dims));
  Placement p = placement(v);
  if (p.desc) p = in_layout(v, onednn::row_major(value.dims, value.type));
  p.desc.reset();
  return p;
}

Placement PlanBuilder::allocate_temporary(const onednn::Desc& desc) {
  Storage s;
  s.bytes = onednn::bytes_of(desc);
  return {add_storage(std::move(s)), 0, desc};
}

Placement PlanBuilder::allocate(int v, const onednn::Desc& desc) {
  Placement p;
  if (auto home = place_at_home(v, desc)) {
    p = *home;
  } else {
    p = allocate_temporary(desc);
  }
  record(v, p);
  return p;
}

Placement PlanBuilder::allocate_row_major(int v) {
  const LoweredValue& value = graph_.value(v);
  if (value.type == DataType::float32) return allocate(v, onednn::row_major(value.dims));
  Storage s;
  s.bytes = plica::bytes_of(value.type, checked_elements(value.dims));
  Placement p{add_storage(std::move(s)), 0, {}};
  record(v, p);
  return p;
}

// ---- results of Concat

// The largest first, so that nested ones (as in DenseNet, where each extends the last) share one memory.
void PlanBuilder::choose_homes() {
  homes_.resize(graph_.values.size());
  std::vector<std::pair<int64_t, int>> concats;
  for (size_t i = 0; i < graph_.ops.size(); ++i) {
    const auto* params = graph_.ops[i].get_if<ConcatParams>();
    if (!params) continue;
    const Dims& dims = graph_.value(graph_.ops[i].outputs[0]).dims;
    if (std::any_of(dims.begin(), dims.begin() + params->axis, [](int64_t d) { return d != 1; })) continue;
    concats.push_back({checked_elements(dims), static_cast<int>(i)});
  }
  std::ranges::stable_sort(concats, [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [elements, index] : concats) {
    const LoweredOp& op = graph_.ops[static_cast<size_t>(index)];
    const auto axis = static_cast<size_t>(op.get_if<ConcatParams>()->axis);
    int64_t first = 0;
    for (int v : op.inputs) {
      const LoweredValue& part = graph_.value(v);
      if (!part.constant.defined() && part.graph_input < 0 && std::ranges::count(op.inputs, v) == 1 &&
          !homes_[static_cast<size_t>(v)]) {
        homes_[static_cast<size_t>(v)] = Home{index, first};
      }
      first += part.dims[axis];
    }
  }
}

// A slice of the result, where its layout makes slices contiguous.
std::optional<Placement> PlanBuilder::place_at_home(int v, const onednn::Desc& desc) {
  const auto& home = homes_[static_cast<size_t>(v)];
  if (!home) return std::nullopt;
  const LoweredOp& op = graph_.ops[static_cast<size_t>(home->concat)];
  const auto axis = static_cast<size_t>(op.get_if<ConcatParams>()->axis);
  const Dims& dims = graph_.value(v).dims;
  const Dims& whole = graph_.value(op.outputs[0]).dims;
  onednn::Layout layout;
  const int64_t block = onednn::channel_block(desc);
  if (onednn::is_row_major(desc) && onednn::bytes_of(desc) == onednn::bytes_of(onednn::row_major(dims))) {
    layout = onednn::Layout::row_major;
  } else if ((block == 8 || block == 16) && axis == 1 && home->first % block == 0 && dims[1] % block == 0 &&
             whole[1] % block == 0) {
    layout = block == 8 ? onednn::Layout::blocked8 : onednn::Layout::blocked16;
  } else {
    return std::nullopt;
  }
  auto it = home_storage_.find(home->concat);
  if (it == home_storage_.end()) {
    Storage s;
    s.bytes = onednn::bytes_of(onednn::desc_of(whole, layout));
    it = home_storage_.emplace(home->concat, std::pair{add_storage(std::move(s)), layout}).first;
  } else if (it->second.second != layout) {
    return std::nullopt;
  }
  const int64_t stride = checked_elements(dims) / std::max<int64_t>(dims[axis], 1);
  return Placement{it->second.first, static_cast<size_t>(home->first * stride) * sizeof(float), desc};
}

// ---- steps

void PlanBuilder::emit(StepInfo info, std::unique_ptr<const Kernel> kernel,
                       const std::vector<Placement>& operands) {
  const int step = static_cast<int>(plan_->steps.size());
  Step s;
  s.info = std::move(info);
  s.info.plan = tuned_.key;
  s.info.step = step_key_;
  for (const Placement& p : operands) {
    const Storage& storage = plan_->storages[static_cast<size_t>(p.storage)];
    s.info.bytes += static_cast<double>(p.desc ? onednn::bytes_of(*p.desc) : storage.bytes);
  }
  plan_->scratch_bytes = std::max(plan_->scratch_bytes, kernel->scratch_bytes());
  s.kernel = std::move(kernel);
  s.threads = current_threads();
  for (const Placement& p : operands) {
    s.operands.push_back({p.storage, p.offset});
    Lifetime& life = lifetimes_[static_cast<size_t>(p.storage)];
    if (life.first < 0) life.first = step;
    life.last = step;
  }
  plan_->steps.push_back(std::move(s));
}

void PlanBuilder::emit(const LoweredOp& op, std::string kind, onednn::Primitive primitive,
                       const std::vector<PrimitiveOperand>& operands) {
  StepInfo info{std::move(kind), node_names(op), primitive.implementation, ""};
  info.flops = 2 * multiply_adds(graph_, op);
  std::vector<PrimitiveKernel::Operand> kernel_operands;
  std::vector<Placement> places;
  for (const PrimitiveOperand& o : operands) {
    if (o.number == DNNL_ARG_DST) info.layout = onednn::layout_name(*o.placement.desc);
    kernel_operands.push_back(
        {o.number, *o.placement.desc, plan_->storages[static_cast<size_t>(o.placement.storage)].constant});
    places.push_back(o.placement);
  }
  emit(std::move(info), std::make_unique<PrimitiveKernel>(std::move(primitive), std::move(kernel_operands)),
       places);
}

void PlanBuilder::reorder(const std::string& nodes, const Placement& from, const Placement& to) {
  auto primitive = onednn::reorder(*from.desc, *to.desc);
  require(primitive.has_value(), ErrorCode::internal, "no reorder from {} to {}",
          onednn::layout_name(*from.desc), onednn::layout_name(*to.desc));
  LoweredOp op;
  StepInfo info{"reorder", nodes, primitive->implementation, onednn::layout_name(*to.desc)};
  auto constant = plan_->storages[static_cast<size_t>(from.storage)].constant;
  std::vector<PrimitiveKernel::Operand> operands = {{DNNL_ARG_SRC, *from.desc, constant},
                                                    {DNNL_ARG_DST, *to.desc, nullptr}};
  emit(std::move(info), std::make_unique<PrimitiveKernel>(std::move(*primitive), std::move(operands)),
       {from, to});
}

// ---- the end

// A result that fills its memory in row-major order is computed into the caller's tensor; others are copied
// there.
void PlanBuilder::finish_outputs() {
  for (size_t i = 0; i < graph_.outputs.size(); ++i) {
    const int v = graph_.outputs[i];
    const LoweredValue& value = graph_.value(v);
    PlanOutput out;
    out.type = value.type;
    out.dims = value.dims;
    if (value.source) out.name = value.source->name();
    if (value.constant.defined()) {
      out.kind = PlanOutput::Kind::constant;
      out.constant = value.constant;
    } else if (auto slot = dynamic_slot(v)) {
      out.kind = PlanOutput::Kind::dynamic;
      out.dynamic = *slot;
    } else {
      const Placement p = row_major(v);
      Storage& s = plan_->storages[static_cast<size_t>(p.storage)];
      const size_t bytes = plica::bytes_of(value.type, checked_elements(value.dims));
      if (s.kind == Storage::Kind::arena && p.offset == 0 && s.bytes == bytes) {
        s.kind = Storage::Kind::output;
        s.index = static_cast<int>(i);
      } else {
        Storage copy;
        copy.kind = Storage::Kind::output;
        copy.index = static_cast<int>(i);
        copy.bytes = bytes;
        const Placement to{add_storage(std::move(copy)), 0, p.desc};
        emit({"copy", value.source ? value.source->name() : "", "copy", ""},
             std::make_unique<CopyKernel>(bytes), {p, to});
      }
    }
    plan_->outputs.push_back(std::move(out));
  }
}

void PlanBuilder::plan_arena() {
  std::vector<Lifetime> tensors;
  std::vector<size_t> storage_of;
  for (size_t i = 0; i < plan_->storages.size(); ++i) {
    if (plan_->storages[i].kind != Storage::Kind::arena || lifetimes_[i].first < 0) continue;
    tensors.push_back(lifetimes_[i]);
    storage_of.push_back(i);
  }
  const MemoryPlan memory = plan_memory(tensors);
  for (size_t i = 0; i < tensors.size(); ++i) plan_->storages[storage_of[i]].offset = memory.offsets[i];
  plan_->arena_bytes = memory.bytes;
  plan_->arena_lower_bound = memory.lower_bound;
}

}  // namespace plica
