// The parallel loop of the CPU kernels.
#pragma once

#include <cstdint>
#include <functional>

namespace fpg::cpu {

// Calls body(i) once for every i in [0, count) on at most `threads` threads, the calling one included, and rethrows the
// first exception. Threads live for one call: an operation takes milliseconds and starting a thread microseconds,
// and unlike a pool or OpenMP they survive fork(), which data loaders use.
void parallel_for(int64_t count, int threads, const std::function<void(int64_t)>& body);

}  // namespace fpg::cpu
