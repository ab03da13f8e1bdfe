// Launches a functor once per pixel of a ragged batch: one launch per batch, whatever its sizes.
#pragma once

#include "cuda/launch.h"
#include "math/ragged_layout.h"

namespace fpg::cuda {

// functor(item, y, x) for every pixel of every item of `sizes`.
template <class Functor>
__global__ void __launch_bounds__(kThreads) pixels_kernel(Functor functor, const int32_t* sizes, int64_t items) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t item = blockIdx.y; item < items; item += gridDim.y) {
    const int64_t width = sizes[2 * item + 1];
    const int64_t pixels = sizes[2 * item] * width;
    for (int64_t pixel = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; pixel < pixels; pixel += stride)
      functor(item, static_cast<int32_t>(pixel / width), static_cast<int32_t>(pixel % width));
  }
}

template <class Functor, class T>
void launch_pixels(const Functor& functor, const RaggedView<T>& batch, cudaStream_t stream, const char* what) {
  const int64_t pixels = static_cast<int64_t>(batch.max_height) * batch.max_width;
  if (batch.items == 0 || pixels == 0) return;
  const dim3 grid(static_cast<unsigned>(std::min((pixels + kThreads - 1) / kThreads, kMaxGrid)),
                  static_cast<unsigned>(std::min(batch.items, kMaxGrid)));
  pixels_kernel<<<grid, kThreads, 0, stream>>>(functor, batch.sizes, batch.items);
  check(cudaGetLastError(), what);
}

// functor(index, pixels, first, last) for one pixel of each of `indices` planes at a time.
template <class Functor>
__global__ void __launch_bounds__(kThreads) planes_kernel(Functor functor, int64_t indices, int64_t pixels) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t index = blockIdx.y; index < indices; index += gridDim.y)
    for (int64_t pixel = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; pixel < pixels; pixel += stride)
      functor(index, pixels, pixel, pixel + 1);
}

template <class Functor>
void launch_planes(const Functor& functor, int64_t indices, int64_t pixels, cudaStream_t stream, const char* what) {
  if (indices == 0 || pixels == 0) return;
  const dim3 grid(static_cast<unsigned>(std::min((pixels + kThreads - 1) / kThreads, kMaxGrid)),
                  static_cast<unsigned>(std::min(indices, kMaxGrid)));
  planes_kernel<<<grid, kThreads, 0, stream>>>(functor, indices, pixels);
  check(cudaGetLastError(), what);
}

}  // namespace fpg::cuda
