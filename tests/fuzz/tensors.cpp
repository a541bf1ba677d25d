// Inputs of a run, as `plica run -i` reads them: .npy, .npz, serialized tensors and other values, pictures.
// What is read is written and read again.
#include <string>

#include "engine/core/picture.h"
#include "plica/plica.h"
#include "tests/fuzz/fuzz.h"
#include "tools/image.h"
#include "tools/npy.h"
#include "tools/npz.h"
#include "tools/values.h"

namespace plica::fuzz {
namespace {

std::span<const std::byte> bytes_of_text(std::string_view text) { return std::as_bytes(std::span(text)); }

// Strings are text where they are written: bytes that are no UTF-8 are replaced.
void expect_equal(const Tensor& a, const Tensor& b, const char* format) {
  if (a.type() == DataType::string && b.type() == DataType::string && a.dims() == b.dims()) return;
  if (!a.identical_to(b)) report(std::string("what is written as ") + format + " is read as something else");
}

void check_npy(std::span<const std::byte> bytes) {
  const Tensor tensor = tools::parse_npy(bytes);
  tools::summary(tensor);
  std::string again;
  if (succeeds([&] { again = tools::serialize_npy(tensor); }))
    expect_equal(tools::parse_npy(bytes_of_text(again)), tensor, ".npy");
}

void check_npz(std::span<const std::byte> bytes) {
  const tools::NamedArrays arrays = tools::parse_npz(bytes);
  std::string again;
  if (!succeeds([&] { again = tools::serialize_npz(arrays); })) return;
  const tools::NamedArrays read = tools::parse_npz(bytes_of_text(again));
  if (read.size() != arrays.size()) report("an .npz has another number of arrays");
  for (size_t i = 0; i < arrays.size(); ++i) expect_equal(read[i].second, arrays[i].second, ".npz");
}

void check_value(std::span<const std::byte> bytes, DataType kind) {
  std::string name;
  const Tensor tensor = parse_value_proto(bytes, kind, &name);
  if (tools::is_numeric(tensor.type())) tools::summary(tensor);
  const std::string again = serialize_tensor_proto(tensor, name);
  std::string name_again;
  expect_equal(parse_value_proto(bytes_of_text(again), kind, &name_again), tensor, ".pb");
  if (name_again != name) report("a tensor has another name");
}

void check_picture(std::span<const std::byte> bytes) {
  const tools::Image image = tools::decode_image(bytes);
  const auto values = static_cast<size_t>(image.width) * static_cast<size_t>(image.height) *
                      static_cast<size_t>(image.channels);
  if (image.pixels.size() != values) report("a picture has another number of pixels");
  if (values > size_t{1} << 20) return;
  const tools::Image small = tools::resize(tools::with_channels(image, 3), 5, 7);
  tools::image_tensor(small, DataType::float32, 4, tools::Layout::nchw, {.scale = {1.0 / 255}});
}

}  // namespace
}  // namespace plica::fuzz

using namespace plica;
using namespace plica::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = bytes_of(data, size);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const LimitsScope scope(kLimits);
  succeeds([&] {
    decode_picture({data, size});
  });  // also of formats that looks_like_image() leaves to others
  if (text.starts_with("\x93NUMPY")) {
    succeeds([&] { check_npy(bytes); });
  } else if (text.starts_with("PK")) {
    succeeds([&] { check_npz(bytes); });
  } else if (tools::looks_like_image(bytes)) {
    succeeds([&] { check_picture(bytes); });
  } else {
    for (const DataType kind : {DataType::undefined, DataType::sequence, DataType::optional, DataType::map})
      succeeds([&] { check_value(bytes, kind); });
  }
  return 0;
}
