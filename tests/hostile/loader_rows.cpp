// L1 to L3, L7, L8 and L10: bytes that are no model, external data that lies elsewhere, names that lie.
#include <random>

#include "tests/hostile/hostile.h"

namespace plica::hostile {
namespace {

std::string whole() { return small_model().SerializeAsString(); }

Row changed(std::string name, const std::function<void(ModelProto&)>& change,
            std::vector<std::string> parts = {}) {
  return {std::move(name),
          [change] {
            ModelProto model = small_model();
            change(model);
            return model.SerializeAsString();
          },
          std::move(parts)};
}

// An initializer with external data.
Row external(const std::string& name, const std::vector<std::pair<std::string, std::string>>& entries) {
  return changed(name,
                 [entries](ModelProto& model) {
                   TensorProto& t =
                       add_initializer(*model.mutable_graph(), "outside", TensorProto::FLOAT, {4}, "");
                   t.clear_raw_data();
                   t.set_data_location(TensorProto::EXTERNAL);
                   for (const auto& [key, value] : entries) {
                     auto* entry = t.add_external_data();
                     entry->set_key(key);
                     entry->set_value(value);
                   }
                   model.mutable_graph()->mutable_node(0)->set_op_type("Add");
                   model.mutable_graph()->mutable_node(0)->add_input("outside");
                 },
                 {"'outside'"});
}

// A graph within an attribute of a node, so many deep; wire bytes, since messages refuse to be so deep.
std::string nested(int depth) {
  std::string graph = field(2, "innermost");
  for (int i = 0; i < depth; ++i) {
    const std::string attribute = field(1, "then_branch") + field(6, graph) + varint(20 << 3) + varint(5);
    graph = field(1, field(4, "If") + field(5, attribute));
  }
  return varint(1 << 3) + varint(8) + field(7, graph) + field(8, varint(2 << 3) + varint(13));
}

}  // namespace

Rows loader_rows() {
  Rows rows = {
      {"L1_empty", [] { return std::string(); }},
      {"L1_one_byte", [] { return std::string(1, '\0'); }},
      {"L1_zeros", [] { return std::string(100'000, '\0'); }},
      {"L1_text", [] { return std::string("This is no model.\n"); }},
      {"L1_truncated", [] { return whole().substr(0, whole().size() - 3); }},
      {"L1_half", [] { return whole().substr(0, whole().size() / 2); }},
      {"L1_random",
       [] {
         std::mt19937 random(1);
         std::string bytes(50'000, '\0');
         for (char& c : bytes) c = static_cast<char>(random());
         return bytes;
       }},
      {"L1_length_beyond", [] { return varint(7 << 3 | 2) + varint(uint64_t{1} << 40) + "abc"; }},
      {"L1_length_2_64", [] { return varint(7 << 3 | 2) + varint(UINT64_MAX) + "abc"; }},
      {"L1_endless_varint", [] { return varint(7 << 3 | 2) + std::string(20, '\xff'); }},
      {"L1_field_0", [] { return field(0, "abc"); }},
      {"L1_unbalanced_group", [] { return varint(7 << 3 | 4); }},
      changed("L2_no_graph", [](ModelProto& m) { m.clear_graph(); }),
      changed("L2_no_opset", [](ModelProto& m) { m.clear_opset_import(); }),
      changed("L2_opset_0", [](ModelProto& m) { m.mutable_opset_import(0)->set_version(0); }),
      changed("L2_opset_negative", [](ModelProto& m) { m.mutable_opset_import(0)->set_version(-5); }),
      changed("L2_opset_huge", [](ModelProto& m) { m.mutable_opset_import(0)->set_version(INT64_MAX); }),
      changed("L2_ir_version_0", [](ModelProto& m) { m.set_ir_version(0); }),
      changed("L2_ir_version_huge", [](ModelProto& m) { m.set_ir_version(int64_t{1} << 62); }),
      changed("L2_ir_version_negative", [](ModelProto& m) { m.set_ir_version(-1); }),
      changed("L2_opset_twice", [](ModelProto& m) { m.add_opset_import()->set_version(9); }),
      changed("L2_unknown_domain",
              [](ModelProto& m) { m.mutable_graph()->mutable_node(0)->set_domain("nowhere"); }, {"nowhere"}),
      {"L3_nested_34", [] { return nested(34); }},
      {"L3_nested_100", [] { return nested(100); }},
      {"L3_nested_10000", [] { return nested(10'000); }},
      external("L7_absolute", {{"location", "/etc/passwd"}}),
      external("L7_parent", {{"location", "../secret"}}),
      external("L7_parent_inside", {{"location", "a/../../b"}}),
      external("L7_missing", {{"location", "missing.data"}}),
      external("L7_empty_name", {{"location", ""}}),
      external("L7_nul", {{"location", std::string("a\0b", 3)}}),
      external("L7_directory", {{"location", "."}}),
      external("L7_device", {{"location", "/dev/zero"}}),
      external("L7_no_location", {}),
      external("L8_offset_negative", {{"location", "model.onnx"}, {"offset", "-4"}}),
      external("L8_offset_beyond", {{"location", "model.onnx"}, {"offset", "1000000000000000000"}}),
      external("L8_length_wrong", {{"location", "model.onnx"}, {"length", "12"}}),
      external("L8_length_beyond_64_bits",
               {{"location", "model.onnx"}, {"length", "99999999999999999999999"}}),
      external("L8_not_a_number", {{"location", "model.onnx"}, {"offset", "many"}}),
      external("L8_sum_overflows",
               {{"location", "model.onnx"}, {"offset", "9223372036854775800"}, {"length", "16"}}),
      external("L8_twice", {{"location", "model.onnx"}, {"location", "../x"}}),
  };
  for (const auto& [name, text] : {std::pair<std::string, std::string>("newline", "two\nlines"),
                                   {"escape", "\x1b[31mred\x1b[0m"},
                                   {"not_utf8", "\xff\xfe\x80"},
                                   {"right_to_left", "a\u202Eb"},
                                   {"megabyte", std::string(1 << 20, 'n')}}) {
    rows.push_back(changed("L10_" + name, [text](ModelProto& m) {
      m.mutable_graph()->mutable_node(0)->set_op_type("Nowhere");
      m.mutable_graph()->mutable_node(0)->set_name(text);
    }));
  }
  return rows;
}

}  // namespace plica::hostile
