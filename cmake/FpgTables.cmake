# C++ headers made of the tables that the Python package reads, so that each stands in one file.
#
#   fpg_error_codes(TABLE HEADER)   {"code": "what it means"} -> fpg::runtime::codes::code
#   fpg_file_kinds(TABLE HEADER)    fpg/common/file_kinds.json -> fpg::runtime::kinds
#   fpg_json(TABLE HEADER NAME)     a JSON file, as it is -> fpg::runtime::NAME
#   fpg_media_tags(TABLE HEADER)    fpg/record/media_tags.json -> fpg::runtime::tags

function(fpg_error_codes table header)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${table}")
  file(READ "${table}" text)
  string(JSON count LENGTH "${text}")
  math(EXPR last "${count} - 1")
  set(lines "")
  foreach(i RANGE ${last})
    string(JSON code MEMBER "${text}" ${i})
    string(JSON meaning GET "${text}" "${code}")
    string(APPEND lines "inline constexpr const char* ${code} = \"${code}\";  // ${meaning}\n")
  endforeach()
  file(CONFIGURE OUTPUT "${header}" @ONLY CONTENT
"// Made from fpg/common/error_codes.json: what `InputError::code` and `error_code` in the JSON may be.
#pragma once

namespace fpg::runtime::codes {

@lines@
}  // namespace fpg::runtime::codes
")
endfunction()

# Words of a JSON array, quoted and with commas.
function(_fpg_words out text)
  string(JSON count LENGTH "${text}" ${ARGN})
  math(EXPR last "${count} - 1")
  set(words "")
  foreach(i RANGE ${last})
    string(JSON word GET "${text}" ${ARGN} ${i})
    list(APPEND words "\"${word}\"")
  endforeach()
  list(JOIN words ", " words)
  set(${out} "${words}" PARENT_SCOPE)
endfunction()

function(fpg_file_kinds table header)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${table}")
  file(READ "${table}" text)
  string(JSON count LENGTH "${text}" suffixes)
  math(EXPR last "${count} - 1")
  set(kinds "")
  foreach(i RANGE ${last})
    string(JSON kind MEMBER "${text}" suffixes ${i})
    _fpg_words(words "${text}" suffixes "${kind}")
    string(APPEND kinds "    {\"${kind}\", {${words}}},\n")
  endforeach()
  string(JSON count LENGTH "${text}" signatures)
  math(EXPR last "${count} - 1")
  set(signatures "")
  foreach(i RANGE ${last})
    foreach(field at hex is)
      string(JSON ${field} GET "${text}" signatures ${i} ${field})
    endforeach()
    string(REGEX REPLACE "(..)" "\\\\x\\1" bytes "${hex}")
    string(LENGTH "${hex}" length)
    math(EXPR length "${length} / 2")
    string(APPEND signatures "    {${at}, {\"${bytes}\", ${length}}, \"${is}\"},\n")
  endforeach()
  file(CONFIGURE OUTPUT "${header}" @ONLY CONTENT
"// Made from fpg/common/file_kinds.json: what a file is by its name and by its first bytes.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace fpg::runtime::kinds {

inline const std::vector<std::pair<std::string, std::set<std::string>>> kSuffixes = {
@kinds@};

struct Signature {
  size_t at;
  std::string bytes;
  const char* is;
};

inline const std::vector<Signature> kSignatures = {
@signatures@};

}  // namespace fpg::runtime::kinds
")
endfunction()

function(fpg_json table header name)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${table}")
  file(READ "${table}" text)
  file(RELATIVE_PATH source "${PROJECT_SOURCE_DIR}" "${table}")
  file(CONFIGURE OUTPUT "${header}" @ONLY CONTENT
"// Made from @source@.
#pragma once

namespace fpg::runtime {

inline constexpr const char* @name@ = R\"json(@text@)json\";

}  // namespace fpg::runtime
")
endfunction()

function(fpg_media_tags table header)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${table}")
  file(READ "${table}" text)
  string(JSON count LENGTH "${text}")
  math(EXPR last "${count} - 1")
  set(tags "")
  foreach(i RANGE ${last})
    string(JSON question MEMBER "${text}" ${i})
    _fpg_words(words "${text}" "${question}")
    string(APPEND tags "    {\"${question}\", {${words}}},\n")
  endforeach()
  file(CONFIGURE OUTPUT "${header}" @ONLY CONTENT
"// Made from fpg/record/media_tags.json: tags of media files that say who made them, in the order in which they count.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace fpg::runtime::tags {

inline const std::vector<std::pair<std::string, std::vector<std::string>>> kTags = {
@tags@};

}  // namespace fpg::runtime::tags
")
endfunction()
