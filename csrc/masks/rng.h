// Philox-4x32-10 (Salmon et al., SC 2011), the counter-based generator of random fields; fpg/common/philox.py is the same one.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace fpg {

// Four words in, four words out, for N counters at once; each inner loop is one vector operation.
template <int N>
FPG_HD void philox4x32(uint32_t (&c0)[N], uint32_t (&c1)[N], uint32_t (&c2)[N], uint32_t (&c3)[N], uint32_t k0, uint32_t k1) {
  for (int step = 0; step < 10; ++step) {
    for (int i = 0; i < N; ++i) {
      const uint64_t a = uint64_t{0xD2511F53u} * c0[i];
      const uint64_t b = uint64_t{0xCD9E8D57u} * c2[i];
      const uint32_t n0 = static_cast<uint32_t>(b >> 32) ^ c1[i] ^ k0;
      const uint32_t n2 = static_cast<uint32_t>(a >> 32) ^ c3[i] ^ k1;
      c0[i] = n0;
      c1[i] = static_cast<uint32_t>(b);
      c2[i] = n2;
      c3[i] = static_cast<uint32_t>(a);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

}  // namespace fpg
