#include "api/compiled_file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <span>

#include "api/tuning_file.h"
#include "api/untrusted_json.h"
#include "engine/core/fail.h"
#include "plica/version.h"
#include "runtime/kernels_digest.h"
#include "runtime/onednn/cpu.h"

namespace plica {
namespace {

constexpr std::string_view kMagic = "\x89PLICA\r\n";
constexpr size_t kAlignment = 64;

struct Trailer {
  uint64_t offset, size, hash;
  char magic[8];
};
static_assert(sizeof(Trailer) == 32 && kMagic.size() == sizeof Trailer::magic);

uint64_t hash_of(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

std::vector<std::pair<const char*, std::string>> this_build() {
  return {{"plica", std::string(version())},
          {"kernels", std::string(kernels_digest())},
          {"onednn", std::string(onednn_version())},
          {"cpu", cpu_features()}};
}

Section section_at(const Json& array, size_t index, size_t file_size) {
  const Section at{size_at(array, index), size_at(array, index + 1)};
  require(at.offset <= file_size && at.size <= file_size - at.offset, ErrorCode::invalid_model,
          "a section lies beyond the end of the file");
  return at;
}

std::string read_table(const ReadableFile& file) {
  Trailer trailer;
  require(file.size() >= kMagic.size() + sizeof trailer, ErrorCode::invalid_model, "it is not complete");
  const size_t end = file.size() - sizeof trailer;
  file.read(end, std::as_writable_bytes(std::span(&trailer, 1)));
  require(std::string_view(trailer.magic, sizeof trailer.magic) == kMagic, ErrorCode::invalid_model,
          "it is not complete");
  require(trailer.offset <= end && trailer.size == end - trailer.offset, ErrorCode::invalid_model,
          "its table is damaged");
  require(trailer.size <= kMostJsonBytes, ErrorCode::limit, "its table has more than {} bytes",
          kMostJsonBytes);
  std::string table(trailer.size, '\0');
  file.read(trailer.offset, std::as_writable_bytes(std::span(table)));
  require(hash_of(table) == trailer.hash, ErrorCode::invalid_model, "its table is damaged");
  return table;
}

}  // namespace

// ---- reading

bool CompiledFile::is_one(const ReadableFile& file) {
  std::array<char, kMagic.size()> begin;
  if (file.size() < begin.size()) return false;
  file.read(0, std::as_writable_bytes(std::span(begin)));
  return is_one(std::as_bytes(std::span(begin)));
}

bool CompiledFile::is_one(std::span<const std::byte> bytes) {
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).starts_with(kMagic);
}

CompiledFile::Read CompiledFile::read(const std::shared_ptr<const ReadableFile>& file) {
  std::unique_ptr<ModelGraph> model;
  auto compiled = std::make_shared<CompiledFile>();
  compiled->name_ = display_name(file->path());
  const auto read = [&] {
    const Json table = parse_untrusted(read_table(*file), "compiled file");
    model = load_embedded(file, section_at(array_in(table, "model"), 0, file->size()), compiled->tensors_);
    if (const std::string differs = difference(table, this_build()); !differs.empty()) {
      compiled->note_ = fmt::format("is compiled for {}: its weights are packed anew", differs);
      return;
    }
    compiled->read_forms(table, file->size());
    compiled->mapping_ = file->map();
    if (table.contains("tuning"))
      compiled->tuning_ = std::make_shared<const Tuning>(parse_plans(object_in(table, "tuning")));
  };
  with_context(read, [&] { return "compiled file " + compiled->name_; });
  return {std::move(model), std::move(compiled)};
}

void CompiledFile::read_forms(const Json& table, size_t file_size) {
  for (const EmbeddedTensor& t : tensors_) by_source_.emplace(t.tensor.buffer_id(), t.place.offset);
  for (const Json& entry : array_in(table, "packed")) {
    const size_t source = size_at(entry, 0);
    require(entry.size() == 4 && entry[1].is_string(), ErrorCode::invalid_model, "its table is damaged");
    const Section place = section_at(entry, 2, file_size);
    require(place.offset % kAlignment == 0, ErrorCode::invalid_model, "packed weights at {} are not aligned",
            place.offset);
    forms_.emplace(std::pair(source, entry[1].get<std::string>()), place);
  }
}

Tensor CompiledFile::find(const Tensor& source, const std::string& form, size_t bytes) const {
  const auto known = by_source_.find(source.buffer_id());
  if (known == by_source_.end()) return {};
  const auto it = forms_.find({known->second, form});
  if (it == forms_.end()) return {};
  const Section& place = it->second;
  require(place.size == bytes, ErrorCode::invalid_model,
          "compiled file {}: packed weights at {} have {} bytes, {} are needed", name_, place.offset,
          place.size, bytes);
  return Tensor::view(DataType::uint8, {static_cast<int64_t>(bytes)}, mapping_->bytes().data() + place.offset,
                      mapping_);
}

// ---- writing

CompiledFileWriter::CompiledFileWriter(const std::filesystem::path& path, const ModelGraph& model)
    : file_(path), writer_(file_) {
  require(!file_.is_direct(), ErrorCode::io, "{}: a compiled file is mapped, and must be a regular file",
          display_name(path));
  writer_.put(kMagic);
  std::vector<EmbeddedTensor> tensors;
  model_ = save_embedded(model, writer_, tensors);
  for (const EmbeddedTensor& t : tensors) by_source_.emplace(t.tensor.buffer_id(), t.place);
}

size_t CompiledFileWriter::add(const std::vector<std::shared_ptr<const Constant>>& constants) {
  size_t not_kept = 0;
  std::map<PackedKey, const Constant*> new_ones;  // in an order that does not depend on addresses
  for (const auto& constant : constants) {
    const auto source = by_source_.find(constant->source.buffer_id());
    const std::string form = form_of(*constant);
    if (source == by_source_.end() || form.empty()) {
      not_kept += constant->packed.bytes();
    } else if (const PackedKey key(source->second.offset, form); !forms_.contains(key)) {
      new_ones.emplace(key, constant.get());
    }
  }
  for (const auto& [key, constant] : new_ones) {
    const Section place = is_source_in_place(*constant) ? by_source_.at(constant->source.buffer_id())
                                                        : writer_.put(constant->packed);
    forms_.emplace(key, place);
    packed_bytes_ += place.size;
  }
  return not_kept;
}

size_t CompiledFileWriter::commit(const Tuning& tuning) {
  Json table = {{"schema", 1}, {"model", {model_.offset, model_.size}}};
  for (auto& [member, mine] : this_build()) table[member] = std::move(mine);
  Json& packed = table["packed"] = Json::array();
  for (const auto& [key, place] : forms_) packed.push_back({key.first, key.second, place.offset, place.size});
  if (!tuning.plans.empty()) table["tuning"] = to_json(tuning);
  const std::string text = table.dump();
  require(text.size() <= kMostJsonBytes, ErrorCode::limit,
          "the table of a compiled file would have {} bytes", text.size());
  const Section place = writer_.put(text);
  Trailer trailer{place.offset, place.size, hash_of(text), {}};
  kMagic.copy(trailer.magic, sizeof trailer.magic);
  file_.write(std::as_bytes(std::span(&trailer, 1)));
  file_.commit();
  return place.offset + place.size + sizeof trailer;
}

}  // namespace plica
