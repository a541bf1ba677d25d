#!/usr/bin/env python3
"""Lists the messages of the installed onnx package, a line a field or enum value, for proto_test.cpp.

    pip install onnx && ./list_messages.py > onnx_messages.txt
"""
import onnx
from google.protobuf import descriptor_pb2
from onnx import onnx_ml_pb2

Field = descriptor_pb2.FieldDescriptorProto
LABELS = {Field.LABEL_OPTIONAL: "optional", Field.LABEL_REPEATED: "repeated", Field.LABEL_REQUIRED: "required"}


def lines_of_enum(enum, scope):
    for value in enum.value:
        yield f"{scope}{enum.name}.{value.name} = {value.number}"


def lines_of_message(message, scope):
    name = f"{scope}{message.name}"
    for field in message.field:
        if field.type in (Field.TYPE_MESSAGE, Field.TYPE_ENUM):
            kind = field.type_name.removeprefix(".onnx.")
        else:
            kind = Field.Type.Name(field.type).removeprefix("TYPE_").lower()
        line = f"{name}.{field.name} = {field.number} {LABELS[field.label]} {kind}"
        if field.HasField("oneof_index"):
            line += f" oneof {message.oneof_decl[field.oneof_index].name}"
        if field.options.packed:
            line += " packed"
        yield line
    for enum in message.enum_type:
        yield from lines_of_enum(enum, name + ".")
    for nested in message.nested_type:
        yield from lines_of_message(nested, name + ".")


def main():
    file = descriptor_pb2.FileDescriptorProto()
    onnx_ml_pb2.DESCRIPTOR.CopyToProto(file)
    lines = []
    for enum in file.enum_type:
        lines += lines_of_enum(enum, "")
    for message in file.message_type:
        lines += lines_of_message(message, "")
    print(f"# The messages of onnx {onnx.__version__} ({file.name}, {file.syntax or 'proto2'}); made by list_messages.py.")
    print("\n".join(sorted(lines)))


if __name__ == "__main__":
    main()
