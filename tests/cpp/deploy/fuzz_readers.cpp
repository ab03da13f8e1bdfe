// Fuzzes the runtime's readers under the sanitizers: `fuzz_readers READER CORPUS SECONDS [SEED]`.
//
// READER is sidecar, images, videos or needed; CORPUS a folder of valid files (tests/data/fuzz/READER). Mutated copies are read
// until the time is up. Any error other than InputError, a reading that takes more than 30 s, or a report of a sanitizer ends the
// program and leaves the file in the working folder as `fuzz-READER-...`.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"
#include "output.h"
#include "video.h"

namespace {

using namespace fpg::runtime;
using Bytes = std::vector<uint8_t>;

constexpr unsigned kHangSeconds = 30;

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  size_t below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  // One to eight changes of bits, numbers and blocks, now and then a piece of another file.
  Bytes operator()(Bytes data, const std::vector<Bytes>& others) {
    for (size_t changes = size_t{1} << below(4); changes > 0; --changes) {
      if (data.empty()) data.resize(8);
      const size_t at = below(2) == 0 ? below(std::min<size_t>(data.size(), 128)) : below(data.size());
      const auto here = data.begin() + static_cast<std::ptrdiff_t>(at);
      const auto until = [&](size_t most) {
        return data.begin() + static_cast<std::ptrdiff_t>(std::min(data.size(), at + 1 + below(most)));
      };
      switch (below(8)) {
        case 0:
          data[at] ^= static_cast<uint8_t>(1U << below(8));
          break;
        case 1:
          data[at] = static_cast<uint8_t>(below(256));
          break;
        case 2:
          number(data, at);
          break;
        case 3:
          data.erase(here, until(64));
          break;
        case 4: {
          const Bytes block(here, until(64));
          data.insert(here, block.begin(), block.end());
          break;
        }
        case 5: {
          Bytes noise(1 + below(16));
          for (uint8_t& byte : noise) byte = static_cast<uint8_t>(below(256));
          data.insert(here, noise.begin(), noise.end());
          break;
        }
        case 6:
          if (below(3) == 0) data.resize(at);
          break;
        default: {
          const Bytes& other = others[below(others.size())];
          const size_t start = below(other.size()), length = std::min(other.size() - start, 1 + below(256));
          data.insert(here, other.begin() + static_cast<std::ptrdiff_t>(start),
                      other.begin() + static_cast<std::ptrdiff_t>(start + length));
        }
      }
    }
    return data;
  }

 private:
  void number(Bytes& data, size_t at) {
    constexpr uint64_t interesting[] = {0,      1,          0x7f,       0x80,       0xff,       0x7fff,
                                        0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 1ULL << 62, ~0ULL};
    const uint64_t value = interesting[below(std::size(interesting))];
    const size_t size = size_t{1} << below(4);
    const bool big = below(2) == 0;
    for (size_t i = 0; i < size && at + i < data.size(); ++i)
      data[at + i] = static_cast<uint8_t>(value >> 8 * (big ? size - 1 - i : i));
  }

  std::mt19937_64 random_;
};

void read_videos(const std::string& path, const char* decode) {
  Options options;
  options.frames = 4;
  options.decode = decode;
  Notes notes;
  read_input(path, options, [](const Frame&) { return true; }, notes);
}

// Reads one file of that kind; `suffix` is that of the mutated file.
std::function<void(const std::string&)> reader_of(const std::string& name) {
  if (name == "images") {
    return [](const std::string& path) {
      Notes notes;
      read_image(path, notes);
    };
  }
  if (name == "videos") return [](const std::string& path) { read_videos(path, "whole"); };
  if (name == "needed") return [](const std::string& path) { read_videos(path, "needed"); };
  if (name == "sidecar") {
    return [](const std::string& path) {
      const std::string model = (std::filesystem::path(path).parent_path() / "model.xml").string();
      std::ofstream(model).put('x');
      std::filesystem::copy_file(path, model.substr(0, model.size() - 4) + ".spec.json",
                                 std::filesystem::copy_options::overwrite_existing);
      const EngineSpec spec = read_spec(model);
      RunRecord record;
      record.models = {{{model, model}, spec}};
      head_of(Options(), record);
    };
  }
  std::fprintf(stderr, "READER: expected sidecar, images, videos or needed, got %s\n", name.c_str());
  std::exit(2);
}

Bytes content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: fuzz_readers READER CORPUS SECONDS [SEED]\n");
    return 2;
  }
  const std::string name = argv[1];
  const uint64_t seed = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 1;
  const auto read = reader_of(name);
  std::vector<Bytes> seeds;
  std::vector<std::string> suffixes;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[2])) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& path : files) {
    seeds.push_back(content(path));
    suffixes.push_back(path.extension().string());
  }
  if (seeds.empty()) {
    std::fprintf(stderr, "%s holds no files\n", argv[2]);
    return 2;
  }
  const std::string stem = "fuzz-" + name + "-" + std::to_string(getpid());
  std::filesystem::create_directory(stem);
  Mutator mutate(seed);
  const auto ends = std::chrono::steady_clock::now() + std::chrono::duration<double>(std::atof(argv[3]));
  size_t count = 0, refused = 0;
  for (; std::chrono::steady_clock::now() < ends; ++count) {
    const size_t which = mutate.below(seeds.size());
    const Bytes data = mutate(seeds[which], seeds);
    const std::string path = (std::filesystem::path(stem) / ("input" + suffixes[which])).string();
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
    alarm(kHangSeconds);
    try {
      read(path);
    } catch (const InputError&) {
      ++refused;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "FOUND %s: %s (seed %llu)\n", path.c_str(), error.what(), static_cast<unsigned long long>(seed));
      return 1;
    }
    alarm(0);
  }
  std::filesystem::remove_all(stem);
  std::printf("%s: %zu files, %zu refused\n", name.c_str(), count, refused);
  return 0;
}
