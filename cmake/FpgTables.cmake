# C++ headers made of the tables that the Python package reads, so that each stands in one file.
#
#   fpg_error_codes(TABLE HEADER)   {"code": "what it means"} -> fpg::runtime::codes::code
#   fpg_file_kinds(TABLE HEADER)    fpg/common/file_kinds.json -> fpg::runtime::kinds

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
