// Limits of memory and time for what a thread does within a scope: loading, optimizing, running.
//
//   LimitsScope scope({.max_memory = 512 << 20, .timeout = 2});
//   Model model = Model::load(path);  // throws Error(limit) or Error(cancelled)
//
// Memory is that of the elements of tensors, among them packed weights and what plans work in, from their
// allocation within the scope until they are freed, which may be after it. An allocation that would pass the
// limit is not made. What the C++ containers around them hold is not counted. Without a scope, or without
// max_memory, what is refused is what the machine cannot give: more than its memory, or its control group's.
//
// Time is looked at between nodes, rewrites, steps and iterations, so the longest of these comes on top.
//
// Thread safety: a scope is its thread's own and is carried to the threads of parallel_for; Limits may be
// shared by scopes of several threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

#include "engine/core/api.h"
#include "engine/core/error.h"

namespace PLICA_API plica {

struct LimitOptions {
  size_t max_memory = 0;                      // in bytes; 0: none
  double timeout = 0;                         // in seconds, from the making of the limits on; 0: none
  const std::atomic<bool>* cancel = nullptr;  // ends the work when somebody sets it; must outlive the limits
  // Asked at each look, by whichever of the scope's threads looks: true ends the work like `cancel`. Must be quick.
  std::function<bool()> stop = {};
};

class Limits : public std::enable_shared_from_this<Limits> {
 public:
  // Within a scope of other limits, those hold too. Throws invalid_argument for a negative timeout.
  explicit Limits(const LimitOptions& options);

  static std::shared_ptr<Limits> current();  // of this thread; null: none

  void reserve(size_t bytes);  // throws limit
  void release(size_t bytes) noexcept;
  size_t held() const { return held_.load(); }  // bytes
  void check() const;                           // throws cancelled
  bool timed_out() const;

 private:
  const std::shared_ptr<Limits> outer_;
  const size_t max_memory_;
  const double timeout_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  const std::atomic<bool>* const cancel_;
  const std::function<bool()> stop_;
  std::atomic<size_t> held_ = 0;
};

class LimitsScope {
 public:
  explicit LimitsScope(const LimitOptions& options);
  explicit LimitsScope(std::shared_ptr<Limits> limits);  // null: none
  ~LimitsScope();
  LimitsScope(const LimitsScope&) = delete;
  LimitsScope& operator=(const LimitsScope&) = delete;
  const Limits* limits() const { return limits_.get(); }

 private:
  std::shared_ptr<Limits> limits_;
  Limits* previous_;
};

// Of this thread's limits, if there are any.
void check_limits();
// Whether an error is the caller's alone to handle: a bug of ours, or the end of the time.
inline bool ends_work(const Error& error) {
  return error.code() == ErrorCode::internal || error.code() == ErrorCode::cancelled;
}
// Throws limit when the machine cannot give so many bytes at once.
void check_machine_memory(size_t bytes);

}  // namespace plica
