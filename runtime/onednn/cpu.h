#pragma once

#include <string>

namespace plica {

// What measurements on a CPU hold for: its name, oneDNN's instruction set (ONEDNN_MAX_CPU_ISA bounds it) and
// how many of it are online: "AMD EPYC 9354, isa 0x7ff, 32 CPUs".
std::string cpu_description();
// What packed weights hold for: the same without the number of CPUs.
std::string cpu_features();

}  // namespace plica
