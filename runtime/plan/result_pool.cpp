#include "runtime/plan/result_pool.h"

#include <algorithm>

#include "engine/core/checked.h"

namespace plica {
namespace {

// The allocator keeps smaller ones itself.
constexpr size_t kSmall = size_t{64} << 10;

}  // namespace

Tensor ResultPool::allocate(DataType type, const Dims& dims) {
  if (holds_objects(type)) return Tensor(type, dims);
  const size_t bytes = bytes_of(type, checked_elements(dims));
  if (bytes < kSmall) return Tensor(type, dims);
  Tensor buffer;
  {
    const std::lock_guard lock(mutex_);
    // The one that was used last is the likeliest to be in a cache; one that is far too large waits for its
    // own kind.
    const auto fits = std::find_if(free_.rbegin(), free_.rend(), [&](const Tensor& t) {
      return t.bytes() >= bytes && t.bytes() / 2 <= bytes;
    });
    if (fits != free_.rend()) {
      buffer = std::move(*fits);
      free_.erase(std::next(fits).base());
      free_bytes_ -= buffer.bytes();
    }
  }
  if (!buffer.defined()) buffer = Tensor(DataType::uint8, {static_cast<int64_t>(bytes)});
  {
    const std::lock_guard lock(mutex_);
    used_bytes_ += buffer.bytes();
    most_used_bytes_ = std::max(most_used_bytes_, used_bytes_);
  }
  void* memory = buffer.mutable_raw();
  std::shared_ptr<void> owner(memory, [pool = weak_from_this(), buffer = std::move(buffer)](void*) mutable {
    if (auto alive = pool.lock()) alive->give_back(std::move(buffer));
  });
  return Tensor::view(type, dims, memory, std::move(owner));
}

void ResultPool::give_back(Tensor buffer) {
  std::vector<Tensor> dropped;  // freed outside of the lock
  const std::lock_guard lock(mutex_);
  used_bytes_ -= buffer.bytes();
  free_bytes_ += buffer.bytes();
  free_.push_back(std::move(buffer));
  // As much as callers held at one time is enough.
  while (free_bytes_ + used_bytes_ > most_used_bytes_ && free_.size() > 1) {
    free_bytes_ -= free_.front().bytes();
    dropped.push_back(std::move(free_.front()));
    free_.erase(free_.begin());
  }
}

void ResultPool::trim() {
  std::vector<Tensor> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(free_);
  free_bytes_ = 0;
  most_used_bytes_ = used_bytes_;
}

size_t ResultPool::free_bytes() const {
  const std::lock_guard lock(mutex_);
  return free_bytes_;
}

}  // namespace plica
