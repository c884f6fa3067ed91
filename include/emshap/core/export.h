#pragma once
// Symbols are hidden by default; what strangers link against is marked.
#define EMSHAP_API __attribute__((visibility("default")))
