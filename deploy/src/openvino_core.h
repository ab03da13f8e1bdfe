// The one OpenVINO core of a process: see fpg/common/openvino.py for what several cores do to signal handlers.
#pragma once

#include <openvino/openvino.hpp>

namespace fpg::runtime {

inline ov::Core& openvino_core() {
  static ov::Core* core = new ov::Core;  // never let go
  return *core;
}

}  // namespace fpg::runtime
