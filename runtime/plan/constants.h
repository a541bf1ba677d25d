// Packed constants: weights and other tensors of the model in the layouts that kernels want, made once and
// shared by the plans of all shapes. Thread safety: all.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/core/tensor.h"
#include "runtime/onednn/onednn.h"

namespace plica {

// How a tensor's elements are brought into another order, or combined, before they are packed.
using Arrange = Tensor (*)(const Tensor&);

struct Constant {
  Tensor source;  // kept: its address is part of the key
  Arrange arrange = nullptr;
  std::string form;         // that only a kernel knows; then there are no descriptors
  onednn::Desc from, desc;  // how the source is read, and how the data lie
  Tensor packed;            // shares the source's buffer when the layouts agree
  dnnl::memory memory;  // one handle for all threads: giving oneDNN the address again would write the padding
};

// How the constant lies, as text by which it is found again; empty for what `arrange` makes, and for opaque
// formats.
std::string form_of(const Constant& constant);

// Whether it is the source itself.
bool is_source_in_place(const Constant& constant);

// Packed tensors that exist already (api/compiled_file.h). Thread safety: all.
class PackedForms {
 public:
  virtual ~PackedForms() = default;
  // Whether there may be forms of this tensor.
  virtual bool knows(const Tensor& source) const = 0;
  // The tensor in a form_of() a constant, of so many bytes; undefined when it is not there. oneDNN may write
  // to its padding.
  virtual Tensor find(const Tensor& source, const std::string& form, size_t bytes) const = 0;
};

class ConstantCache {
 public:
  explicit ConstantCache(std::shared_ptr<const PackedForms> packed = nullptr) : packed_(std::move(packed)) {}

  // The tensor, or what `arrange` makes of it, read as `from` describes, in the layout `to`.
  std::shared_ptr<const Constant> get(const Tensor& tensor, const onednn::Desc& from, const onednn::Desc& to,
                                      Arrange arrange = nullptr);
  // The tensor in a form of a kernel's own, of so many bytes, as make() gives it.
  std::shared_ptr<const Constant> get(const Tensor& tensor, const std::string& form, size_t bytes,
                                      const std::function<Tensor()>& make);
  // Those that somebody uses.
  std::vector<std::shared_ptr<const Constant>> all() const;
  // How many tensors it remembers.
  size_t size() const;

 private:
  std::shared_ptr<Constant> find_packed(const Tensor& tensor, Constant constant, size_t bytes) const;
  template <class Matches, class Make>
  std::shared_ptr<const Constant> find_or_add(const Tensor& tensor, const Matches& matches, const Make& make);

  const std::shared_ptr<const PackedForms> packed_;
  mutable std::mutex mutex_;
  size_t sweep_at_ = 64;
  std::unordered_map<const void*, std::vector<std::weak_ptr<const Constant>>> by_source_;
};

}  // namespace plica
