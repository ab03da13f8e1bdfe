// What becomes of the scores of an input: the twin of fpg/runtime/judgement.py.
#pragma once

#include <string>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

// Score and verdict of an input whose frames are scored, or why there is none. Throws InputError without a frame.
void conclude(Judgement& judgement);

// Makes it the judgement of an input that cannot be judged: no frames, no score, no verdict.
void fail(Judgement& judgement, const std::string& reason, const std::string& code);

}  // namespace fpg::runtime
