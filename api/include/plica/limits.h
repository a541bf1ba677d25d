// Limits of memory and time: a LimitsScope holds for everything that its thread does until it ends.
#pragma once

#include "engine/core/limits.h"
