// FPG_HOT compiles a loop over pixels for AVX2 and AVX-512 as well; the loader picks by the CPU. Results do not depend on the
// choice: contraction of a * b + c is off (see csrc/CMakeLists.txt). It needs ifunc (GCC, glibc), whose resolvers run too early
// for the address sanitizer. FPG_HOT_FMA is for loops that call std::fma, an instruction since x86-64-v3; elsewhere the C library
// computes the same values, slowly. FPG_INLINE is for what such a loop calls: only what is inlined is compiled for each.
#pragma once

#include <cstdint>  // defines __GLIBC__

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define FPG_HOT __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#define FPG_HOT_FMA __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), flatten))
#define FPG_INLINE __attribute__((always_inline)) inline
#else
#define FPG_HOT
#define FPG_HOT_FMA
#define FPG_INLINE inline
#endif
