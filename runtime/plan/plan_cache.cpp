#include "runtime/plan/plan_cache.h"

#include <algorithm>

namespace plica {

std::shared_ptr<const Plan> PlanCache::get(const std::string& key,
                                           const std::function<std::shared_ptr<const Plan>()>& compile,
                                           bool* dropped) {
  std::shared_ptr<Entry> entry;
  {
    std::lock_guard lock(mutex_);
    if (auto it = by_key_.find(key); it != by_key_.end()) {
      recent_.splice(recent_.begin(), recent_, it->second);
    } else {
      recent_.push_front(std::make_shared<Entry>());
      recent_.front()->key = key;
      by_key_[key] = recent_.begin();
      if (recent_.size() > capacity_) {
        by_key_.erase(recent_.back()->key);
        recent_.pop_back();
        if (dropped) *dropped = true;
      }
    }
    entry = recent_.front();
  }
  std::lock_guard compiling(entry->compiling);
  if (entry->plan) return entry->plan;
  try {
    entry->plan = compile();
  } catch (...) {
    std::lock_guard lock(mutex_);
    if (auto it = by_key_.find(key); it != by_key_.end() && *it->second == entry) {
      recent_.erase(it->second);
      by_key_.erase(it);
    }
    throw;
  }
  return entry->plan;
}

size_t PlanCache::size() const {
  std::lock_guard lock(mutex_);
  return recent_.size();
}

std::unique_ptr<Workspace> WorkspacePool::lease(Owner owner, const std::shared_ptr<const Plan>& plan) {
  std::unique_ptr<Workspace> workspace;
  {
    std::lock_guard lock(mutex_);
    auto& idle = idle_[owner];
    auto it = std::ranges::find_if(idle, [&](const auto& w) { return w->bound_to() == plan.get(); });
    if (it == idle.end() && !idle.empty()) it = idle.begin();  // idle the longest
    if (it != idle.end()) {
      workspace = std::move(*it);
      idle.erase(it);
    }
  }
  if (!workspace) workspace = std::make_unique<Workspace>();
  workspace->bind(plan);
  return workspace;
}

void WorkspacePool::give_back(Owner owner, std::unique_ptr<Workspace> workspace) {
  std::lock_guard lock(mutex_);
  idle_[owner].push_back(std::move(workspace));
}

void WorkspacePool::drop(Owner owner) {
  decltype(idle_)::node_type dropped;  // freed outside of the lock
  std::lock_guard lock(mutex_);
  dropped = idle_.extract(owner);
}

void WorkspacePool::trim() {
  decltype(idle_) dropped;
  std::lock_guard lock(mutex_);
  dropped.swap(idle_);
}

size_t WorkspacePool::bytes() const {
  std::lock_guard lock(mutex_);
  size_t bytes = 0;
  for (const auto& [_, idle] : idle_) {
    for (const auto& workspace : idle) bytes += workspace->bytes();
  }
  return bytes;
}

}  // namespace plica
