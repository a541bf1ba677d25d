// parallel_for on the OpenMP team that oneDNN uses: a second pool beside it would oversubscribe the CPU.
#pragma once

#include <cstdint>
#include <functional>

namespace plica {

// Calls body(begin, end) on disjoint ranges that cover [0, count), on up to the current number of threads (see
// ThreadScope); serially when there are fewer than 2 * grain iterations or inside another parallel region.
// The first exception that a body throws is rethrown here.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

// Runs the body where a team of threads can be had: at once, or, in a thread that came through fork() (OpenMP's threads
// did not come along, and it would wait for them for ever), on a thread of its own, with this one's limits.
// parallel_for does so itself; what calls oneDNN must. Exceptions come back.
void with_team(const std::function<void()>& body);

// How many threads parallel_for and oneDNN use from the calling thread, for the scope's life; then as before.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int previous_;
};

int current_threads();

// The number of CPUs that this process may use: its affinity mask, bounded by its cgroup's CPU quota. At least 1.
int available_cpus();

}  // namespace plica
