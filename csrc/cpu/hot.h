// FPG_HOT marks a loop over pixels that is compiled for several instruction sets; the loader picks one. Results do not depend
// on the choice: contraction of a * b + c is off (see csrc/CMakeLists.txt).
#pragma once

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define FPG_HOT __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#else
#define FPG_HOT
#endif
