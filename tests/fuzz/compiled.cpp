// Compiled files (api/compiled_file.h): loaded, and run.
//
// A file holds for one build and CPU, and its table is hashed. So that those of the corpus hold here and
// mutations get past the hash, a table whose hash is 0 is completed: the members of this_build() that are
// "here" become what they are here, and the hash becomes right. Everything else is read as it is.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "engine/core/parallel.h"
#include "plica/compile.h"
#include "plica/plica.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/mutate_values.h"
#include "tools/inputs.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most) __attribute__((weak));

namespace plica::fuzz {
namespace {

using nlohmann::json;
using onnx_format::ModelProto;

constexpr std::string_view kMagic = "\x89PLICA\r\n";
constexpr size_t kTrailer = 32;

struct Parts {
  std::string payload, table;
  uint64_t hash = 0;
};

std::optional<Parts> take_apart(std::string_view file) {
  if (file.size() < kTrailer || !file.ends_with(kMagic)) return std::nullopt;
  std::array<uint64_t, 3> trailer;
  std::memcpy(trailer.data(), file.data() + file.size() - kTrailer, sizeof trailer);
  const size_t end = file.size() - kTrailer;
  const auto [offset, size, hash] = trailer;
  if (offset > end || size != end - offset) return std::nullopt;
  return Parts{std::string(file.substr(0, offset)), std::string(file.substr(offset, size)), hash};
}

std::string put_together(const Parts& parts) {
  const std::array<uint64_t, 3> trailer = {parts.payload.size(), parts.table.size(), parts.hash};
  std::string file = parts.payload + parts.table;
  file.append(reinterpret_cast<const char*>(trailer.data()), sizeof trailer);
  return file.append(kMagic);
}

json table_of(const std::string& text) {
  json table = json::parse(text, nullptr, false);
  return table.is_object() ? table : json::object();
}

// What this build writes into a table.
json table_of_this_build() {
  std::string directory = (std::filesystem::temp_directory_path() / "plica_fuzz_XXXXXX").string();
  if (!::mkdtemp(directory.data())) report("no temporary directory");
  ModelProto proto;
  proto.set_ir_version(8);
  proto.add_opset_import()->set_version(18);
  proto.mutable_graph()->set_name("empty");
  const std::filesystem::path path = std::filesystem::path(directory) / "empty.plica";
  Session::compile(Model::parse(proto.SerializeAsString()), {{}}, path, {.session = {.threads = 1}});
  std::ifstream in(path, std::ios::binary);
  const auto parts = take_apart(std::string{std::istreambuf_iterator<char>(in), {}});
  std::filesystem::remove_all(directory);
  if (!parts) report("compiled files have another form now");
  return table_of(parts->table);
}

std::string completed(std::string_view file) {
  static const json here = table_of_this_build();
  std::optional<Parts> parts = take_apart(file);
  if (!parts || parts->hash != 0) return std::string(file);
  if (json table = table_of(parts->table); !table.empty()) {
    for (auto& [member, value] : table.items()) {
      if (value == "here" && here.contains(member)) value = here[member];
    }
    parts->table = table.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  parts->hash = XXH3_64bits(parts->table.data(), parts->table.size());
  return put_together(*parts);
}

void mutate_json(json& value, Random& random) {
  if (value.is_structured() && !value.empty() && !one_in(random, 8)) {
    auto it = value.begin();
    std::advance(it, below(random, static_cast<int>(value.size())));
    if (!one_in(random, 16)) return mutate_json(*it, random);
    value.erase(it);
  } else if (value.is_number()) {
    constexpr std::array<uint64_t, 8> kEnds = {0,
                                               1,
                                               64,
                                               4096,
                                               uint64_t{1} << 32,
                                               uint64_t{1} << 62,
                                               uint64_t{1} << 63,
                                               std::numeric_limits<uint64_t>::max()};
    const auto was = value.is_number_integer() ? value.get<uint64_t>() : 0;
    if (one_in(random, 3)) {
      value = kEnds[random() % kEnds.size()];
    } else {
      value = was + static_cast<uint64_t>(64 * (below(random, 5) - 2) + below(random, 3) - 1);
    }
  } else if (value.is_string()) {
    std::string text = value.get<std::string>();
    if (!text.empty()) text[random() % text.size()] = static_cast<char>(' ' + below(random, 95));
    value = text;
  } else {
    value = one_in(random, 2) ? json(below(random, 100)) : json::array({value, value});
  }
}

// The message of the model, in whose place the changed one is appended.
void mutate_model(Parts& parts, json& table, Random& random) {
  const json place = table.value("model", json::array());
  if (place.size() != 2 || !place[0].is_number_unsigned() || !place[1].is_number_unsigned()) return;
  const auto offset = place[0].get<size_t>(), size = place[1].get<size_t>();
  if (offset > parts.payload.size() || size > parts.payload.size() - offset) return;
  ModelProto model;
  if (!model.ParseFromArray(parts.payload.data() + offset, static_cast<int>(size))) return;
  mutate(model, random);
  if (offset + size == parts.payload.size()) parts.payload.resize(offset);
  table["model"] = {parts.payload.size(), model.ByteSizeLong()};
  parts.payload += model.SerializeAsString();
}

}  // namespace
}  // namespace plica::fuzz

using namespace plica;
using namespace plica::fuzz;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  static const ThreadScope one(1);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string file = completed({reinterpret_cast<const char*>(data), size});
  const LimitsScope scope({.max_memory = size_t{32} << 20, .timeout = 1});
  succeeds([&] {
    const MemoryFile memory(std::as_bytes(std::span(file)));
    const Model model = Model::load(memory.fd());
    Session(model, {.threads = 1}).run(tools::random_inputs(model, {}, 1));
  });
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  Random random(seed);
  std::optional<Parts> parts = take_apart({reinterpret_cast<const char*>(data), size});
  if (!parts || one_in(random, 16)) return LLVMFuzzerMutate(data, size, most);
  parts->hash = 0;
  const auto mutate_bytes = [&](std::string& text) {
    const size_t was = text.size();
    text.resize(was + 64);
    text.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(text.data()), was, text.size()));
  };
  json table = table_of(parts->table);
  if (table.empty() || one_in(random, 8)) {
    mutate_bytes(one_in(random, 4) ? parts->payload : parts->table);
  } else {
    if (one_in(random, 2)) {
      mutate_model(*parts, table, random);
    } else {
      mutate_json(table, random);
    }
    parts->table = table.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  const std::string file = put_together(*parts);
  if (file.size() > most) return size;
  std::memcpy(data, file.data(), file.size());
  return file.size();
}
