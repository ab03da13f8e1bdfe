// Runs a reduction functor (see math/perception.h) over one item of the batch.
#pragma once

#include <cstdint>

// Compiles a function for AVX2 as well and picks by the CPU when the library is loaded. No FMA: results stay the same.
// Needs ifunc (GCC, glibc), whose resolvers run too early for the address sanitizer.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define FPG_CPU_CLONES __attribute__((target_clones("avx2", "default")))
#define FPG_CPU_INLINE __attribute__((always_inline)) inline
#else
#define FPG_CPU_CLONES
#define FPG_CPU_INLINE inline
#endif

namespace fpg::cpu {

template <class Reduction>
FPG_CPU_INLINE void reduce_item(const Reduction& reduction, int64_t item, int64_t pixels) {
  const Reduction local = reduction;  // a copy that no store can alias, so that the loop is vectorised
  typename Reduction::Accumulator total = local.begin(item);
  const int64_t first = item * pixels;
  for (int64_t i = first; i < first + pixels; ++i) local(i, total);
  local.commit(item, total, [](int64_t* out, int64_t value) { *out = value; });
}

}  // namespace fpg::cpu
