#include <google/protobuf/descriptor.h>
#include <onnx/onnx_pb.h>
#include <plica/plica.h>

#include <cstdio>
#include <fstream>
#include <sstream>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::stringstream text;
  text << std::ifstream(argv[1], std::ios::binary).rdbuf();
  onnx::ModelProto proto;
  if (!proto.ParseFromString(text.str())) return 1;
  plica::Model model = plica::Model::parse(proto.SerializeAsString());
  model.optimize();
  onnx::ModelProto again;
  if (!again.ParseFromString(model.serialize())) return 1;
  std::printf("%d nodes by ONNX, %d after Plica, %s\n", proto.graph().node_size(), again.graph().node_size(),
              onnx::ModelProto::descriptor()->full_name().c_str());
}
