// An LRU cache of plans by input shapes. A plan is compiled once however many threads ask for it.
// Thread safety: all.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "runtime/plan/plan.h"

namespace plica {

class PlanCache {
 public:
  explicit PlanCache(size_t capacity) : capacity_(capacity == 0 ? 1 : capacity) {}

  // What `compile` throws is rethrown, and nothing is kept. `dropped`, when given, is set when another plan went.
  std::shared_ptr<const Plan> get(const std::string& key,
                                  const std::function<std::shared_ptr<const Plan>()>& compile,
                                  bool* dropped = nullptr);
  size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::mutex compiling;
    std::shared_ptr<const Plan> plan;
  };
  using List = std::list<std::shared_ptr<Entry>>;

  mutable std::mutex mutex_;
  size_t capacity_;
  List recent_;  // the last used first
  std::unordered_map<std::string, List::iterator> by_key_;
};

// Workspaces between runs, by who runs: one that served another would have to be bound again each time. One that is
// bound to the plan already is preferred.
class WorkspacePool {
 public:
  using Owner = const void*;
  std::unique_ptr<Workspace> lease(Owner owner, const std::shared_ptr<const Plan>& plan);
  void give_back(Owner owner, std::unique_ptr<Workspace> workspace);
  // Those that are idle.
  void drop(Owner owner);
  void trim();
  size_t bytes() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<Owner, std::vector<std::unique_ptr<Workspace>>> idle_;
};

}  // namespace plica
