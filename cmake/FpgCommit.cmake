# Writes HEADER with the commit of the source in SOURCE, at every build, and only where it has changed:
#   cmake -DSOURCE=... -DHEADER=... -P FpgCommit.cmake
execute_process(COMMAND git -C "${SOURCE}" describe --always --abbrev=40 --dirty "--exclude=*"
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "")
endif()
file(CONFIGURE OUTPUT "${HEADER}" @ONLY CONTENT "// Made when the runtime is built.
#pragma once

#define FPG_COMMIT \"@commit@\"
")
