// The little that these tests need from a framework: CHECK counts and prints, result() is main's exit code.
#pragma once

#include <iostream>
#include <string>

namespace check {

inline int failures = 0;
inline int checks = 0;

inline void that(bool ok, const char* expression, const std::string& context, const char* file, int line) {
  ++checks;
  if (ok) return;
  ++failures;
  std::cerr << file << ":" << line << ": " << expression << " is false" << (context.empty() ? "" : " for " + context) << "\n";
}

template <class Error, class Call>
std::string message(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "(nothing was thrown)";
}

inline int result() {
  std::cerr << checks << " checks, " << failures << " failed\n";
  return failures == 0 && checks > 0 ? 0 : 1;
}

}  // namespace check

#define CHECK(expression, context) check::that((expression), #expression, (context), __FILE__, __LINE__)
