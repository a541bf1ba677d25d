// For the test of the test: a public header reaches this.
#pragma once
#include <fmt/format.h>
