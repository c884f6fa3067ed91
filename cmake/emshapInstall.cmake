# cmake --install and find_package(emshap). The package can be moved: paths inside it are relative.
include(CMakePackageConfigHelpers)
set(EMSHAP_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/emshap)

set(_left_out)
if(NOT EMSHAP_HAVE_IO)
  set(_left_out PATTERN "emshap/io" EXCLUDE)
endif()
if(NOT EMSHAP_HAVE_STREAM)
  list(APPEND _left_out PATTERN "emshap/stream" EXCLUDE)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT development FILES_MATCHING PATTERN "*.h" ${_left_out})

# One export set a component, so that emshapConfig.cmake looks for the dependencies of io only where they are needed.
foreach(_component core io stream)
  if(TARGET emshap_${_component})
    install(TARGETS emshap_${_component} EXPORT emshap_${_component}_targets
            RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime
            LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development
            ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
    set_target_properties(emshap_${_component} PROPERTIES INSTALL_RPATH "$ORIGIN")
    install(EXPORT emshap_${_component}_targets FILE emshap_${_component}_targets.cmake NAMESPACE emshap::
            DESTINATION ${EMSHAP_PACKAGE_DIR} COMPONENT development)
  endif()
endforeach()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/emshapConfig.cmake.in
  ${PROJECT_BINARY_DIR}/emshapConfig.cmake INSTALL_DESTINATION ${EMSHAP_PACKAGE_DIR}
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/emshapConfigVersion.cmake
  VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/emshapConfig.cmake ${PROJECT_BINARY_DIR}/emshapConfigVersion.cmake
        DESTINATION ${EMSHAP_PACKAGE_DIR} COMPONENT development)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/THIRD_PARTY_LICENSES
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT runtime)
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/README.zh-CN.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT development)
