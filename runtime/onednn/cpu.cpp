#include "runtime/onednn/cpu.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace plica {
namespace {

std::string brand() {
#if defined(__x86_64__)
  // Intel 64 manual, volume 2A, CPUID: leaves 80000002h to 80000004h are 48 characters, ended by 0.
  constexpr unsigned kFirst = 0x80000002, kLast = 0x80000004;
  std::array<unsigned, 12> words{};
  if (__get_cpuid_max(0x80000000, nullptr) >= kLast) {
    for (unsigned leaf = kFirst; leaf <= kLast; ++leaf) {
      unsigned* const to = words.data() + size_t{leaf - kFirst} * 4;
      __get_cpuid(leaf, to, to + 1, to + 2, to + 3);
    }
    std::array<char, sizeof words + 1> text{};
    std::memcpy(text.data(), words.data(), sizeof words);
    std::string name(text.data());
    const size_t begin = name.find_first_not_of(' '), end = name.find_last_not_of(' ');
    if (begin != std::string::npos) return name.substr(begin, end - begin + 1);
  }
#endif
  return "unknown CPU";
}

}  // namespace

std::string cpu_features() {
  return fmt::format("{}, isa {:#x}", brand(), static_cast<unsigned>(dnnl::get_effective_cpu_isa()));
}

std::string cpu_description() {
  return fmt::format("{}, {} CPUs", cpu_features(), ::sysconf(_SC_NPROCESSORS_ONLN));
}

}  // namespace plica
