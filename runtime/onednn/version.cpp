#include "runtime/onednn/version.h"

#include <oneapi/dnnl/dnnl.hpp>

#include <fmt/format.h>

namespace plica {

std::string loaded_onednn_version() {
  const dnnl_version_t* v = dnnl_version();
  return fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
}

}  // namespace plica
