// L4 to L6: tensors whose data, dims or types contradict one another.
#include "tests/hostile/hostile.h"

namespace plica::hostile {
namespace {

// y = Add(x, bad), bad as an initializer.
Row tensor_row(std::string name, const std::function<void(TensorProto&)>& make) {
  return {std::move(name),
          [make] {
            ModelProto model = empty_model();
            GraphProto& graph = *model.mutable_graph();
            *graph.add_input() = value_info("x", {2, 2});
            TensorProto& tensor = *graph.add_initializer();
            tensor.set_name("bad");
            tensor.set_data_type(TensorProto::FLOAT);
            make(tensor);
            add_node(graph, "Add", {"x", "bad"}, {"y"});
            graph.add_output()->set_name("y");
            return model.SerializeAsString();
          },
          {"'bad'"}};
}

void set_dims(TensorProto& t, const Ints& dims) { t.mutable_dims()->Assign(dims.begin(), dims.end()); }

}  // namespace

Rows tensor_rows() {
  const auto raw = [](const std::string& name, const Ints& dims, size_t bytes) {
    return tensor_row(name, [=](TensorProto& t) {
      set_dims(t, dims);
      t.set_raw_data(std::string(bytes, '\1'));
    });
  };
  const auto typed = [](const std::string& name, int type, size_t bytes) {
    return tensor_row(name, [=](TensorProto& t) {
      t.set_data_type(type);
      set_dims(t, {2, 2});
      t.set_raw_data(std::string(bytes, '\1'));
    });
  };
  const int64_t large = int64_t{1} << 32;
  return {
      raw("L4_shorter", {2, 2}, 12),
      raw("L4_longer", {2, 2}, 20),
      raw("L4_not_whole_elements", {2, 2}, 15),
      raw("L4_none", {2, 2}, 0),
      tensor_row("L4_no_data",
                 [](TensorProto& t) {
                   set_dims(t, {2, 2});
                 }),
      tensor_row("L4_both_fields",
                 [](TensorProto& t) {
                   set_dims(t, {2, 2});
                   t.set_raw_data(std::string(16, '\1'));
                   for (int i = 0; i < 4; ++i) t.add_float_data(1);
                 }),
      tensor_row("L4_field_of_another_type",
                 [](TensorProto& t) {
                   set_dims(t, {2, 2});
                   for (int i = 0; i < 4; ++i) t.add_int64_data(1);
                 }),
      tensor_row("L4_floats_too_few",
                 [](TensorProto& t) {
                   set_dims(t, {2, 2});
                   for (int i = 0; i < 3; ++i) t.add_float_data(1);
                 }),
      tensor_row("L4_strings_as_raw",
                 [](TensorProto& t) {
                   t.set_data_type(TensorProto::STRING);
                   set_dims(t, {2});
                   t.set_raw_data("abcdefgh");
                 }),
      tensor_row("L4_strings_too_many",
                 [](TensorProto& t) {
                   t.set_data_type(TensorProto::STRING);
                   set_dims(t, {2});
                   for (int i = 0; i < 3; ++i) t.add_string_data("a");
                 }),
      tensor_row("L4_int4_odd",
                 [](TensorProto& t) {
                   t.set_data_type(TensorProto::INT4);
                   set_dims(t, {3});
                   t.set_raw_data("\1");
                 }),
      raw("L5_negative", {-2, 2}, 16),
      raw("L5_negative_both", {-2, -2}, 16),
      raw("L5_product_overflows", {large, large}, 16),
      raw("L5_product_overflows_sign", {INT64_MAX, 2}, 16),
      raw("L5_bytes_overflow", {int64_t{1} << 62}, 16),
      raw("L5_zero_beside_huge", {0, int64_t{1} << 62, int64_t{1} << 62}, 0),
      raw("L5_wraps_to_the_size", {large + 2, large, 2}, 16),
      typed("L6_type_0", 0, 16),
      typed("L6_type_999", 999, 16),
      typed("L6_type_negative", -1, 16),
      typed("L6_complex128_short", TensorProto::COMPLEX128, 16),
      {"L6_wrong_type_for_the_operator",
       [] {
         ModelProto model = model_of("Add", {input("x", {2}), floats("bad", {2})});
         TensorProto& t = *model.mutable_graph()->mutable_initializer(0);
         t.Clear();
         t.set_name("bad");
         t.set_data_type(TensorProto::INT64);
         t.add_dims(2);
         t.set_raw_data(std::string(16, '\0'));
         return model.SerializeAsString();
       },
       {"'bad'"}},
      {"L6_attribute_tensor",
       [] {
         ModelProto model = model_of("Constant", {});
         AttributeProto& attribute = *model.mutable_graph()->mutable_node(0)->add_attribute();
         attribute.set_name("value");
         attribute.set_type(AttributeProto::TENSOR);
         attribute.mutable_t()->set_data_type(TensorProto::FLOAT);
         attribute.mutable_t()->add_dims(1'000'000);
         return model.SerializeAsString();
       },
       {"'bad'", "'value'"}},
      {"L6_sparse_indices_beyond",
       [] {
         ModelProto model = model_of("Constant", {});
         AttributeProto& attribute = *model.mutable_graph()->mutable_node(0)->add_attribute();
         attribute.set_name("sparse_value");
         attribute.set_type(AttributeProto::SPARSE_TENSOR);
         SparseTensorProto& sparse = *attribute.mutable_sparse_tensor();
         sparse.add_dims(4);
         sparse.mutable_values()->set_data_type(TensorProto::FLOAT);
         sparse.mutable_values()->add_dims(1);
         sparse.mutable_values()->add_float_data(1);
         sparse.mutable_indices()->set_data_type(TensorProto::INT64);
         sparse.mutable_indices()->add_dims(1);
         sparse.mutable_indices()->add_int64_data(9);
         return model.SerializeAsString();
       },
       {"'bad'"}},
  };
}

}  // namespace plica::hostile
