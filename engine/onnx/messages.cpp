#include "engine/onnx/messages.h"

#include <map>

#include "engine/core/fail.h"

namespace plica::onnx_format {
namespace {

Metadata read_metadata(const StringEntries& entries) {
  Metadata out;
  out.reserve(static_cast<size_t>(entries.size()));
  for (const auto& entry : entries) out.emplace_back(entry.key(), entry.value());
  return out;
}

StringEntries write_metadata(const Metadata& metadata) {
  StringEntries out;
  for (const auto& [key, value] : metadata) {
    auto* entry = out.Add();
    entry->set_key(key);
    entry->set_value(value);
  }
  return out;
}

OpsetImports read_opset_imports(const OpsetEntries& entries) {
  OpsetImports out;
  for (const auto& entry : entries) out.emplace_back(entry.domain(), entry.version());
  return out;
}

OpsetEntries write_opset_imports(const OpsetImports& imports) {
  OpsetEntries out;
  for (const auto& [domain, version] : imports) {
    auto* entry = out.Add();
    entry->set_domain(domain);
    entry->set_version(version);
  }
  return out;
}

template <class Entries>
bool same_entries(const Entries& a, const Entries& b) {
  if (a.size() != b.size()) return false;
  for (int i = 0; i < a.size(); ++i) {
    if (!same_bytes(a[i], b[i])) return false;
  }
  return true;
}

}  // namespace

Metadata take_metadata(StringEntries& entries) {
  if (entries.empty()) return {};
  Metadata out = read_metadata(entries);
  if (same_entries(entries, write_metadata(out))) entries.Clear();
  return out;
}

void put_metadata(const Metadata& metadata, StringEntries& entries) {
  if (read_metadata(entries) != metadata) entries = write_metadata(metadata);
}

OpsetImports take_opset_imports(OpsetEntries& entries) {
  OpsetImports out = read_opset_imports(entries);
  std::map<std::string, int64_t> versions;
  for (const auto& [domain, version] : out) {
    require(version > 0, ErrorCode::invalid_model, "opset import of domain {} has version {}", quoted(domain),
            version);
    const auto [it, is_new] = versions.emplace(domain == "ai.onnx" ? "" : domain, version);
    require(is_new || it->second == version, ErrorCode::invalid_model,
            "domain {} is imported in versions {} and {}", quoted(domain), it->second, version);
  }
  if (same_entries(entries, write_opset_imports(out))) entries.Clear();
  return out;
}

OpsetImports implied_opset_imports() { return {{"", 1}}; }

void put_opset_imports(const OpsetImports& imports, OpsetEntries& entries) {
  if (read_opset_imports(entries) != imports) entries = write_opset_imports(imports);
}

}  // namespace plica::onnx_format
