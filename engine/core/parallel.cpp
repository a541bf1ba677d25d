#include "engine/core/parallel.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "engine/core/limits.h"

namespace plica {

namespace {

// A thread that runs what one other thread gives it.
class Helper {
 public:
  Helper() : thread_([this] { work(); }) {}
  ~Helper() {
    give(nullptr);
    thread_.join();
  }
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;

  void run(const std::function<void()>& body) {
    give(&body);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !given_; });
  }

 private:
  void give(const std::function<void()>* body) {
    const std::lock_guard lock(mutex_);
    body_ = body;
    given_ = true;
    changed_.notify_all();
  }
  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return given_; });
      if (!body_) return;
      lock.unlock();
      (*body_)();
      lock.lock();
      given_ = false;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* body_ = nullptr;
  bool given_ = false;
  std::thread thread_;
};

thread_local bool came_through_fork = false;
thread_local std::unique_ptr<Helper> helper;  // made when it is needed

// In the child, in the one thread that is left.
void after_fork() {
  came_through_fork = true;
  // That of the parent did not come along: there is no thread to end, and its memory is left.
  static_cast<void>(helper.release());
}

[[maybe_unused]] const int at_fork = ::pthread_atfork(nullptr, nullptr, after_fork);

}  // namespace

void with_team(const std::function<void()>& body) {
  if (!came_through_fork) {
    body();
    return;
  }
  std::exception_ptr thrown;
  const std::shared_ptr<Limits> limits = Limits::current();
  const int threads = omp_get_max_threads();
  if (!helper) helper = std::make_unique<Helper>();
  helper->run([&] {
    const ThreadScope as_here(threads);
    const LimitsScope scope(limits);
    try {
      body();
    } catch (...) {
      thrown = std::current_exception();
    }
  });
  if (thrown) std::rethrow_exception(thrown);
}

namespace {

void run_parallel(int64_t count, int threads, const std::function<void(int64_t, int64_t)>& body) {
  std::exception_ptr first;
  std::mutex mutex;
  const std::shared_ptr<Limits> limits = Limits::current();
#pragma omp parallel num_threads(threads)
  {
    const int64_t team = omp_get_num_threads();
    const int64_t self = omp_get_thread_num();
    const int64_t share = count / team;
    const int64_t extra = count % team;
    const int64_t begin = self * share + std::min(self, extra);
    const int64_t end = begin + share + (self < extra ? 1 : 0);
    const LimitsScope scope(limits);
    try {
      if (begin < end) body(begin, end);
    } catch (...) {
      std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
}

}  // namespace

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  const int64_t useful = count / std::max<int64_t>(grain, 1);
  const int threads = omp_in_parallel() ? 1 : static_cast<int>(std::min<int64_t>(omp_get_max_threads(), useful));
  if (threads <= 1) {
    body(0, count);
  } else if (came_through_fork) {
    with_team([&] { run_parallel(count, threads, body); });
  } else {
    run_parallel(count, threads, body);
  }
}

ThreadScope::ThreadScope(int threads) : previous_(omp_get_max_threads()) { omp_set_num_threads(std::max(threads, 1)); }
ThreadScope::~ThreadScope() { omp_set_num_threads(previous_); }

int current_threads() { return omp_get_max_threads(); }

namespace {

// Whole CPUs that a cgroup v2 or v1 quota allows; 0 when there is none.
int quota_cpus() {
  long long quota = -1, period = 0;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2) {
    std::string text;
    if (v2 >> text >> period && text != "max") quota = std::stoll(text);
  } else {
    std::ifstream q("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), p("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    if (!(q >> quota) || !(p >> period)) quota = -1;
  }
  if (quota <= 0 || period <= 0) return 0;
  return static_cast<int>(std::max<long long>(1, (quota + period - 1) / period));
}

}  // namespace

int available_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : omp_get_num_procs();
  if (const int quota = quota_cpus()) cpus = std::min(cpus, quota);
  return std::max(cpus, 1);
}

}  // namespace plica
