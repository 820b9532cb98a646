# The message wheels' CMake exports name include folders of the machine that built them, and CMake
# refuses an imported target whose include folder is missing. Drops those folders; given to CMake as
# CMAKE_PROJECT_INCLUDE, so that the wheels stay as they are.
include_guard(GLOBAL)

function(_virst_drop_missing_include_dirs)
  get_property(_targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(_target IN LISTS _targets)
    get_target_property(_dirs ${_target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT _dirs)
      continue()
    endif()
    set(_kept)
    foreach(_dir IN LISTS _dirs)
      if(_dir MATCHES "^\\$<" OR EXISTS "${_dir}")
        list(APPEND _kept "${_dir}")
      endif()
    endforeach()
    set_target_properties(${_target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_kept}")
  endforeach()
endfunction()

# After the project's own find_package calls.
cmake_language(DEFER CALL _virst_drop_missing_include_dirs)
