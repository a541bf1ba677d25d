#pragma once

#include <string>

#include "api/compiled_file.h"
#include "plica/session.h"
#include "runtime/executor.h"

namespace plica {

// What a session is made with; `compiled` may be null. `note` says why the tuning file is not used.
ExecutorOptions executor_options(const SessionOptions& options,
                                 const std::shared_ptr<const CompiledFile>& compiled, std::string& note);

}  // namespace plica
