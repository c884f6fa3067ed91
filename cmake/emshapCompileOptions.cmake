# Build-only options: nothing here is part of the public interface of the targets.
set(EMSHAP_WARNING_FLAGS -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-align -Wpedantic)
# GCC 12 warns of overlapping copies inside std::string where there are none (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND EMSHAP_WARNING_FLAGS -Wno-restrict)
endif()
if(EMSHAP_WARNINGS_AS_ERRORS)
  list(APPEND EMSHAP_WARNING_FLAGS -Werror)
endif()

if(EMSHAP_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${EMSHAP_SANITIZE}>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=all>)
  add_link_options(-fsanitize=${EMSHAP_SANITIZE})
  # Half of the compile time of UBSan's checks goes into those of each pointer that is used, most of which the address
  # sanitizer catches as well; EMSHAP_SANITIZE_ALL has them.
  if(EMSHAP_SANITIZE MATCHES "undefined" AND NOT EMSHAP_SANITIZE_ALL)
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize=null,vptr,object-size,pointer-overflow,alignment>)
  endif()
  # Eigen takes its blocks from another allocator where it sees the address sanitizer. Files compiled with and without it
  # are linked together (src/cpu) and share Eigen's inline functions, so all of them are told the same.
  add_compile_definitions(EIGEN_MALLOC_ALREADY_ALIGNED=0)
endif()

# No contraction: a fused multiply-add is written where it is meant, so that the vector body and the tail of a
# loop, and one build and the next, compute the same bits.
function(emshap_target_options target)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:${EMSHAP_WARNING_FLAGS}> $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
endfunction()
