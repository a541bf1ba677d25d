// Plica: runs ONNX models on CPUs through oneDNN, and folds batch normalization out of them first.
//
//   plica::Model model = plica::Model::load("net.onnx");
//   plica::Report report = model.optimize();
//   plica::Session session(model, {.threads = 2});
//   plica::TensorMap y = session.run({{"input", plica::Tensor::view(pixels, {1, 3, 224, 224})}});
#pragma once

#include "plica/compile.h"          // IWYU pragma: export
#include "plica/custom_operator.h"  // IWYU pragma: export
#include "plica/limits.h"           // IWYU pragma: export
#include "plica/model.h"            // IWYU pragma: export
#include "plica/report.h"           // IWYU pragma: export
#include "plica/session.h"          // IWYU pragma: export
#include "plica/tensor.h"           // IWYU pragma: export
#include "plica/tuning.h"           // IWYU pragma: export
#include "plica/version.h"          // IWYU pragma: export
