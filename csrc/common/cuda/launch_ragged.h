// Launches a functor over the pixels of a ragged batch or of planes: one launch per batch, whatever its sizes.
#pragma once

#include "common/cuda/launch.h"
#include "common/ragged.h"

namespace fpg::cuda {

constexpr unsigned kColumns = 32;
constexpr unsigned kRows = 8;  // of a block of threads

// Blocks for `columns` x `rows` threads of every item; smaller ranges end earlier, larger ones are walked in strides.
inline dim3 grid_of(int64_t rows, int64_t columns, int64_t items) {
  const auto blocks = [](int64_t count, int64_t size) {
    return static_cast<unsigned>(std::max<int64_t>(1, std::min((count + size - 1) / size, kMaxGrid)));
  };
  return {blocks(columns, kColumns), blocks(rows, kRows), blocks(items, 1)};
}

// functor.column(item, x)(y) for every pixel of every item of `sizes`: what is common to a column is computed once per thread,
// which handles several of its rows.
constexpr int kRowsPerThread = 8;

template <class Functor>
__global__ void __launch_bounds__(kColumns* kRows) pixels_kernel(Functor functor, const int32_t* sizes, int64_t items) {
  const auto row_step = static_cast<int32_t>(gridDim.y * kRows), column_step = static_cast<int32_t>(gridDim.x * kColumns);
  for (int64_t item = blockIdx.z; item < items; item += gridDim.z) {
    const int32_t height = sizes[2 * item], width = sizes[2 * item + 1];
    for (auto x = static_cast<int32_t>(blockIdx.x * kColumns + threadIdx.x); x < width; x += column_step) {
      const auto column = functor.column(item, x);
      for (auto y = static_cast<int32_t>(blockIdx.y * kRows + threadIdx.y); y < height; y += row_step) column(y);
    }
  }
}

template <class Functor, class T>
void launch_pixels(const Functor& functor, const RaggedView<T>& batch, cudaStream_t stream, const char* what) {
  if (batch.items == 0 || batch.max_height == 0 || batch.max_width == 0) return;
  const int64_t rows = (int64_t{batch.max_height} + kRowsPerThread - 1) / kRowsPerThread;
  pixels_kernel<<<grid_of(rows, batch.max_width, batch.items), dim3(kColumns, kRows), 0, stream>>>(functor, batch.sizes,
                                                                                                   batch.items);
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
