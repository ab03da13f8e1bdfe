// The process's only OpenVINO core: fpg/common/openvino.py explains what several cores do to signal handlers.
#pragma once

#include <openvino/openvino.hpp>

namespace fpg::runtime {

inline ov::Core& openvino_core() {
  static ov::Core* core = new ov::Core;  // never freed
  return *core;
}

}  // namespace fpg::runtime
