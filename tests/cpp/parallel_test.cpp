// Every index is visited once, for any number of threads; an exception of the body reaches the caller.
#include "common/cpu/parallel.h"

#include <atomic>
#include <stdexcept>
#include <vector>

#include "check.h"

int main() {
  for (int threads : {1, 2, 3, 8}) {
    for (int64_t count : {0, 1, 2, 7, 100}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
      fpg::cpu::parallel_for(count, threads, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
      bool once = true;
      for (const auto& n : calls) once = once && n == 1;
      CHECK(once, std::to_string(threads) + " threads, " + std::to_string(count) + " indices");
    }
    const std::string message = check::message<std::runtime_error>([&] {
      fpg::cpu::parallel_for(50, threads, [](int64_t i) {
        if (i == 7) throw std::runtime_error("seven");
      });
    });
    CHECK(message == "seven", std::to_string(threads) + " threads");
  }
  return check::result();
}
