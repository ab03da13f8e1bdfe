#include <cuda_runtime.h>

#include "common/execution.h"

namespace fpg {

CudaStatus cuda_status() {
  int devices = 0;
  const cudaError_t code = cudaGetDeviceCount(&devices);
  if (code == cudaSuccess && devices > 0) return {devices, ""};
  cudaGetLastError();  // clears the error
  if (code == cudaErrorInsufficientDriver) return {0, "no NVIDIA driver, or one older than the CUDA version fpg was built with"};
  return {0, code == cudaSuccess ? "the driver reports no GPU" : cudaGetErrorString(code)};
}

}  // namespace fpg
