// Interrupts: Ctrl-C ends the program with 130 at once, except while a file is being written; then as soon as
// that is done, so that no temporary file stays behind. A second one ends it in any case.
#pragma once

namespace plica::tools {

void install_signal_handlers();

// Holds an interrupt back for its life.
class CriticalSection {
 public:
  CriticalSection();
  ~CriticalSection();
  CriticalSection(const CriticalSection&) = delete;
  CriticalSection& operator=(const CriticalSection&) = delete;
};

}  // namespace plica::tools
