// What plica optimize prints.
#pragma once

#include "plica/plica.h"

namespace plica::tools {

// A table of before and after, how many batch norms were folded, their health, and the comparison if there
// was one. `explain`: every batch norm with its verdict and findings.
void print_report(const Model& before, const Model& after, const Report& report, bool explain);

}  // namespace plica::tools
