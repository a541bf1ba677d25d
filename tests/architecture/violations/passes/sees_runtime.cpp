// For the test of the test: this must be found.
#include "runtime/executor.h"
