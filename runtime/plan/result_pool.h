// Memory of results. What a caller drops serves the next run: fresh memory from the system costs a page fault
// for every 4 KiB, more than many operators cost. Thread safety: all.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "engine/core/tensor.h"

namespace plica {

class ResultPool : public std::enable_shared_from_this<ResultPool> {
 public:
  static std::shared_ptr<ResultPool> make() { return std::shared_ptr<ResultPool>(new ResultPool); }

  // Uninitialized. The pool may be gone before the tensor.
  Tensor allocate(DataType type, const Dims& dims);
  // Frees what waits for a next run.
  void trim();
  size_t free_bytes() const;

 private:
  ResultPool() = default;
  void give_back(Tensor buffer);

  mutable std::mutex mutex_;
  std::vector<Tensor> free_;  // the last given back last
  size_t free_bytes_ = 0, used_bytes_ = 0, most_used_bytes_ = 0;
};

}  // namespace plica
