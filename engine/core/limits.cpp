#include "engine/core/limits.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <utility>

#include "engine/core/fail.h"

namespace plica {
namespace {

thread_local Limits* current_limits = nullptr;

// "1.5 GB"
std::string amount(size_t bytes) {
  const auto value = static_cast<double>(bytes);
  for (const auto& [unit, size] : {std::pair("TB", 1e12), {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}}) {
    if (value >= size) return fmt::format("{:.1f} {}", value / size, unit);
  }
  return fmt::format("{} bytes", bytes);
}

// What this process can get at most: the machine's memory, its control group's, its own limit of addresses.
size_t machine_memory() {
  size_t most = SIZE_MAX;
  const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  if (pages > 0 && page > 0) most = static_cast<size_t>(pages) * static_cast<size_t>(page);
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    size_t bytes = 0;
    if (std::ifstream file(path); file >> bytes && bytes > 0) most = std::min(most, bytes);  // or "max"
  }
  struct rlimit addresses;
  if (::getrlimit(RLIMIT_AS, &addresses) == 0 && addresses.rlim_cur != RLIM_INFINITY)
    most = std::min<size_t>(most, addresses.rlim_cur);
  return most;
}

}  // namespace

void check_machine_memory(size_t bytes) {
  constexpr size_t kSmall = size_t{64} << 20;
  if (bytes < kSmall) return;
  static const size_t most = machine_memory();
  require(bytes <= most, ErrorCode::limit, "{} are needed at once, and there are {} of memory", amount(bytes),
          amount(most));
}

Limits::Limits(const LimitOptions& options)
    : outer_(current()), max_memory_(options.max_memory), timeout_(options.timeout), cancel_(options.cancel),
      stop_(options.stop) {
  require(options.timeout >= 0, ErrorCode::invalid_argument, "a time limit of {} s", options.timeout);
  // Beyond what the clock can hold there is none.
  constexpr double kLongest = 1e9;
  if (timeout_ > 0 && timeout_ < kLongest) {
    deadline_ = std::chrono::steady_clock::now() +
                std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(timeout_));
  }
}

std::shared_ptr<Limits> Limits::current() {
  return current_limits ? current_limits->shared_from_this() : nullptr;
}

void Limits::reserve(size_t bytes) {
  check_machine_memory(bytes);
  if (outer_) outer_->reserve(bytes);
  size_t held = held_.load();
  do {
    if (max_memory_ != 0 && (bytes > max_memory_ || held > max_memory_ - bytes)) {
      if (outer_) outer_->release(bytes);
      fail(ErrorCode::limit, "{} more are needed, and {} of the {} that are allowed are taken", amount(bytes),
           amount(held), amount(max_memory_));
    }
  } while (!held_.compare_exchange_weak(held, held + bytes));
}

void Limits::release(size_t bytes) noexcept {
  held_ -= bytes;
  if (outer_) outer_->release(bytes);
}

bool Limits::timed_out() const { return deadline_ && std::chrono::steady_clock::now() >= *deadline_; }

void Limits::check() const {
  require(!cancel_ || !cancel_->load(std::memory_order_relaxed), ErrorCode::cancelled, "cancelled");
  require(!stop_ || !stop_(), ErrorCode::cancelled, "cancelled");
  require(!timed_out(), ErrorCode::cancelled, "not done within the time limit of {} s", timeout_);
  if (outer_) outer_->check();
}

LimitsScope::LimitsScope(const LimitOptions& options) : LimitsScope(std::make_shared<Limits>(options)) {}

LimitsScope::LimitsScope(std::shared_ptr<Limits> limits)
    : limits_(std::move(limits)), previous_(current_limits) {
  current_limits = limits_.get();
}

LimitsScope::~LimitsScope() { current_limits = previous_; }

void check_limits() {
  if (current_limits) current_limits->check();
}

}  // namespace plica
