#include "math/jpeg.h"

#include "backends_jpeg.h"
#include "cuda/launch.h"

namespace fpg::cuda {
namespace {

// One thread per coding unit; the tables of an item are made once per block.
__global__ void __launch_bounds__(64) code_kernel(JpegCode code, int64_t items) {
  __shared__ int32_t table[128];
  for (int64_t item = blockIdx.y; item < items; item += gridDim.y) {
    const int32_t quality = code.quality[item];
    __syncthreads();
    if (quality != 0)
      for (int k = static_cast<int>(threadIdx.x); k < 128; k += static_cast<int>(blockDim.x))
        table[k] = JpegTables::divisor(k >= 64, k % 64, quality);
    __syncthreads();
    if (quality == 0) continue;
    const JpegPlanes layout(code.sizes[2 * item], code.sizes[2 * item + 1]);
    const int32_t units = layout.rows * layout.columns;
    const auto stride = static_cast<int32_t>(gridDim.x * blockDim.x);
    for (auto unit = static_cast<int32_t>(blockIdx.x * blockDim.x + threadIdx.x); unit < units; unit += stride)
      code(item, unit / layout.columns, unit % layout.columns, table);
  }
}

__global__ void __launch_bounds__(kThreads) decode_kernel(JpegDecode decode, const int32_t* quality, int64_t items) {
  for (int64_t item = blockIdx.y; item < items; item += gridDim.y) {
    if (quality[item] == 0) continue;
    const int32_t height = decode.sizes[2 * item], width = decode.sizes[2 * item + 1];
    const int32_t columns = (width + 1) / 2;
    const int64_t pairs = int64_t{height} * columns;
    const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < pairs; i += stride) {
      const auto x = static_cast<int32_t>(i % columns) * 2;
      decode(item, static_cast<int32_t>(i / columns), x, x + 2 < width ? x + 2 : width);
    }
  }
}

}  // namespace

void jpeg_round_trip(const JpegInput& in, const JpegScratch& scratch, const Execution& execution) {
  const RaggedView<uint8_t>& images = in.images;
  const auto stream = static_cast<cudaStream_t>(execution.stream);
  const DeviceGuard guard(images.device.index);
  const JpegPlanes largest(images.max_height, images.max_width);
  const int64_t units = int64_t{largest.rows} * largest.columns;
  const int64_t pairs = int64_t{images.max_height} * ((images.max_width + 1) / 2);
  if (units == 0) return;
  const auto items = static_cast<unsigned>(std::min(images.items, kMaxGrid));
  const dim3 code_grid(static_cast<unsigned>(std::min((units + 63) / 64, kMaxGrid)), items);
  code_kernel<<<code_grid, 64, 0, stream>>>(
      JpegCode{images.data, images.offsets, images.sizes, in.quality.data, scratch.planes, scratch.offsets}, images.items);
  check(cudaGetLastError(), "jpeg_round_trip: code");
  const dim3 decode_grid(static_cast<unsigned>(std::min((pairs + kThreads - 1) / kThreads, kMaxGrid)), items);
  decode_kernel<<<decode_grid, kThreads, 0, stream>>>(
      JpegDecode{images.data, images.offsets, images.sizes, scratch.planes, scratch.offsets}, in.quality.data, images.items);
  check(cudaGetLastError(), "jpeg_round_trip: decode");
}

}  // namespace fpg::cuda
