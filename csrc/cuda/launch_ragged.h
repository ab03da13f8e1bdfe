// Launches a functor over the pixels of a ragged batch or of planes: one launch per batch, whatever its sizes.
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

// For pixels that only depend on the same pixel of other images: functor.lanes<N>(item, pixel) computes N from `pixel` on, which
// start at a multiple of 16 bytes where N is kGroupPixels. `functor.bytes(item)` is the image's address; `functor.wide(item)`
// says whether the other images have their groups at the same pixels.
template <class Functor>
__global__ void __launch_bounds__(kThreads) groups_kernel(Functor functor, const int32_t* sizes, int64_t items) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (int64_t item = blockIdx.y; item < items; item += gridDim.y) {
    const int64_t pixels = int64_t{sizes[2 * item]} * sizes[2 * item + 1];
    const PixelGroups parts(functor.bytes(item), pixels, functor.wide(item));
    for (int64_t i = first; i < parts.groups; i += stride) functor.template lanes<kGroupPixels>(item, parts.group(i));
    for (int64_t i = first; i < parts.singles; i += stride) functor.template lanes<1>(item, parts.single(i));
  }
}

template <class Functor, class T>
void launch_groups(const Functor& functor, const RaggedView<T>& batch, cudaStream_t stream, const char* what) {
  const int64_t pixels = static_cast<int64_t>(batch.max_height) * batch.max_width;
  if (batch.items == 0 || pixels == 0) return;
  const int64_t span = int64_t{kThreads} * kGroupPixels;
  const dim3 grid(static_cast<unsigned>(std::min((pixels + span - 1) / span, kMaxGrid)),
                  static_cast<unsigned>(std::min(batch.items, kMaxGrid)));
  groups_kernel<<<grid, kThreads, 0, stream>>>(functor, batch.sizes, batch.items);
  check(cudaGetLastError(), what);
}

// functor.lanes<N>(index, pixels, i) for N pixels of each of `indices` planes at a time; N divides `pixels`.
template <int N, class Functor>
__global__ void __launch_bounds__(kThreads) planes_kernel(Functor functor, int64_t indices, int64_t pixels) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x * N;
  for (int64_t index = blockIdx.y; index < indices; index += gridDim.y)
    for (int64_t pixel = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N; pixel < pixels; pixel += stride)
      functor.template lanes<N>(index, pixels, pixel);
}

template <class Functor>
void launch_planes(const Functor& functor, int64_t indices, int64_t pixels, cudaStream_t stream, const char* what) {
  if (indices == 0 || pixels == 0) return;
  const bool wide = functor.wide() && pixels % kWideFloats == 0;
  const int64_t span = int64_t{kThreads} * (wide ? kWideFloats : 1);
  const dim3 grid(static_cast<unsigned>(std::min((pixels + span - 1) / span, kMaxGrid)),
                  static_cast<unsigned>(std::min(indices, kMaxGrid)));
  if (wide)
    planes_kernel<kWideFloats><<<grid, kThreads, 0, stream>>>(functor, indices, pixels);
  else
    planes_kernel<1><<<grid, kThreads, 0, stream>>>(functor, indices, pixels);
  check(cudaGetLastError(), what);
}

}  // namespace fpg::cuda
