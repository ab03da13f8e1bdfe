// How an operation runs, and on what: threads, stream, the GPUs of this process, what was built.
#pragma once

#include <string>

namespace fpg {

// On a GPU an operation is queued on `stream` and the call returns at once.
struct Execution {
  int threads = 1;         // CPU threads, >= 1
  void* stream = nullptr;  // cudaStream_t of the arguments' device; nullptr is its default stream
};

// The GPUs of this process. Never throws: without CUDA in the build, without a driver or without a GPU the count is 0
// and the reason says why; it is empty when there are GPUs.
struct CudaStatus {
  int devices = 0;
  std::string reason;
};
CudaStatus cuda_status();

// What was built.
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
