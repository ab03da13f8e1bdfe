// How and where an operation runs: threads, stream, the GPUs of this process, build information.
#pragma once

#include <string>

namespace fpg {

// On a GPU an operation is queued on `stream` and the call returns at once.
struct Execution {
  int threads = 1;         // CPU threads, >= 1
  void* stream = nullptr;  // cudaStream_t of the arguments' device; nullptr is its default stream
};

// The GPUs of this process. Never throws: if the build has no CUDA, or there is no driver or no GPU, the count is 0 and the
// reason says why; otherwise the reason is empty.
struct CudaStatus {
  int devices = 0;
  std::string reason;
};
CudaStatus cuda_status();

// Build information.
struct BuildInfo {
  std::string version;
  std::string compiler;
  std::string build_type;
  bool cuda = false;
  std::string cuda_version;        // of nvcc; empty without CUDA
  std::string cuda_architectures;  // separated by commas; empty without CUDA
};
BuildInfo build_info();

}  // namespace fpg
