#include "jpeg/math.h"

#include "common/cuda/launch.h"
#include "jpeg/jpeg.h"

namespace fpg::cuda {
namespace {

constexpr int kCodeThreads = 64;

// One thread per chroma sample and the four luma samples under it.
__global__ void __launch_bounds__(kThreads) color_kernel(JpegColor color, const int32_t* quality, int64_t items) {
  for (int64_t item = blockIdx.y; item < items; item += gridDim.y) {
    if (quality[item] == 0) continue;
    const JpegPlanes layout(color.sizes[2 * item], color.sizes[2 * item + 1]);
    const int32_t columns = layout.chroma_stride(), count = 8 * layout.rows * columns;
    const auto stride = static_cast<int32_t>(gridDim.x * blockDim.x);
    for (auto i = static_cast<int32_t>(blockIdx.x * blockDim.x + threadIdx.x); i < count; i += stride)
      color.lanes<1>(item, i / columns, i % columns);
  }
}

struct NoTranspose {
  __device__ void operator()(const uint8_t* in, uint8_t* out) const {
    for (int i = 0; i < 8; ++i) out[i] = in[i];
  }
};

// One thread per block of 8 x 8 samples, luma first; the tables of an item are made once per thread block.
__global__ void __launch_bounds__(kCodeThreads) code_kernel(JpegCode code, const int32_t* quality, int64_t items) {
  __shared__ JpegQuantisation table;
  for (int64_t item = blockIdx.y; item < items; item += gridDim.y) {
    const int32_t q = quality[item];
    __syncthreads();
    if (q != 0)
      for (int k = static_cast<int>(threadIdx.x); k < 128; k += static_cast<int>(blockDim.x)) table.set(k, q);
    __syncthreads();
    if (q == 0) continue;
    const JpegPlanes layout(code.sizes[2 * item], code.sizes[2 * item + 1]);
    const int32_t units = layout.rows * layout.columns;
    const auto stride = static_cast<int32_t>(gridDim.x * blockDim.x);
    for (auto i = static_cast<int32_t>(blockIdx.x * blockDim.x + threadIdx.x); i < 6 * units; i += stride) {
      const int plane = i < 4 * units ? 0 : (i < 5 * units ? 1 : 2);
      const int32_t block = plane == 0 ? i : i - (3 + plane) * units;
      const int32_t columns = plane == 0 ? 2 * layout.columns : layout.columns;
      code.lanes<1>(item, plane, block / columns, block % columns, 1, table, NoTranspose{});
    }
  }
}

__global__ void __launch_bounds__(kThreads) decode_kernel(JpegDecode decode, const int32_t* quality, int64_t items) {
  for (int64_t item = blockIdx.y; item < items; item += gridDim.y) {
    if (quality[item] == 0) continue;
    const int32_t height = decode.sizes[2 * item], width = decode.sizes[2 * item + 1];
    const int32_t columns = (width + 1) / 2;
    for (auto y = static_cast<int32_t>(blockIdx.x); y < height; y += static_cast<int32_t>(gridDim.x))
      for (auto i = static_cast<int32_t>(threadIdx.x); i < columns; i += kThreads) {
        const int32_t x = 2 * i;
        decode(item, y, x, x + 2 < width ? x + 2 : width);
      }
  }
}

}  // namespace

void jpeg_round_trip(const JpegArguments& in, const Execution& execution) {
  const RaggedView<uint8_t>& images = in.images;
  const cudaStream_t stream = stream_of(execution);
  const DeviceGuard guard(images.device.index);
  const JpegPlanes largest(images.max_height, images.max_width);
  const int64_t units = int64_t{largest.rows} * largest.columns;
  if (units == 0) return;
  const auto items = static_cast<unsigned>(std::min(images.items, kMaxGrid));
  const auto grid = [items](int64_t count, int64_t threads) {
    return dim3(static_cast<unsigned>(std::min((count + threads - 1) / threads, kMaxGrid)), items);
  };
  color_kernel<<<grid(units * 64, kThreads), kThreads, 0, stream>>>(
      JpegColor{images.data, images.offsets, images.sizes, in.planes, in.plane_offsets}, in.quality.data, images.items);
  check(cudaGetLastError(), "jpeg_round_trip: color");
  code_kernel<<<grid(units * 6, kCodeThreads), kCodeThreads, 0, stream>>>(JpegCode{images.sizes, in.planes, in.plane_offsets},
                                                                          in.quality.data, images.items);
  check(cudaGetLastError(), "jpeg_round_trip: code");
  decode_kernel<<<grid(images.max_height, 1), kThreads, 0, stream>>>(
      JpegDecode{images.data, images.offsets, images.sizes, in.planes, in.plane_offsets}, in.quality.data, images.items);
  check(cudaGetLastError(), "jpeg_round_trip: decode");
}

}  // namespace fpg::cuda
