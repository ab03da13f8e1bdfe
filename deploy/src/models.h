// Models as files: the twin of fpg/common/models.py.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace fpg::runtime {

// STEM.spec.json next to a model file.
std::filesystem::path sidecar(const std::filesystem::path& model);

// The licence that the front matter of a model card states; empty if it states none, nullopt without a front matter.
std::optional<std::string> licence_of(const std::string& card);

}  // namespace fpg::runtime
