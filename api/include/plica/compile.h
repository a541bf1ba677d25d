// Compiled files: Session::compile() writes a model together with its weights packed for this CPU; Model::load() maps such
// a file, and a Session of it packs nothing.
//
// A file holds for one build of Plica, one version of oneDNN and one kind of CPU. Elsewhere Model::load() gives the model
// that is in it, and Model::compiled_note() says why no more is used. Sessions with other shapes, threads or options
// than those compiled for are right too; they use what is packed as they need it. While a Model or Session of the file
// lives, it may be replaced or deleted, but must not be written into or truncated: that would end the process (SIGBUS).
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "plica/session.h"

namespace PLICA_API plica {

struct CompileOptions {
  SessionOptions session;    // its `exact`; the choices of `tuning` go into the file
  std::vector<int> threads;  // plans are made for each of these; empty: session.threads
  std::function<void(size_t done, size_t plans)> progress;
};

struct CompileReport {
  size_t plans = 0;
  size_t packed = 0, packed_bytes = 0;  // tensors, those that are used as they are in the model included
  size_t not_kept_bytes = 0;            // constants that are made anew when a session prepares a plan
  size_t file_bytes = 0;
  std::string tuning_note;  // as Session::tuning_note()
};

}  // namespace plica
