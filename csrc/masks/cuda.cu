// The mask chain on a GPU: every stage is one launch over items, rows and columns; each item has its own slot of scratch memory.
// Where there are fewer slots than items, the stages run for as many items as there are slots, and again for the next.
#include "common/cuda/launch_ragged.h"
#include "masks/elastic.h"
#include "masks/feather.h"
#include "masks/hull.h"

namespace fpg::cuda {
namespace {

// The sizes of a launch, at least those of every item's range; smaller ranges end earlier, larger ones are walked in strides.
struct Extent {
  int64_t rows, columns;
};

__global__ void __launch_bounds__(kThreads) begin_kernel(MaskBegin begin, int64_t first, int64_t slots) {
  const int64_t slot = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (slot < slots) begin(slot, first + slot);
}

// Calls body(y, x) for the part of a range that belongs to this thread.
template <class Body>
__device__ void walk(const Crop& range, const Body& body) {
  const auto row_step = static_cast<int32_t>(gridDim.y * kRows), column_step = static_cast<int32_t>(gridDim.x * kColumns);
  for (int32_t y = range.y0 + static_cast<int32_t>(blockIdx.y * kRows + threadIdx.y); y < range.y1; y += row_step)
    for (int32_t x = range.x0 + static_cast<int32_t>(blockIdx.x * kColumns + threadIdx.x); x < range.x1; x += column_step)
      body(y, x);
}

template <class Stage>
__global__ void __launch_bounds__(kColumns* kRows) stage_kernel(Stage stage, int64_t slots) {
  for (int64_t slot = blockIdx.z; slot < slots; slot += gridDim.z)
    walk(stage.range(slot), [&](int32_t y, int32_t x) { stage.template lanes<1>(slot, y, x); });
}

__global__ void __launch_bounds__(kColumns* kRows) largest_kernel(FeatherLargest stage, int64_t slots) {
  for (int64_t slot = blockIdx.z; slot < slots; slot += gridDim.z) {
    uint32_t largest[1] = {0};
    walk(stage.range(slot), [&](int32_t y, int32_t x) { stage.lanes<1>(slot, y, x, largest); });
    const uint32_t warp = __reduce_max_sync(0xffffffffu, largest[0]);
    if (threadIdx.x == 0 && warp > 0) atomicMax(&stage.work.state(slot).largest[stage.pass], warp);
  }
}

class Chain {
 public:
  // For the items from `first` on, as many as there are slots. Also queues the first steps of every operation.
  Chain(const MaskChain& chain, int64_t first, const Execution& execution, const RaggedView<const uint8_t>& in,
        const RaggedView<float>& out)
      : guard_(chain.device.index),
        chain_(chain),
        slots_(std::min(chain.scratch_slots, chain.count - first)),
        stream_(stream_of(execution)),
        work_{chain.items, static_cast<unsigned char*>(chain.scratch), MaskLayout(chain.limits, chain.elastic), chain.elastic, in,
              out} {
    begin_kernel<<<static_cast<unsigned>((slots_ + kThreads - 1) / kThreads), kThreads, 0, stream_>>>(MaskBegin{work_}, first,
                                                                                                      slots_);
    check(cudaGetLastError(), "masks: begin");
  }

  void hulls() const {
    run(HullCorners{work_}, {kMaskHulls, 1}, "hulls: corners");
    run(HullSpans{work_}, {chain_.limits.height, kMaskHulls}, "hulls: spans");
    run(HullRaster{work_}, frame(), "hulls: raster");
  }

  void warp() const {
    const MaskLimits& l = chain_.limits;
    const int64_t height = (int64_t{l.height} + 1) / 2, width = (int64_t{l.width} + 1) / 2;
    run(WarpTables{work_}, {1, std::max(l.height, l.width) + 2 * int64_t{work_.layout.reach}}, "warp: tables");
    run(ElasticNoise{work_}, {height, width + 32}, "warp: noise");
    run(ElasticRows{work_}, {height, width}, "warp: blur of rows");
    run(ElasticBorder{work_}, {height, 2 * int64_t{chain_.elastic.radius}}, "warp: border");
    run(ElasticColumns{work_}, {height, width + 2}, "warp: blur of columns");
    run(WarpLookup{work_}, {l.height, l.width}, "warp: lookup");
  }

  void erode() const {
    run(MaskErode{work_, true}, {chain_.limits.height, chain_.limits.width}, "feathering: erosion of rows");
    run(MaskErode{work_, false}, {chain_.limits.height, chain_.limits.width}, "feathering: erosion of columns");
  }

  void feather() const {
    const MaskLimits& l = chain_.limits;
    const Extent small{l.small_height, l.small_width}, padded{l.small_height, l.small_width + 2 * int64_t{kFeatherRadius}};
    run(MaskZeros{work_}, {1, std::max(work_.layout.small_stride, work_.layout.up_stride)}, "feathering: zeros");
    run(FeatherTables{work_}, {1, std::max(l.small_width, l.out_width)}, "feathering: tables");
    run(FeatherDown{work_, false}, padded, "feathering: down");
    run(FeatherColumns{work_, 0}, small, "feathering: first blur of columns");
    run(FeatherRows{work_, 0}, small, "feathering: first blur of rows");
    largest({work_, 0}, small);
    run(FeatherKeep{work_}, padded, "feathering: keep");
    run(FeatherColumns{work_, 1}, small, "feathering: second blur of columns");
    run(FeatherRows{work_, 1}, small, "feathering: second blur of rows");
    largest({work_, 1}, small);
    run(FeatherScale{work_}, small, "feathering: scale");
    run(FeatherUpColumns{work_}, {l.small_height, l.out_width}, "feathering: up along columns");
    run(FeatherUpRows{work_}, {l.out_height, l.out_width}, "feathering: up along rows");
  }

 private:
  Extent frame() const { return {chain_.limits.height + int64_t{2}, chain_.limits.width + int64_t{2}}; }

  template <class Stage>
  void run(const Stage& stage, const Extent& extent, const char* what) const {
    stage_kernel<<<grid_of(extent.rows, extent.columns, slots_), dim3(kColumns, kRows), 0, stream_>>>(stage, slots_);
    check(cudaGetLastError(), what);
  }

  void largest(const FeatherLargest& stage, const Extent& extent) const {
    largest_kernel<<<grid_of(extent.rows, extent.columns, slots_), dim3(kColumns, kRows), 0, stream_>>>(stage, slots_);
    check(cudaGetLastError(), "feathering: maximum");
  }

  const DeviceGuard guard_;
  const MaskChain& chain_;
  const int64_t slots_;
  const cudaStream_t stream_;
  const MaskWork work_;
};

}  // namespace

void feather_masks(const FeatherMasksArguments& arguments, const Execution& execution) {
  for (int64_t first = 0; first < arguments.chain.count; first += arguments.chain.scratch_slots) {
    const Chain steps(arguments.chain, first, execution, arguments.masks, arguments.out);
    steps.erode();  // by nothing, for most callers: it costs less than asking the device would
    steps.feather();
  }
}

void soft_masks(const SoftMasksArguments& arguments, const Execution& execution) {
  for (int64_t first = 0; first < arguments.chain.count; first += arguments.chain.scratch_slots) {
    const Chain steps(arguments.chain, first, execution, {}, arguments.out);
    steps.hulls();
    steps.warp();
    steps.feather();
  }
}

}  // namespace fpg::cuda
