#include "runtime/plan/constants.h"

#include <algorithm>

#include "engine/core/fail.h"
#include "engine/core/parallel.h"

namespace plica {
namespace {

constexpr size_t kSmallBytes = 1 << 20;

std::shared_ptr<const Constant> pack(const Tensor& given, const onednn::Desc& from, const onednn::Desc& to,
                                     Arrange arrange) {
  auto c = std::make_shared<Constant>();
  c->source = given;
  c->arrange = arrange;
  c->from = from;
  c->desc = to;
  if (onednn::same_placement(from, to)) {
    c->packed = arrange ? arrange(given) : given;
    c->memory = dnnl::memory(to, onednn::cpu_engine(), const_cast<void*>(c->packed.raw()));
    return c;
  }
  const Tensor tensor = arrange ? arrange(given) : given.in_memory();
  const Dims floats = {static_cast<int64_t>((onednn::bytes_of(to) + 3) / 4)};
  c->packed =
      onednn::has_padding(to) ? Tensor::zeros(DataType::float32, floats) : Tensor(DataType::float32, floats);
  c->memory = dnnl::memory(to, onednn::cpu_engine(), c->packed.mutable_raw());
  // A small tensor is not worth waking the other threads.
  const ThreadScope threads(tensor.bytes() < kSmallBytes ? 1 : current_threads());
  dnnl::memory source(from, onednn::cpu_engine(), const_cast<void*>(tensor.raw()));
  dnnl::stream stream(onednn::cpu_engine());
  dnnl::reorder(source, c->memory).execute(stream, source, c->memory);
  stream.wait();
  return c;
}

}  // namespace

template <class Matches, class Make>
std::shared_ptr<const Constant> ConstantCache::find_or_add(const Tensor& tensor, const Matches& matches,
                                                           const Make& make) {
  std::lock_guard lock(mutex_);
  // Constants of plans that are gone leave nothing behind.
  if (by_source_.size() >= sweep_at_) {
    std::erase_if(by_source_, [](const auto& entry) {
      return std::ranges::all_of(entry.second, [](const auto& weak) { return weak.expired(); });
    });
    sweep_at_ = std::max<size_t>(64, 2 * by_source_.size());
  }
  auto& known = by_source_[tensor.buffer_id()];
  std::erase_if(known, [](const auto& weak) { return weak.expired(); });
  for (const auto& weak : known) {
    if (auto c = weak.lock(); c && matches(*c)) return c;
  }
  std::shared_ptr<const Constant> c = make();
  known.push_back(c);
  return c;
}

std::shared_ptr<const Constant> ConstantCache::get(const Tensor& tensor, const onednn::Desc& from,
                                                   const onednn::Desc& to, Arrange arrange) {
  return find_or_add(
      tensor,
      [&](const Constant& c) {
        return c.form.empty() && c.arrange == arrange && c.from == from && c.desc == to;
      },
      [&] { return pack(tensor, from, to, arrange); });
}

std::shared_ptr<const Constant> ConstantCache::get(const Tensor& tensor, const std::string& form,
                                                   const std::function<Tensor()>& make) {
  return find_or_add(
      tensor, [&](const Constant& c) { return c.form == form; },
      [&] {
        auto c = std::make_shared<Constant>();
        c->source = tensor;
        c->form = form;
        c->packed = make();
        return c;
      });
}

size_t ConstantCache::size() const {
  const std::lock_guard lock(mutex_);
  return by_source_.size();
}

}  // namespace plica
