// Stands in for cuda/*.cu in a build without CUDA.
#include "backends.h"
#include "backends_jpeg.h"
#include "fpg/error.h"

namespace fpg {
namespace {
constexpr const char* kReason =
    "fpg was built without CUDA (reinstall it with nvcc on PATH, or with -DFPG_CUDA=ON to see why it is not found)";
}

CudaStatus cuda_status() { return {0, kReason}; }

namespace cuda {
void perception_statistics(const PerceptionInput&, const PerceptionOutput&, const Execution&) { throw DeviceError(kReason); }
void jpeg_round_trip(const JpegInput&, const JpegScratch&, const Execution&) { throw DeviceError(kReason); }
}  // namespace cuda

}  // namespace fpg
