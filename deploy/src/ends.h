// Where the data of a file end, for containers in which FFmpeg does not check: the twin of fpg/data/ends.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace fpg::runtime {

// Whether a stream of an Ogg file begins and has no last page, or the file ends inside a page.
bool lacks_ogg_end(const std::string& path);

// How many bytes of an MPEG transport stream come before trailing zeros; nullopt if it is no such stream, or has none.
std::optional<int64_t> transport_stream_end(const std::string& path);

}  // namespace fpg::runtime
