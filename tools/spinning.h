// How long the threads of a run wait for one another before they sleep.
#pragma once

namespace plica::tools {

// GCC's OpenMP threads spin for some milliseconds at the end of every parallel loop until the others are
// there. When another process has the CPU that one of them needs, each loop takes that long: a model that
// takes 3 ms alone took 860 beside two busy processes, and 15 so. The library reads the limit when it is
// loaded, so the program starts itself again with one, unless the environment says how to wait.
void limit_spinning(char** argv);

}  // namespace plica::tools
