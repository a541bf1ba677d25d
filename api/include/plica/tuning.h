// Choices by measurement: Session::tune() runs a model in the ways that Plica can, and keeps what was fastest
// on this machine in a file, which a Session with SessionOptions::tuning then goes by. Without, Plica goes by
// its cost models.
//
// A file holds for one CPU, one version of oneDNN and one of Plica, and for the shapes and threads that were
// measured. Sessions with the same file make the same plans.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "plica/session.h"

namespace PLICA_API plica {

// Tuning takes several times the memory of a session. The file keeps what it holds of other models, shapes
// and threads.
struct TuneOptions {
  SessionOptions session;                // its threads and exact; `tuning` is the file to write, empty: none
  double duration = 20;                  // seconds to measure, compilation not counted
  std::function<void(double)> progress;  // told the fraction that is done
};

struct TuneReport {
  struct Step {
    std::string operation;               // its operators and shapes
    int count = 0;                       // so many steps of the plan are this one
    std::string choice;                  // "winograd4, one thread"
    double before_ms = 0, after_ms = 0;  // of all of them
  };
  std::vector<Step> steps;  // that are done otherwise than by the cost model, those that win most first
  std::string layout;       // of activations; empty: the default one
  double before_ms = 0, after_ms = 0;  // a whole run; equal when the default plan stays
};

// $XDG_CACHE_HOME/plica/tuning.json, or ~/.cache/plica/tuning.json. Throws invalid_argument when there is
// neither.
std::string default_tuning_file();

}  // namespace plica
