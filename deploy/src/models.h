// What lies beside a model file, for the record.
#pragma once

#include <optional>
#include <string>

namespace fpg::runtime {

// The licence that a model card's front matter states; empty without one, nothing without a front matter.
std::optional<std::string> licence_of(const std::string& card);

}  // namespace fpg::runtime
