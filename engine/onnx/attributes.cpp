#include "engine/onnx/attributes.h"

#include <algorithm>
#include <array>

#include "engine/core/fail.h"
#include "engine/onnx/tensor_data.h"
#include "engine/onnx/types.h"

namespace plica::onnx_format {
namespace {

// Attributes are searched one by one. No operator has a tenth of this; a hostile node could have a million.
constexpr int kMostAttributes = 512;

constexpr std::array kTypes = {
    AttributeType::float_, AttributeType::int_,          AttributeType::string,
    AttributeType::tensor, AttributeType::graph,         AttributeType::floats,
    AttributeType::ints,   AttributeType::strings,       AttributeType::tensors,
    AttributeType::graphs, AttributeType::sparse_tensor, AttributeType::sparse_tensors,
    AttributeType::type,   AttributeType::types};

// Whether the field for values of that type is set.
bool holds(const AttributeProto& proto, AttributeType type) {
  switch (type) {
    case AttributeType::undefined: return false;
    case AttributeType::float_: return proto.has_f();
    case AttributeType::int_: return proto.has_i();
    case AttributeType::string: return proto.has_s();
    case AttributeType::tensor: return proto.has_t();
    case AttributeType::graph: return proto.has_g();
    case AttributeType::floats: return proto.floats_size() != 0;
    case AttributeType::ints: return proto.ints_size() != 0;
    case AttributeType::strings: return proto.strings_size() != 0;
    case AttributeType::tensors: return proto.tensors_size() != 0;
    case AttributeType::graphs: return proto.graphs_size() != 0;
    case AttributeType::sparse_tensor: return proto.has_sparse_tensor();
    case AttributeType::sparse_tensors: return proto.sparse_tensors_size() != 0;
    case AttributeType::type: return proto.has_tp();
    case AttributeType::types: return proto.type_protos_size() != 0;
  }
  return false;
}

// The stated type, or (files before IR version 3 state none) that of the field that is set.
AttributeType read_attribute_type(const AttributeProto& proto) {
  if (proto.has_type() && proto.type() != AttributeProto::UNDEFINED)
    return static_cast<AttributeType>(proto.type());
  const auto it = std::ranges::find_if(kTypes, [&](AttributeType type) { return holds(proto, type); });
  return it == kTypes.end() ? AttributeType::undefined : *it;
}

// Lists keep their left-overs all or none, so that they stay parallel to the values.
template <class Protos>
void clear_if_empty(Protos& protos) {
  if (std::ranges::all_of(protos, [](const auto& p) { return is_empty(p); })) protos.Clear();
}

Type take_type(TypeProto& proto) {
  Type type = read_type(proto);
  if (same_bytes(proto, write_type(type))) proto.Clear();
  return type;
}

AttributeValue take_value(AttributeProto& proto, AttributeType type, Attribute& attribute,
                          const AttributeReader& reader) {
  const auto missing = [&] {
    fail(ErrorCode::invalid_model, "is declared a {} and has none", to_string(type));
  };
  switch (type) {
    case AttributeType::undefined: return {};
    case AttributeType::float_: {
      const float f = proto.f();
      proto.clear_f();
      return f;
    }
    case AttributeType::int_: {
      const int64_t i = proto.i();
      proto.clear_i();
      return i;
    }
    case AttributeType::string: {
      std::string s = std::move(*proto.mutable_s());
      proto.clear_s();
      return s;
    }
    case AttributeType::tensor: {
      if (!proto.has_t()) missing();
      Tensor tensor = take_tensor(*proto.mutable_t(), reader.sources);
      attribute.tensor_name = take_string(*proto.mutable_t(), &TensorProto::mutable_name,
                                          &TensorProto::has_name, &TensorProto::clear_name);
      if (is_empty(proto.t())) proto.clear_t();
      return tensor;
    }
    case AttributeType::graph: {
      if (!proto.has_g()) missing();
      GraphPtr graph = reader.read_graph(*proto.mutable_g());
      proto.clear_g();
      return graph;
    }
    case AttributeType::sparse_tensor: {
      if (!proto.has_sparse_tensor()) missing();
      SparseTensor tensor = take_sparse_tensor(*proto.mutable_sparse_tensor(), reader.sources);
      return tensor;
    }
    case AttributeType::type: {
      if (!proto.has_tp()) missing();
      Type value = take_type(*proto.mutable_tp());
      if (is_empty(proto.tp())) proto.clear_tp();
      return value;
    }
    case AttributeType::floats: {
      std::vector<float> list(proto.floats().begin(), proto.floats().end());
      proto.clear_floats();
      return list;
    }
    case AttributeType::ints: {
      std::vector<int64_t> list(proto.ints().begin(), proto.ints().end());
      proto.clear_ints();
      return list;
    }
    case AttributeType::strings: {
      std::vector<std::string> list(proto.strings().begin(), proto.strings().end());
      proto.clear_strings();
      return list;
    }
    case AttributeType::tensors: {
      std::vector<Tensor> list;
      for (TensorProto& t : *proto.mutable_tensors()) list.push_back(take_tensor(t, reader.sources));
      clear_if_empty(*proto.mutable_tensors());
      return list;
    }
    case AttributeType::graphs: {
      std::vector<GraphPtr> list;
      for (GraphProto& g : *proto.mutable_graphs()) list.push_back(reader.read_graph(g));
      proto.clear_graphs();
      return list;
    }
    case AttributeType::sparse_tensors: {
      std::vector<SparseTensor> list;
      for (SparseTensorProto& t : *proto.mutable_sparse_tensors())
        list.push_back(take_sparse_tensor(t, reader.sources));
      return list;
    }
    case AttributeType::types: {
      std::vector<Type> list;
      for (TypeProto& t : *proto.mutable_type_protos()) list.push_back(take_type(t));
      clear_if_empty(*proto.mutable_type_protos());
      return list;
    }
  }
  return {};
}

Attribute take_attribute(AttributeProto& proto, const AttributeReader& reader) {
  Attribute a;
  a.name = take_string(proto, &AttributeProto::mutable_name, &AttributeProto::has_name,
                       &AttributeProto::clear_name);
  const auto body = [&] {
    const AttributeType type = read_attribute_type(proto);
    a.ref_name = take_string(proto, &AttributeProto::mutable_ref_attr_name,
                             &AttributeProto::has_ref_attr_name, &AttributeProto::clear_ref_attr_name);
    a.doc_string = take_string(proto, &AttributeProto::mutable_doc_string, &AttributeProto::has_doc_string,
                               &AttributeProto::clear_doc_string);
    a.declared_type = type;
    if (!a.ref_name.empty()) {
      require(reader.in_function, ErrorCode::invalid_model,
              "refers to attribute {} of a function outside of one", quoted(a.ref_name));
    } else {
      const auto stray = std::ranges::find_if(kTypes, [&](AttributeType t) { return holds(proto, t); });
      if (!holds(proto, type) && stray != kTypes.end()) {
        fail(ErrorCode::invalid_model, "is declared a {} and holds a {}", to_string(type), to_string(*stray));
      }
      a.value = take_value(proto, type, a, reader);
    }
    if (proto.type() != AttributeProto::UNDEFINED) proto.clear_type();
  };
  with_context(body, [&] { return "attribute " + quoted(a.name); });
  return a;
}

void put_value(const Attribute& a, AttributeProto& proto, const AttributeWriter& writer) {
  const auto parallel = [](auto* protos, size_t count) {
    if (static_cast<size_t>(protos->size()) != count) protos->Clear();
    while (static_cast<size_t>(protos->size()) < count) protos->Add();
    return protos;
  };
  const auto put_type = [](const Type& type, TypeProto& out) {
    if (is_empty(out) || !(read_type(out) == type)) out = write_type(type);
  };
  const auto put = [&]<class T>(const T& value) {
    if constexpr (std::is_same_v<T, float>) {
      proto.set_f(value);
    } else if constexpr (std::is_same_v<T, int64_t>) {
      proto.set_i(value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      proto.set_s(value);
    } else if constexpr (std::is_same_v<T, Tensor>) {
      put_tensor(value, *proto.mutable_t(), writer.deferred);
      if (!a.tensor_name.empty()) proto.mutable_t()->set_name(a.tensor_name);
    } else if constexpr (std::is_same_v<T, GraphPtr>) {
      writer.write_graph(*value, *proto.mutable_g());
    } else if constexpr (std::is_same_v<T, SparseTensor>) {
      put_sparse_tensor(value, *proto.mutable_sparse_tensor());
    } else if constexpr (std::is_same_v<T, Type>) {
      put_type(value, *proto.mutable_tp());
    } else if constexpr (std::is_same_v<T, std::vector<float>>) {
      proto.mutable_floats()->Assign(value.begin(), value.end());
    } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
      proto.mutable_ints()->Assign(value.begin(), value.end());
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      for (const std::string& s : value) proto.add_strings(s);
    } else if constexpr (std::is_same_v<T, std::vector<Tensor>>) {
      auto* list = parallel(proto.mutable_tensors(), value.size());
      for (size_t i = 0; i < value.size(); ++i)
        put_tensor(value[i], *list->Mutable(static_cast<int>(i)), writer.deferred);
    } else if constexpr (std::is_same_v<T, std::vector<GraphPtr>>) {
      for (const GraphPtr& g : value) writer.write_graph(*g, *proto.add_graphs());
    } else if constexpr (std::is_same_v<T, std::vector<SparseTensor>>) {
      auto* list = parallel(proto.mutable_sparse_tensors(), value.size());
      for (size_t i = 0; i < value.size(); ++i)
        put_sparse_tensor(value[i], *list->Mutable(static_cast<int>(i)));
    } else if constexpr (std::is_same_v<T, std::vector<Type>>) {
      auto* list = parallel(proto.mutable_type_protos(), value.size());
      for (size_t i = 0; i < value.size(); ++i) put_type(value[i], *list->Mutable(static_cast<int>(i)));
    }
  };
  std::visit(put, a.value);
}

}  // namespace

Attributes take_attributes(AttributeProtos& protos, const AttributeReader& reader) {
  require(protos.size() <= kMostAttributes, ErrorCode::limit, "{} attributes, of at most {}", protos.size(),
          kMostAttributes);
  Attributes out;
  int kept = 0;
  for (int i = 0; i < protos.size(); ++i) {
    AttributeProto& proto = *protos.Mutable(i);
    Attribute a = take_attribute(proto, reader);
    require(!a.name.empty(), ErrorCode::invalid_model, "has an attribute without a name");
    require(!out.has(a.name), ErrorCode::invalid_model, "attribute {} is given twice", quoted(a.name));
    if (!is_empty(proto)) {
      proto.set_name(a.name);
      if (a.declared_type != AttributeType::undefined) {
        proto.set_type(static_cast<AttributeProto::AttributeType>(a.declared_type));
      }
      protos.SwapElements(kept++, i);
    }
    out.set(std::move(a));
  }
  protos.DeleteSubrange(kept, protos.size() - kept);
  return out;
}

void put_attributes(const Attributes& attributes, AttributeProtos& protos, const AttributeWriter& writer) {
  AttributeProtos left_over;
  left_over.Swap(&protos);
  for (const Attribute& a : attributes) {
    const bool is_reference = !a.ref_name.empty();
    const auto type =
        static_cast<AttributeProto::AttributeType>(is_reference ? a.declared_type : type_of(a.value));
    AttributeProto* proto = protos.Add();
    for (AttributeProto& candidate : left_over) {
      if (candidate.name() == a.name && candidate.type() == type) proto->Swap(&candidate);
    }
    proto->set_name(a.name);
    if (is_reference) proto->set_ref_attr_name(a.ref_name);
    if (type != AttributeProto::UNDEFINED) proto->set_type(type);
    if (!a.doc_string.empty()) proto->set_doc_string(a.doc_string);
    if (!is_reference) put_value(a, *proto, writer);
  }
}

}  // namespace plica::onnx_format
