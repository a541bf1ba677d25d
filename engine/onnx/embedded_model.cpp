#include "engine/onnx/embedded_model.h"

#include <string>
#include <utility>

#include "engine/core/fail.h"
#include "engine/core/limits.h"
#include "engine/onnx/import.h"
#include "engine/onnx/model_file.h"
#include "engine/onnx/wire.h"

namespace plica {
namespace {

using namespace onnx_format;

// Smaller ones are read with the message.
constexpr size_t kLeastApart = 4096;

class Sink : public TensorSink {
 public:
  Sink(SectionWriter& file, std::vector<EmbeddedTensor>& tensors) : file_(file), tensors_(tensors) {}

  bool put(const Tensor& tensor, TensorProto& proto) override {
    if (holds_objects(tensor.type()) || tensor.bytes() < kLeastApart) return false;
    const Section place = file_.put(tensor);
    describe_external(tensor, kThisFile, place.offset, proto);
    tensors_.push_back({tensor, place});
    return true;
  }

 private:
  SectionWriter& file_;
  std::vector<EmbeddedTensor>& tensors_;
};

}  // namespace

void SectionWriter::align(size_t size) {
  const std::string zeros(padding_before(size, end_), '\0');
  file_.write(zeros);
  end_ += zeros.size();
}

Section SectionWriter::put(const Tensor& elements) {
  align(elements.bytes());
  const Section place{end_, elements.bytes()};
  write_elements(elements, file_);
  end_ += place.size;
  return place;
}

Section SectionWriter::put(std::string_view bytes) {
  align(bytes.size());
  const Section place{end_, bytes.size()};
  file_.write(bytes);
  end_ += place.size;
  return place;
}

Section save_embedded(const ModelGraph& model, SectionWriter& file, std::vector<EmbeddedTensor>& tensors) {
  Sink sink(file, tensors);
  return file.put(SerializedModel(model, &sink).text());
}

std::unique_ptr<ModelGraph> load_embedded(const std::shared_ptr<const ReadableFile>& file, Section message,
                                          std::vector<EmbeddedTensor>& tensors) {
  check_message_size(message.size);
  check_machine_memory(message.size);
  std::vector<std::byte> bytes(message.size);
  file->read(message.offset, bytes);
  ModelProto proto = parse_model_message(bytes);
  TensorSources sources{ExternalFiles(file)};
  auto model = import_model(proto, sources);
  for (auto& [tensor, range] : sources.left_in_file)
    tensors.push_back({std::move(tensor), {range.offset, range.size}});
  return model;
}

}  // namespace plica
