#include "tools/signals.h"

#include <signal.h>
#include <unistd.h>

namespace plica::tools {
namespace {

volatile sig_atomic_t critical = 0;
volatile sig_atomic_t pending = 0;

void on_signal(int signal) {
  if (critical > 0 && pending == 0) {
    pending = signal;
    return;
  }
  _exit(128 + signal);
}

}  // namespace

void install_signal_handlers() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGXFSZ, SIG_IGN);  // writing beyond RLIMIT_FSIZE is an error
}

CriticalSection::CriticalSection() { critical = critical + 1; }

CriticalSection::~CriticalSection() {
  critical = critical - 1;
  if (critical == 0 && pending != 0) _exit(128 + pending);
}

}  // namespace plica::tools
