// 8 x 8 bytes, transposed: in vector registers where the compiler has shuffles, else byte by byte.
#pragma once

#include <cstdint>
#include <cstring>

#include "common/cpu/hot.h"

namespace fpg::cpu {

struct TransposeBytes {
  FPG_INLINE void operator()(const uint8_t* in, uint8_t* out) const {
#if defined(__GNUC__) && (defined(__clang__) || __GNUC__ >= 12)
    using Bytes = uint8_t __attribute__((vector_size(16)));
    using Pairs = uint16_t __attribute__((vector_size(16)));
    using Quads = uint32_t __attribute__((vector_size(16)));
    Bytes rows[4];  // two rows each
    std::memcpy(rows, in, sizeof rows);
    Pairs pairs[4];
    for (int i = 0; i < 4; ++i)
      pairs[i] = (Pairs)__builtin_shufflevector(rows[i], rows[i], 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    Quads quads[4];
    for (int i = 0; i < 2; ++i) {
      quads[i] = (Quads)__builtin_shufflevector(pairs[2 * i], pairs[2 * i + 1], 0, 8, 1, 9, 2, 10, 3, 11);
      quads[2 + i] = (Quads)__builtin_shufflevector(pairs[2 * i], pairs[2 * i + 1], 4, 12, 5, 13, 6, 14, 7, 15);
    }
    Quads columns[4];
    for (int i = 0; i < 2; ++i) {
      columns[2 * i] = __builtin_shufflevector(quads[2 * i], quads[2 * i + 1], 0, 4, 1, 5);
      columns[2 * i + 1] = __builtin_shufflevector(quads[2 * i], quads[2 * i + 1], 2, 6, 3, 7);
    }
    std::memcpy(out, columns, sizeof columns);
#else
    for (int y = 0; y < 8; ++y)
      for (int x = 0; x < 8; ++x) out[8 * x + y] = in[8 * y + x];
#endif
  }
};

}  // namespace fpg::cpu
