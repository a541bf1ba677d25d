#include "runtime/kernels_digest.h"

namespace plica {

std::string_view kernels_digest() {
  return
#include "kernels_digest.inc"
      ;
}

}  // namespace plica
