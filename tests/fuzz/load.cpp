// Any bytes as a model: loaded from memory and from a file, looked at in every way there is, written and
// loaded again.
#include <memory>
#include <string>

#include "plica/plica.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/memory_file.h"

namespace plica::fuzz {
namespace {

void look_at(const Model& model) {
  model.inputs();
  model.outputs();
  model.metadata();
  model.values();
  model.check();
  model.to_dot();
  succeeds([&] { model.summarize(); });
  succeeds([&] { model.to_html("model"); });
}

// What is written is a model again, of the same text and the same bytes.
void expect_round_trip(const Model& model) {
  const std::string bytes = model.serialize();
  const std::string listing = model.listing();
  if (model.serialized_size() != bytes.size()) report("serialized_size() is not that of serialize()");
  std::unique_ptr<Model> again;
  try {
    again = std::make_unique<Model>(Model::parse(bytes));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled || error.code() == ErrorCode::limit) return;
    report("what was written does not load: " + error.message());
  }
  if (again->listing() != listing) report("what was written loads as another model");
  if (again->serialize() != bytes) report("what was written is written differently");
}

// From a file, where large tensors stay, it is the same model.
void expect_same_from_file(const MemoryFile& file, const Model& model) {
  std::string bytes;
  try {
    bytes = Model::load(file.fd()).serialize();
  } catch (const Error& e) {
    if (e.code() == ErrorCode::cancelled || e.code() == ErrorCode::limit) return;
    report("the model loads from memory, but from a file: " + e.message());
  }
  if (bytes != model.serialize()) report("from a file it is another model");
}

}  // namespace
}  // namespace plica::fuzz

using namespace plica;
using namespace plica::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = bytes_of(data, size);
  const LimitsScope scope(kLimits);
  const MemoryFile file(bytes);
  std::unique_ptr<Model> model;
  if (!succeeds([&] { model = std::make_unique<Model>(Model::parse(bytes)); })) {
    succeeds([&] { Model::load(file.fd()); });
    return 0;
  }
  succeeds([&] { look_at(*model); });
  succeeds([&] { expect_round_trip(*model); });
  succeeds([&] { expect_same_from_file(file, *model); });
  return 0;
}
