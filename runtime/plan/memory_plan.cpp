#include "runtime/plan/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "engine/core/checked.h"

namespace plica {
namespace {

size_t aligned(size_t bytes) {
  return checked_add(bytes, kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

size_t largest_sum_alive(std::span<const Lifetime> tensors) {
  struct Event {
    int step;
    bool begins;
    size_t bytes;
  };
  std::vector<Event> events;
  for (const Lifetime& t : tensors) {
    events.push_back({t.first, true, aligned(t.bytes)});
    events.push_back({t.last + 1, false, aligned(t.bytes)});
  }
  std::ranges::sort(events, [](const Event& a, const Event& b) {
    return a.step != b.step ? a.step < b.step : a.begins < b.begins;
  });
  size_t now = 0, most = 0;
  for (const Event& e : events) {
    now = e.begins ? checked_add(now, e.bytes) : now - e.bytes;
    most = std::max(most, now);
  }
  return most;
}

}  // namespace

MemoryPlan plan_memory(std::span<const Lifetime> tensors) {
  MemoryPlan plan;
  plan.offsets.assign(tensors.size(), 0);
  plan.lower_bound = largest_sum_alive(tensors);
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return tensors[a].bytes > tensors[b].bytes; });

  std::vector<size_t> placed;  // by offset
  for (size_t i : order) {
    const Lifetime& t = tensors[i];
    const size_t bytes = aligned(t.bytes);
    size_t offset = 0;
    for (size_t p : placed) {
      const bool together = tensors[p].first <= t.last && t.first <= tensors[p].last;
      if (!together) continue;
      if (plan.offsets[p] >= checked_add(offset, bytes)) break;  // fits into the gap before it
      offset = std::max(offset, plan.offsets[p] + aligned(tensors[p].bytes));
    }
    plan.offsets[i] = offset;
    plan.bytes = std::max(plan.bytes, checked_add(offset, bytes));
    placed.insert(std::ranges::upper_bound(placed, offset, {}, [&](size_t p) { return plan.offsets[p]; }), i);
  }
  return plan;
}

}  // namespace plica
