// For the test of the test: this must be found.
#pragma once
#include "engine/core/uses_fmt.h"
