// Launch helpers: checked calls, the device guard, and the kernels that run the functors of math.h.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "common/error.h"
#include "common/execution.h"
#include "common/lanes.h"

namespace fpg::cuda {

inline void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // clears the error, so that the next call starts clean
  throw DeviceError(std::string(what) + ": " + cudaGetErrorString(code));
}

inline cudaStream_t stream_of(const Execution& execution) { return static_cast<cudaStream_t>(execution.stream); }

// Makes `index` the current device for a scope.
class DeviceGuard {
 public:
  explicit DeviceGuard(int index) {
    check(cudaGetDevice(&previous_), "cudaGetDevice");
    if (index != previous_) check(cudaSetDevice(index), "cudaSetDevice");
  }
  ~DeviceGuard() { cudaSetDevice(previous_); }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int previous_ = 0;
};

constexpr int kThreads = 256;
constexpr int kElementsPerThread = 16;
constexpr int64_t kMaxGrid = 65535;

// Adds up a block's values, then one atomic addition: with one per warp, thousands wait for the same address. Integers: the order
// does not matter. Every thread of a block of kThreads must call it.
struct BlockAdd {
  __device__ void operator()(int64_t* out, int64_t value) const {
    constexpr int kWarps = kThreads / 32;
    __shared__ int64_t sums[kWarps];
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
    __syncthreads();  // the sums of the previous call have been read
    if (lane == 0) sums[warp] = value;
    __syncthreads();
    if (warp != 0) return;
    value = lane < kWarps ? sums[lane] : 0;
    for (int offset = kWarps / 2; offset > 0; offset /= 2) value += __shfl_down_sync(0xffffffffu, value, offset);
    if (lane == 0) atomicAdd(reinterpret_cast<unsigned long long*>(out), static_cast<unsigned long long>(value));
  }
};

// N elements of each thread at a time; N divides `pixels`.
template <int N, class Reduction>
__global__ void __launch_bounds__(kThreads) reduce_kernel(Reduction reduction, int64_t items, int64_t pixels) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x * N;
  for (int64_t item = blockIdx.y; item < items; item += gridDim.y) {
    typename Reduction::Accumulator total = reduction.begin(item);
#pragma unroll 4  // several loads in flight
    for (int64_t pixel = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N; pixel < pixels; pixel += stride)
      reduction.template lanes<N>(item * pixels + pixel, total);
    reduction.commit(item, total, BlockAdd{});
  }
}

template <class Functor>
__global__ void __launch_bounds__(kThreads) each_kernel(Functor functor, int64_t count) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) functor(i);
}

// The outputs of the reduction must be zero when it starts.
template <class Reduction>
void launch_reduction(const Reduction& reduction, int64_t items, int64_t pixels, cudaStream_t stream, const char* what) {
  if (items == 0 || pixels == 0) return;
  const int64_t span = int64_t{kThreads} * kElementsPerThread;
  const dim3 grid(static_cast<unsigned>(std::min((pixels + span - 1) / span, kMaxGrid)),
                  static_cast<unsigned>(std::min(items, kMaxGrid)));
  if (reduction.wide() && pixels % kWideFloats == 0)
    reduce_kernel<kWideFloats><<<grid, kThreads, 0, stream>>>(reduction, items, pixels);
  else
    reduce_kernel<1><<<grid, kThreads, 0, stream>>>(reduction, items, pixels);
  check(cudaGetLastError(), what);
}

template <class Functor>
void launch_each(const Functor& functor, int64_t count, cudaStream_t stream, const char* what) {
  if (count == 0) return;
  each_kernel<<<static_cast<unsigned>(std::min((count + kThreads - 1) / kThreads, kMaxGrid)), kThreads, 0, stream>>>(functor,
                                                                                                                     count);
  check(cudaGetLastError(), what);
}

}  // namespace fpg::cuda
