#include "runtime/plan/memory_plan.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

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

// Every tensor is compared with all that are placed.
void place_by_size(std::span<const Lifetime> tensors, MemoryPlan& plan) {
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
}

// The gaps between tensors that are alive at a step.
class Gaps {
 public:
  // In the smallest gap that is large enough, else at the end of the arena, which grows.
  size_t take(size_t bytes, size_t& arena) {
    auto found = by_size_.lower_bound({bytes, 0});
    if (found == by_size_.end()) {
      size_t offset = arena;
      if (!by_offset_.empty()) {
        const auto last = std::prev(by_offset_.end());
        if (last->first + last->second == arena) {
          offset = last->first;
          remove(last);
        }
      }
      arena = checked_add(offset, bytes);
      return offset;
    }
    const auto [size, offset] = *found;
    remove(by_offset_.find(offset));
    if (size > bytes) add(offset + bytes, size - bytes);
    return offset;
  }

  void give_back(size_t offset, size_t bytes) {
    const auto after = by_offset_.lower_bound(offset);
    if (after != by_offset_.begin()) {
      const auto before = std::prev(after);
      if (before->first + before->second == offset) {
        offset = before->first;
        bytes += before->second;
        remove(before);
      }
    }
    if (after != by_offset_.end() && after->first == offset + bytes) {
      bytes += after->second;
      remove(after);
    }
    add(offset, bytes);
  }

 private:
  using ByOffset = std::map<size_t, size_t>;
  void add(size_t offset, size_t bytes) {
    by_offset_.emplace(offset, bytes);
    by_size_.emplace(bytes, offset);
  }
  void remove(ByOffset::iterator gap) {
    by_size_.erase({gap->second, gap->first});
    by_offset_.erase(gap);
  }

  ByOffset by_offset_;
  std::set<std::pair<size_t, size_t>> by_size_;
};

void place_by_time(std::span<const Lifetime> tensors, MemoryPlan& plan) {
  std::vector<size_t> begins;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].bytes > 0) begins.push_back(i);
  }
  std::vector<size_t> ends = begins;
  std::ranges::stable_sort(begins, {}, [&](size_t i) { return tensors[i].first; });
  std::ranges::stable_sort(ends, {}, [&](size_t i) { return tensors[i].last; });
  Gaps gaps;
  auto ended = ends.begin();
  for (size_t i : begins) {
    for (; tensors[*ended].last < tensors[i].first; ++ended) {
      gaps.give_back(plan.offsets[*ended], aligned(tensors[*ended].bytes));
    }
    plan.offsets[i] = gaps.take(aligned(tensors[i].bytes), plan.bytes);
  }
}

}  // namespace

MemoryPlan plan_memory(std::span<const Lifetime> tensors) {
  constexpr size_t kMostBySize = 4096;
  MemoryPlan plan;
  plan.offsets.assign(tensors.size(), 0);
  plan.lower_bound = largest_sum_alive(tensors);
  if (tensors.size() <= kMostBySize) {
    place_by_size(tensors, plan);
  } else {
    place_by_time(tensors, plan);
  }
  return plan;
}

}  // namespace plica
