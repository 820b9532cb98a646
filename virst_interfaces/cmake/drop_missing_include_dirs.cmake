# The CMake exports of the ROS wheels name include folders of the machine that built them, and CMake
# refuses an imported target whose include folder is missing. Drops those folders from the targets
# that the project has found; where every folder is there, as in an installed ROS 2, nothing changes.
# Before CMake 3.21, which cannot list imported targets, it does nothing.
function(virst_drop_missing_include_dirs)
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
    if(NOT "${_kept}" STREQUAL "${_dirs}")
      set_target_properties(${_target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_kept}")
    endif()
  endforeach()
endfunction()
