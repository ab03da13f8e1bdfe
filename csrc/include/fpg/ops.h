// The public C++ API: operations on borrowed arrays. No torch, no Python, no allocation.
#pragma once

#include <cstdint>
#include <string>

#include "fpg/tensor_view.h"

namespace fpg {

// How an operation runs. On a GPU it is queued on `stream` and the call returns at once.
struct Execution {
  int threads = 1;         // CPU threads, >= 1
  void* stream = nullptr;  // cudaStream_t of the views' device; nullptr is its default stream
};

// How a detector perceives a batch of forgeries: FPG (ACM MM 2024), shape refinement.
//
// With c a map and m a mask, threshold = mean of c over {c > 0} (0 when that is empty) and
// D = {c > threshold} and {m > 0}. A map element that is NaN is not positive and not above the threshold; a mask
// element that is NaN is not positive. Map elements above 1 count as 1 in the mean.
//
// Counts are integers and the sum behind the threshold is a 64-bit integer in steps of 2^-36 (rounded to nearest,
// ties to even), so the result does not depend on the order of summation: every device and number of threads agree
// exactly.
struct PerceptionInput {
  TensorView<const float, 3> maps;   // [B, H, W] in [0, 1], H * W < 2^27
  TensorView<const float, 3> masks;  // [B, H, W]
};

struct PerceptionOutput {
  TensorView<float, 1> threshold;    // [B]
  TensorView<int64_t, 1> dominant;   // [B] |D|
  TensorView<int64_t, 1> masked;     // [B] |{m > 0}|
  TensorView<uint8_t, 3> remaining;  // [B, H, W] 1 in {m > 0} minus D, else 0
  TensorView<int64_t, 1> sum;        // [B] sum of c over {c > 0}, in steps of 2^-36
  TensorView<int64_t, 1> positive;   // [B] |{c > 0}|
};

// Throws InvalidArgument when shapes, devices or pointers do not fit, DeviceError when the device cannot run it.
void perception_statistics(const PerceptionInput& input, const PerceptionOutput& output, const Execution& execution = {});

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
