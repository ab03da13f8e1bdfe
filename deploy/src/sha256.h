// SHA-256 (FIPS 180-4).
#pragma once

#include <string>

namespace fpg::runtime {

// Hexadecimal, of a file's bytes. Throws InputError.
std::string sha256_of_file(const std::string& path);

// Of bytes in memory.
std::string sha256(const std::string& bytes);

}  // namespace fpg::runtime
