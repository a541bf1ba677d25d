// StepRecorder: while one lives, it records when every step of the plans that its thread runs began and
// ended; the steps of subgraphs too, which run within a step. With a function to tell them to, it keeps none.
// One a thread; not for use from another.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace plica {

class Plan;

class StepRecorder {
 public:
  using Clock = std::chrono::steady_clock;
  struct Record {
    std::shared_ptr<const Plan> plan;
    size_t step = 0;
    int depth = 0;  // 1: within a step of depth 0
    Clock::time_point start = {}, end = {};
  };

  explicit StepRecorder(std::function<void(const Record&)> on_end = nullptr)
      : outer_(std::exchange(current_, this)), on_end_(std::move(on_end)) {}
  ~StepRecorder() { current_ = outer_; }
  StepRecorder(const StepRecorder&) = delete;
  StepRecorder& operator=(const StepRecorder&) = delete;

  // That of this thread, or null.
  static StepRecorder* current() { return current_; }

  template <class Body>
  void record(const std::shared_ptr<const Plan>& plan, size_t step, const Body& body) {
    const size_t index = records_.size();
    Record now{plan, step, depth_++};
    if (!on_end_) records_.push_back(now);
    now.start = Clock::now();
    body();
    now.end = Clock::now();
    --depth_;
    if (on_end_) {
      on_end_(now);
    } else {
      records_[index] = std::move(now);
    }
  }

  // In the order in which they began.
  const std::vector<Record>& records() const { return records_; }

 private:
  static inline thread_local StepRecorder* current_ = nullptr;
  StepRecorder* outer_;
  const std::function<void(const Record&)> on_end_;
  std::vector<Record> records_;
  int depth_ = 0;
};

}  // namespace plica
