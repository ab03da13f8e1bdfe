#include "common/cpu/bilinear.h"
#include "common/cpu/parallel.h"
#include "common/dispatch.h"
#include "warp/math.h"
#include "warp/warp.h"

namespace fpg {
namespace cpu {
namespace {

void run(const WarpArguments& arguments, const Execution& execution) {
  const auto in = layout(arguments.images);
  const auto result = layout(arguments.out);
  parallel_for(arguments.images.items, execution.threads, [&](int64_t item) {
    const Window from = arguments.windows[item], to = arguments.out_windows[item];
    const double* a = arguments.affine + 4 * item;
    sample_image(in.item(item), in.width(item), AffineAxis(a[0], a[1], from.x0, in.width(item), to.x0),
                 AffineAxis(a[2], a[3], from.y0, in.height(item), to.y0), result.height(item), result.width(item),
                 result.item(item));
  });
}

}  // namespace
}  // namespace cpu

bool WarpArguments::validate(const Execution&) const {
  if (!check_windowed(images, windows, out, out_windows)) return false;
  check_pointer("affine", affine);
  return true;
}

void warp(const WarpArguments& arguments, const Execution& execution) {
  dispatch(arguments, execution, cpu::run, FPG_GPU_KERNEL(cuda::warp));
}

}  // namespace fpg
