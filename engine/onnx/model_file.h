// Models from and to files without a message or a string that holds the elements of their tensors.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/core/file.h"
#include "engine/onnx/export.h"
#include "engine/onnx/raw_data_scan.h"

namespace plica::onnx_format {

// Large raw_data stay in the file: their tensors read them when asked (Tensor::in_file). Null for a file that
// the scan does not understand (raw_data_scan.h); what is wrong with it, if anything, parsing as usual tells.
// Throws as import_model().
std::unique_ptr<ModelGraph> read_model(const std::shared_ptr<const ReadableFile>& file,
                                       const std::filesystem::path& directory);

// The same for bytes that `owner` keeps: tensors view them, or are copied from them when asked.
std::unique_ptr<ModelGraph> read_model(std::span<const std::byte> bytes,
                                       const std::shared_ptr<const void>& owner,
                                       const std::filesystem::path& directory);

// The bytes of a model's message, made piece by piece: exactly those that serializing the whole message
// gives.
class SerializedModel {
 public:
  // The tensors of `model` must live on. `sink` as in export_model(). Throws limit beyond 2 GiB.
  SerializedModel(const ModelGraph& model, TensorSink* sink);
  SerializedModel(const SerializedModel&) = delete;
  SerializedModel& operator=(const SerializedModel&) = delete;

  size_t size() const;
  void write(AtomicFile& file) const;
  std::string text() const;

 private:
  // Finds where the tensors belong. False when there are fields that the scan does not understand (unknown
  // ones are kept), or graphs deeper than a file's.
  bool place(const DeferredTensors& deferred, ModelProto& proto);

  std::string message_;  // large raw_data are empty in it
  std::vector<WireField> fields_;
  std::vector<Tensor> bodies_;  // of the raw_data fields, at their numbers; undefined: is in message_
  std::unique_ptr<WireRewriter> rewriter_;
};

// Without reading them into the tensor when they are in a file.
void write_elements(const Tensor& tensor, AtomicFile& file);

}  // namespace plica::onnx_format
