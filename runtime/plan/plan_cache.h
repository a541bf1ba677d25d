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

  // What `compile` throws is rethrown, and nothing is kept.
  std::shared_ptr<const Plan> get(const std::string& key,
                                  const std::function<std::shared_ptr<const Plan>()>& compile);
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

// Workspaces between runs. One that is bound to the plan already is preferred.
class WorkspacePool {
 public:
  std::unique_ptr<Workspace> lease(const std::shared_ptr<const Plan>& plan);
  void give_back(std::unique_ptr<Workspace> workspace);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> idle_;
};

}  // namespace plica
