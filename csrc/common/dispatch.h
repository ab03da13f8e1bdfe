// Entry point of every operation: checks its arguments and runs the kernel for their device.
//
// An operation has a structure of arguments (see warp/warp.h) with
//   Device device() const                   where its views live
//   bool validate(const Execution&) const   throws InvalidArgument, naming what does not fit; false: there is nothing to compute
// and a function that calls `dispatch` with the loop of the CPU and the launch of the GPU.
#pragma once

#include "common/check.h"

namespace fpg {

constexpr const char* kWithoutCuda =
    "fpg was built without CUDA (reinstall it with nvcc on PATH, or with -DFPG_CUDA=ON to see why it is not found)";

// A kernel of a .cu file, for `dispatch`; nullptr in a build without CUDA, which has no such function to link.
#ifdef FPG_WITH_CUDA
#define FPG_GPU_KERNEL(kernel) kernel
#else
#define FPG_GPU_KERNEL(kernel) nullptr
#endif

template <class Arguments>
struct Kernel {
  using Function = void (*)(const Arguments& arguments, const Execution& execution);
};

// Throws InvalidArgument if the arguments do not fit, DeviceError if the device cannot run it.
template <class Arguments>
void dispatch(const Arguments& arguments, const Execution& execution, typename Kernel<Arguments>::Function on_cpu,
              typename Kernel<Arguments>::Function on_gpu) {
  expect(execution.threads >= 1, "threads: expected at least 1, got " + std::to_string(execution.threads));
  if (!arguments.validate(execution)) return;
  if (arguments.device().type == DeviceType::cpu) return on_cpu(arguments, execution);
  if (on_gpu == nullptr) throw DeviceError(kWithoutCuda);
  on_gpu(arguments, execution);
}

}  // namespace fpg
