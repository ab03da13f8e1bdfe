#include "common/dispatch.h"

namespace fpg {

BuildInfo build_info() {
  BuildInfo info;
  info.version = FPG_INFO_VERSION;
  info.compiler = FPG_INFO_COMPILER;
  info.build_type = FPG_INFO_BUILD_TYPE;
  info.cuda = FPG_INFO_CUDA_BUILT != 0;
  info.cuda_version = FPG_INFO_CUDA_VERSION;
  info.cuda_architectures = FPG_INFO_CUDA_ARCHITECTURES;
  return info;
}

#ifndef FPG_WITH_CUDA
CudaStatus cuda_status() { return {0, kWithoutCuda}; }  // else in common/cuda/device.cu
#endif

}  // namespace fpg
