// Import and export lose nothing: each model of the ONNX suite (Debian: libonnx-testdata) and each real model
// is loaded, serialized, and compared with its file as protobuf messages, field by field and unknown fields
// included.
//
// Normalized before comparing, on both sides, and nothing else:
//   - initializer and value_info are sets with names: they are sorted by name (in file order where names are
//   equal).
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "engine/core/file.h"
#include "engine/onnx/export.h"
#include "engine/onnx/onnx.h"
#include "engine/onnx/onnx.pb.h"
#include "engine/onnx/wire.h"

namespace plica {
namespace {

namespace fs = std::filesystem;
using onnx_format::GraphProto;
using onnx_format::ModelProto;

template <class Protos>
void sort_by_name(Protos& protos) {
  std::stable_sort(protos.pointer_begin(), protos.pointer_end(),
                   [](const auto* a, const auto* b) { return a->name() < b->name(); });
}

template <class Nodes>
void normalize_subgraphs(Nodes& nodes);

void normalize(GraphProto& graph) {
  sort_by_name(*graph.mutable_initializer());
  sort_by_name(*graph.mutable_value_info());
  normalize_subgraphs(*graph.mutable_node());
}

template <class Nodes>
void normalize_subgraphs(Nodes& nodes) {
  for (auto& node : nodes) {
    for (auto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) normalize(*attribute.mutable_g());
      for (auto& graph : *attribute.mutable_graphs()) normalize(graph);
    }
  }
}

std::string normalized(std::string_view bytes) {
  ModelProto model;
  EXPECT_TRUE(model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  normalize(*model.mutable_graph());
  for (auto& function : *model.mutable_functions()) {
    sort_by_name(*function.mutable_value_info());
    normalize_subgraphs(*function.mutable_node());
  }
  return model.SerializeAsString();
}

std::vector<fs::path> models_below(const fs::path& directory) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file() && entry.path().extension() == ".onnx") out.push_back(entry.path());
  }
  std::ranges::sort(out);
  return out;
}

void check(const fs::path& path) {
  SCOPED_TRACE(path.string());
  try {
    const std::string ours = serialize_model(*load_model(path));
    const auto file = MappedFile::open(path);
    const std::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
    EXPECT_TRUE(normalized(ours) == normalized(bytes)) << "the exported model differs";
    const auto in_memory = parse_model(file->bytes(), path.parent_path());
    EXPECT_TRUE(onnx_format::serialize_message(onnx_format::export_model(*in_memory, nullptr, nullptr)) ==
                ours)
        << "parsed from memory and written as one message it differs";
    const auto again = parse_model(std::as_bytes(std::span(ours)));
    EXPECT_TRUE(serialize_model(*again) == ours) << "exporting what was exported differs";
    EXPECT_TRUE(serialize_model(*again->clone()) == ours) << "exporting a clone differs";
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
}

TEST(RoundTrip, OnnxSuite) {
  const fs::path directory = "/usr/share/libonnx-testdata/data";
  if (!fs::exists(directory)) GTEST_SKIP() << "libonnx-testdata is not installed";
  const auto models = models_below(directory);
  EXPECT_GE(models.size(), 1000u);
  for (const fs::path& path : models) check(path);
}

TEST(RoundTrip, ModelsOfThisRepository) {
  const auto models = models_below(fs::path(PLICA_SOURCE_DIR) / "models");
  EXPECT_FALSE(models.empty());
  for (const fs::path& path : models) check(path);
}

// Models elsewhere, for whoever has some.
TEST(RoundTrip, ModelsOfTheEnvironment) {
  const char* directories = std::getenv("PLICA_TEST_MODELS");
  if (!directories) GTEST_SKIP() << "PLICA_TEST_MODELS names no directories";
  std::stringstream list(directories);
  for (std::string directory; std::getline(list, directory, ':');) {
    for (const fs::path& path : models_below(directory)) check(path);
  }
}

}  // namespace
}  // namespace plica
