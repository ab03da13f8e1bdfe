// What arrives in a folder: the twin of fpg/cli/watch.py.

#include <sys/stat.h>

#include <map>
#include <set>
#include <tuple>

#include "fpg_runtime/results.h"

namespace fpg::runtime {
namespace {

constexpr int kSettled = 2;  // looks from which on a file has arrived, if its size and time stayed the same

using State = std::tuple<off_t, time_t, long>;  // bytes, time of the last change

}  // namespace

struct Arrivals::Impl {
  std::string folder;
  std::set<std::string> given;
  std::map<std::string, std::pair<State, int>> waiting;  // looks with the same state
};

Arrivals::Arrivals(std::string folder) : impl_(std::make_unique<Impl>()) {
  impl_->folder = std::move(folder);
  walk_folder(impl_->folder);
}

Arrivals::~Arrivals() = default;

std::vector<std::string> Arrivals::look() {
  std::vector<std::string> fresh, found;
  try {
    found = walk_folder(impl_->folder).media;
  } catch (const InputError&) {
    return fresh;  // away: it is waited for
  }
  for (const std::string& path : found) {
    struct stat status{};
    if (impl_->given.count(path) != 0 || stat(path.c_str(), &status) != 0) continue;
    const State state{status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
    auto& [before, looks] = impl_->waiting.try_emplace(path, state, 0).first->second;
    looks = state == before ? looks + 1 : 1;
    before = state;
    if (looks > kSettled && status.st_size > 0) fresh.push_back(path);
  }
  for (const std::string& path : fresh) {
    impl_->given.insert(path);
    impl_->waiting.erase(path);
  }
  return fresh;
}

}  // namespace fpg::runtime
