#include "runtime/plan/constants.h"

#include <algorithm>

#include "engine/core/fail.h"
#include "engine/core/parallel.h"

namespace plica {
namespace {

constexpr size_t kSmallBytes = 1 << 20;

// Of what oneDNN reads in place.
size_t floats_of(const onednn::Desc& desc) { return (onednn::bytes_of(desc) + 3) / 4; }

void pack(Constant& c) {
  if (onednn::same_placement(c.from, c.desc)) {
    c.packed = c.arrange ? c.arrange(c.source) : c.source;
    c.memory = dnnl::memory(c.desc, onednn::cpu_engine(), const_cast<void*>(c.packed.raw()));
    return;
  }
  const Tensor tensor = c.arrange ? c.arrange(c.source) : c.source.in_memory();
  const Dims floats = {static_cast<int64_t>(floats_of(c.desc))};
  c.packed = onednn::has_padding(c.desc) ? Tensor::zeros(DataType::float32, floats)
                                         : Tensor(DataType::float32, floats);
  c.memory = dnnl::memory(c.desc, onednn::cpu_engine(), c.packed.mutable_raw());
  // A small tensor is not worth waking the other threads.
  const ThreadScope threads(tensor.bytes() < kSmallBytes ? 1 : current_threads());
  dnnl::memory source(c.from, onednn::cpu_engine(), const_cast<void*>(tensor.raw()));
  dnnl::stream stream(onednn::cpu_engine());
  dnnl::reorder(source, c.memory).execute(stream, source, c.memory);
  stream.wait();
}

}  // namespace

std::string form_of(const Constant& c) {
  if (!c.form.empty()) return "own: " + c.form;
  const std::string from = c.arrange ? "" : onednn::text_of(c.from), to = onednn::text_of(c.desc);
  return from.empty() || to.empty() ? "" : from + " to " + to;
}

bool is_source_in_place(const Constant& c) {
  return c.form.empty() && !c.arrange && onednn::same_placement(c.from, c.desc);
}

// Null: to be made.
std::shared_ptr<Constant> ConstantCache::find_packed(const Tensor& tensor, Constant constant,
                                                     size_t bytes) const {
  if (!packed_ || !packed_->knows(tensor)) return nullptr;
  // Formats without a text may hold offsets that oneDNN goes by: they are never taken from elsewhere.
  const std::string form = form_of(constant);
  if (form.empty()) return nullptr;
  constant.packed = packed_->find(tensor, form, bytes);
  if (!constant.packed.defined()) return nullptr;
  return std::make_shared<Constant>(std::move(constant));
}

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
  const auto matches = [&](const Constant& c) {
    return c.form.empty() && c.arrange == arrange && c.from == from && c.desc == to;
  };
  return find_or_add(tensor, matches, [&] {
    Constant constant{.source = tensor, .arrange = arrange, .form = {}, .from = from, .desc = to};
    const bool in_place = onednn::same_placement(from, to);
    if (auto c = find_packed(tensor, constant, in_place ? tensor.bytes() : 4 * floats_of(to))) {
      c->memory = dnnl::memory(to, onednn::cpu_engine(), const_cast<void*>(c->packed.raw()));
      return c;
    }
    pack(constant);
    return std::make_shared<Constant>(std::move(constant));
  });
}

std::shared_ptr<const Constant> ConstantCache::get(const Tensor& tensor, const std::string& form,
                                                   size_t bytes, const std::function<Tensor()>& make) {
  const auto matches = [&](const Constant& c) { return c.form == form; };
  return find_or_add(tensor, matches, [&] {
    Constant constant{.source = tensor, .form = form};
    if (auto c = find_packed(tensor, constant, bytes)) return c;
    constant.packed = make();
    require(constant.packed.bytes() == bytes, ErrorCode::internal, "{} has {} bytes, not {}", form,
            constant.packed.bytes(), bytes);
    return std::make_shared<Constant>(std::move(constant));
  });
}

std::vector<std::shared_ptr<const Constant>> ConstantCache::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<const Constant>> constants;
  for (const auto& [_, forms] : by_source_) {
    for (const auto& weak : forms) {
      if (auto c = weak.lock()) constants.push_back(std::move(c));
    }
  }
  return constants;
}

size_t ConstantCache::size() const {
  const std::lock_guard lock(mutex_);
  return by_source_.size();
}

}  // namespace plica
