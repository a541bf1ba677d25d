#include "tools/spinning.h"

#include <unistd.h>

#include <cstdlib>

#include "plica/session.h"

namespace plica::tools {

void limit_spinning(char** argv) {
  constexpr char kSpins[] = "1000";  // some 20 microseconds
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY") || default_threads() == 1) return;
  if (setenv("GOMP_SPINCOUNT", kSpins, 0) == 0) execv("/proc/self/exe", argv);
}

}  // namespace plica::tools
