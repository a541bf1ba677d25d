// The file that keeps what was measured: JSON, the CPU and the versions that it holds for, and by plan its
// choices.
//
//   {"schema": 1, "cpu": "...", "onednn": "2.6.3", "plica": "1.0",
//    "plans": {"9f2c51d07be34a68-t2": {"layout": "blocked16",
//                                      "steps": {"Conv 1x64x56x56,...": {"method": "winograd4", "threads":
//                                      "one"}}}}}
//
// It is read as input that nobody vouches for: its size and number of entries are bounded, every value is
// checked.
#pragma once

#include <filesystem>
#include <string>

#include "api/untrusted_json.h"
#include "runtime/plan/tuning.h"

namespace plica {

// What measurements hold for.
struct TuningHost {
  std::string cpu, onednn, plica;
};
TuningHost this_host();

struct TuningFile {
  Tuning tuning;        // empty when it is not for this host
  std::string differs;  // what it is for instead; empty when it is for this host
};

// Throws io when it can't be read, invalid_argument when it is no such file, limit when it is too large.
TuningFile read_tuning(const std::filesystem::path& path, const TuningHost& host);
// Adds these plans to the file, or makes a new one where there is none or one of another host. Throws like
// read_tuning: a file that is something else is not overwritten. Makes the directory that it is in.
void merge_tuning(const std::filesystem::path& path, const Tuning& tuning, const TuningHost& host);

// The member "plans". Throws invalid_argument, limit.
Tuning parse_plans(const Json& plans);
Json to_json(const Tuning& tuning);

std::string layout_name(TunedLayout layout);
// "winograd4, one thread"
std::string describe(const StepChoice& choice);

}  // namespace plica
