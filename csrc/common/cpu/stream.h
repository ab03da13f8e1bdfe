// Stores that go past the cache, for results larger than it: a line that is written whole is not read first. That pays where rows
// are written one after the other from end to end; parts of lines cost more than they save.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace fpg::cpu {

inline void store_row(const float* row, int count, bool past_cache, float* out) {
#if defined(__SSE2__)
  if (!past_cache) {
    std::memcpy(out, row, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  int i = 0;
  for (; i < count && reinterpret_cast<uintptr_t>(out + i) % 16 != 0; ++i) out[i] = row[i];
  for (; i + 4 <= count; i += 4) _mm_stream_ps(out + i, _mm_loadu_ps(row + i));
  for (; i < count; ++i) out[i] = row[i];
#else
  static_cast<void>(past_cache);
  std::memcpy(out, row, static_cast<size_t>(count) * sizeof(float));
#endif
}

// Before other threads read what was stored.
inline void finish_rows() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace fpg::cpu
