// L9 and K7: files and inputs beside the model. Sizes and offsets beyond 2 GiB, in sparse files; inputs that
// are not what the model declares.
#include <fstream>

#include "tests/hostile/hostile.h"

namespace plica::hostile {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kGibibyte = int64_t{1} << 30;

void extend(const fs::path& file, int64_t bytes) {
  fs::resize_file(file, fs::file_size(file) + static_cast<uintmax_t>(bytes));
}

std::string model_bytes() { return small_model().SerializeAsString(); }

// A field that says it has so many bytes, which come later.
std::string opened(int number, uint64_t size) {
  return varint(static_cast<uint64_t>(number) << 3 | 2) + varint(size);
}

// y = Add(x, w), w of these dims at the end of the file with so many bytes that are not there yet.
std::string model_with_payload(int64_t dim, uint64_t bytes) {
  const std::string tensor = varint(1 << 3) + varint(static_cast<uint64_t>(dim)) + varint(2 << 3) +
                             varint(TensorProto::FLOAT) + field(8, "w") + opened(9, bytes);
  GraphProto rest;
  *rest.add_input() = value_info("x", {4});
  rest.add_output()->set_name("y");
  add_node(rest, "Add", {"x", "w"}, {"y"}).set_name("bad");
  const std::string graph = rest.SerializeAsString() + opened(5, tensor.size() + bytes) + tensor;
  return varint(1 << 3) + varint(8) + field(8, varint(2 << 3) + varint(17)) +
         opened(7, graph.size() + bytes) + graph;
}

// y = Add(x, w), w of 4 numbers outside; `weights` has so many bytes, none of which is on the disk.
Row external(const std::string& name, const std::string& offset, const std::string& length,
             int64_t file_bytes, std::vector<std::string> parts = {"'w'"}, bool harmless = false,
             const Ints& dims = {4}) {
  Row row{"L9_" + name,
          [=] {
            ModelProto model = model_of("Add", {input("x", {4}), input("w", dims)});
            GraphProto& graph = *model.mutable_graph();
            graph.mutable_input()->RemoveLast();
            TensorProto& tensor = *graph.add_initializer();
            tensor.set_name("w");
            tensor.set_data_type(TensorProto::FLOAT);
            for (int64_t d : dims) tensor.add_dims(d);
            tensor.set_data_location(TensorProto::EXTERNAL);
            for (const auto& [key, value] : {std::pair<std::string, std::string>("location", "weights"),
                                             {"offset", offset},
                                             {"length", length}}) {
              auto* entry = tensor.add_external_data();
              entry->set_key(key);
              entry->set_value(value);
            }
            return model.SerializeAsString();
          },
          std::move(parts), harmless};
  row.add_files = [=](const fs::path& directory) {
    std::ofstream(directory / "weights").put('\0');
    extend(directory / "weights", file_bytes - 1);
  };
  return row;
}

Row enlarged(const std::string& name, const std::function<std::string()>& make, int64_t bytes) {
  Row row{"L9_" + name, make, {"2 GiB"}};
  row.add_files = [bytes](const fs::path& directory) { extend(directory / "model.onnx", bytes); };
  return row;
}

// Version 1.0 of the format: a magic number, the length of the header, a Python dict padded with blanks.
std::string npy(const std::string& type, const std::string& shape, size_t bytes) {
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize(117, ' ');
  header += '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header +
         std::string(bytes, '\0');
}

// y = Relu(x), x: float32[2], run with this file as x.
Row given(const std::string& name, const std::string& file, const std::string& bytes,
          std::vector<std::string> parts) {
  Row row{"K7_" + name, model_bytes, std::move(parts)};
  row.options = {"-i", "x={}/" + file};
  row.add_files = [=](const fs::path& directory) {
    std::ofstream(directory / file, std::ios::binary) << bytes;
  };
  row.runs_alone = true;
  return row;
}

// x and z: float32[N].
Row two_inputs(const std::string& name, std::vector<std::string> options, std::vector<std::string> parts) {
  Row row{
      "K7_" + name,
      [] {
        ModelProto model = model_of("Add", {input("x", {1}), input("z", {1})});
        for (auto& value : *model.mutable_graph()->mutable_input())
          value.mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim(0)->set_dim_param("N");
        return model.SerializeAsString();
      },
      std::move(parts)};
  row.options = std::move(options);
  row.runs_alone = true;
  return row;
}

}  // namespace

