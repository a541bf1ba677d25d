// The parts of the text family's table (text.cpp), each in a file of its own name.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

OpDef string_normalizer_op();  // text_normalizer.cpp
OpDef regex_full_match_op();   // text_regex.cpp
OpDef tf_idf_vectorizer_op();  // text_ngrams.cpp

}  // namespace plica
