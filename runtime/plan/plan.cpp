#include "runtime/plan/plan.h"

#include <optional>
#include <unordered_set>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/core/limits.h"
#include "engine/core/parallel.h"
#include "runtime/plan/runner.h"
#include "runtime/plan/step_recorder.h"

namespace plica {
namespace {

std::byte* at(void* base, size_t offset) { return static_cast<std::byte*>(base) + offset; }

void grow(Tensor& memory, size_t bytes) {
  if (memory.defined() && memory.bytes() >= bytes) return;
  memory = Tensor();
  memory = Tensor(DataType::uint8, {static_cast<int64_t>(bytes)});
}

}  // namespace

Workspace::Workspace() : stream_(onednn::cpu_engine()) {}
Workspace::~Workspace() = default;

void Workspace::bind(std::shared_ptr<const Plan> plan) {
  if (plan == plan_) return;
  plan_ = nullptr;
  bindings_.clear();
  addresses_.clear();
  first_operand_.clear();
  externals_.clear();
  with_context(
      [&] {
        grow(arena_, std::max<size_t>(plan->arena_bytes, 1));
        grow(scratch_, std::max<size_t>(plan->scratch_bytes, 1));
      },
      [] { return std::string("memory for intermediate tensors"); });
  for (const Step& step : plan->steps) {
    first_operand_.push_back(addresses_.size());
    for (const Step::Operand& o : step.operands) {
      const Storage& s = plan->storages[static_cast<size_t>(o.storage)];
      void* base = nullptr;
      switch (s.kind) {
        case Storage::Kind::arena:
          base = at(arena_.mutable_raw(), s.offset);
          break;
        case Storage::Kind::constant:
          base = const_cast<void*>(s.constant ? s.constant->packed.raw() : s.tensor.raw());
          break;
        case Storage::Kind::input:
        case Storage::Kind::output:
          externals_.push_back({s.kind, s.index, addresses_.size(), o.offset});
          break;
      }
      addresses_.push_back(base ? at(base, o.offset) : nullptr);
    }
    bindings_.push_back(step.kernel->bind());
  }
  plan_ = std::move(plan);
}

size_t Workspace::bytes() const {
  return (arena_.defined() ? arena_.bytes() : 0) + (scratch_.defined() ? scratch_.bytes() : 0);
}

std::vector<Tensor> Plan::run(Workspace& workspace, const std::vector<Tensor>& inputs, ResultPool& pool,
                              const OutputMemory& memory) const {
  Workspace& w = workspace;
  std::vector<Tensor> results(outputs.size());
  std::vector<void*> output_addresses(outputs.size(), nullptr);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].kind == PlanOutput::Kind::constant) results[i] = outputs[i].constant;
    if (outputs[i].kind != PlanOutput::Kind::computed) continue;
    if (memory) results[i] = memory(i, outputs[i].type, outputs[i].dims);
    if (!results[i].defined()) {
      results[i] = with_context([&] { return pool.allocate(outputs[i].type, outputs[i].dims); },
                                [&] { return "output " + quoted(outputs[i].name); });
    }
    output_addresses[i] = results[i].mutable_raw();
  }
  for (const Workspace::External& e : w.externals_) {
    const auto index = static_cast<size_t>(e.index);
    void* base =
        e.kind == Storage::Kind::input ? const_cast<void*>(inputs[index].raw()) : output_addresses[index];
    w.addresses_[e.operand] = at(base, e.offset);
  }
  std::vector<Tensor> dynamic(static_cast<size_t>(dynamic_slots));
  for (size_t i = 0; i < dynamic_inputs.size(); ++i) {
    if (dynamic_inputs[i] >= 0) dynamic[static_cast<size_t>(dynamic_inputs[i])] = inputs[i];
  }
  Arguments arguments;
  arguments.scratch = w.scratch_.mutable_raw();
  arguments.stream = w.stream_.get();
  arguments.dynamic = dynamic;
  std::optional<ThreadScope> threads;
  int current = current_threads();
  StepRecorder* const recorder = StepRecorder::current();
  for (size_t i = 0; i < steps.size(); ++i) {
    check_limits();
    if (steps[i].threads != current) {
      threads.reset();
      threads.emplace(current = steps[i].threads);
    }
    arguments.memory = {w.addresses_.data() + w.first_operand_[i], steps[i].operands.size()};
    arguments.binding = w.bindings_[i].get();
    if (recorder) {
      recorder->record(w.plan_, i, [&] { steps[i].kernel->run(arguments); });
    } else {
      steps[i].kernel->run(arguments);
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].kind == PlanOutput::Kind::dynamic) {
      results[i] = dynamic[static_cast<size_t>(outputs[i].dynamic)].owned();
    }
  }
  return results;
}

PlanInfo Plan::info() const {
  PlanInfo info;
  for (const Step& s : steps) info.steps.push_back(s.info);
  info.arena_bytes = arena_bytes;
  info.arena_lower_bound = arena_lower_bound;
  std::unordered_set<const Constant*> seen;
  for (const Storage& s : storages) {
    if (s.constant && seen.insert(s.constant.get()).second) info.constant_bytes += s.constant->packed.bytes();
  }
  if (rest) {
    const size_t count = rest->runner.region().nodes.size();
    info.steps.push_back(
        {"later", fmt::format("{} nodes", count), "compiled when their shapes are known", ""});
  }
  return info;
}

}  // namespace plica