Rows file_rows() {
  return {
      enlarged("zeros_of_5_GiB", model_bytes, 5 * kGibibyte),
      enlarged(
          "payload_of_3_GiB", [] { return model_with_payload(3 * kGibibyte / 4, 3 * kGibibyte); },
          3 * kGibibyte),
      enlarged(
          "payload_of_3_GiB_for_4_numbers", [] { return model_with_payload(4, 3 * kGibibyte); },
          3 * kGibibyte),
      {"L9_payload_of_3_GiB_cut",
       [] { return model_with_payload(3 * kGibibyte / 4, 3 * kGibibyte) + std::string(100, '\0'); }},
      {"L9_payload_of_2_62_bytes", [] { return model_with_payload(int64_t{1} << 60, uint64_t{1} << 62); }},
      {"L9_payload_of_2_64_bytes", [] { return model_with_payload(4, UINT64_MAX - 200); }},
      external("external_behind_5_GiB", "5368709120", "16", 5 * kGibibyte + 16, {}, true),
      external("external_offset_of_4_GiB_in_a_file_of_16", "4294967296", "16", 16),
      external("external_end_at_5_GiB_less_1", "5368709105", "16", 5 * kGibibyte + 15, {}, true),
      external("external_beyond_5_GiB_by_1", "5368709105", "16", 5 * kGibibyte),
      external("external_offset_2_63_less_1", "9223372036854775807", "16", 16),
      external("external_offset_2_63_less_16", "9223372036854775792", "16", 16),
      external("external_offset_2_63", "9223372036854775808", "16", 16),
      external("external_offset_2_64_less_16", "18446744073709551600", "16", 16),
      external("external_length_2_63_less_1", "0", "9223372036854775807", 16),
      external("external_length_2_32_plus_16", "0", "4294967312", 5 * kGibibyte),
      external("external_of_4_GiB_for_4_numbers", "0", "4294967296", 5 * kGibibyte),
      external("external_tensor_of_2_62_bytes", "0", "4611686018427387904", 16, {"'w'"}, false,
               {int64_t{1} << 60}),

      given("rank", "x.npy", npy("<f4", "(2, 1)", 8), {"'x'", "[2, 1]"}),
      given("size", "x.npy", npy("<f4", "(3,)", 12), {"'x'", "[3]"}),
      given("no_elements", "x.npy", npy("<f4", "(0,)", 0), {"'x'", "[0]"}),
      given("scalar", "x.npy", npy("<f4", "()", 4), {"'x'"}),
      given("type", "x.npy", npy("<i8", "(2,)", 16), {"'x'", "int64"}),
      given("double", "x.npy", npy("<f8", "(2,)", 16), {"'x'", "float64"}),
      given("objects", "x.npy", npy("|O", "(2,)", 16), {"x.npy"}),
      given("cut", "x.npy", npy("<f4", "(2,)", 7), {"x.npy"}),
      given("header_cut", "x.npy", npy("<f4", "(2,)", 8).substr(0, 40), {"x.npy"}),
      given("dims_overflow", "x.npy", npy("<f4", "(4611686018427387904, 4)", 8), {"x.npy"}),
      given("dims_negative", "x.npy", npy("<f4", "(-2,)", 8), {"x.npy"}),
      given("dims_of_terabytes", "x.npy", npy("<f4", "(1099511627776,)", 8), {"x.npy"}),
      given("empty_file", "x.npy", "", {"x.npy"}),
      given("raw_of_7_bytes", "x.bin", "1234567", {"x.bin", "7"}),
      given("protobuf_that_is_none", "x.pb", "1234567", {"x.pb"}),
      given("protobuf_of_other_length", "x.pb",
            [] {
              TensorProto tensor;
              tensor.set_data_type(TensorProto::FLOAT);
              tensor.add_dims(2);
              tensor.set_raw_data("1234567");
              return tensor.SerializeAsString();
            }(),
            {"x.pb"}),
      two_inputs("name", {"--shape", "nothing:2"}, {"'nothing'"}),
      two_inputs("symbol_twice", {"--shape", "x:3", "--shape", "z:4"}, {"'N'", "3", "4"}),
      two_inputs("symbol_twice_1", {"--shape", "x:3", "--shape", "z:1"}, {"'N'"}),
      two_inputs("symbol_elsewhere", {"--dim", "M=3"}, {"'M'"}),
      two_inputs("symbol_of_terabytes", {"--dim", "N=1099511627776"}, {"memory"}),
      two_inputs("symbol_2_62", {"--dim", "N=4611686018427387904"}, {}),
  };
}

}  // namespace plica::hostile
