// Loads a checked model file; one function per backend.
#pragma once

#include <memory>
#include <string>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

std::unique_ptr<Engine> load_openvino(const std::string& model, EngineSpec spec, int threads);

#if defined(FPG_RUNTIME_TENSORRT)
std::unique_ptr<Engine> load_tensorrt(const std::string& model, EngineSpec spec);
#endif

}  // namespace fpg::runtime
