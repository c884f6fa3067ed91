#pragma once
// Numbers and names as people read them.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/core/export.h"

namespace emshap::report {

/// Three significant digits, more where they stand before the point, thousands in groups: "0.0123", "12.3",
/// "12,346", "1.23e-07". Minus is U+2212; "NaN", "∞" where not finite.
EMSHAP_API std::string number_text(double value);
/// The same with a fixed number of decimals (0..12): "12,345.60".
EMSHAP_API std::string fixed_text(double value, int decimals);
/// Plus sign for positive values.
EMSHAP_API std::string signed_text(double value, int decimals);
/// A standard error with these decimals; "<0.01" where it would round to 0, "?" where it is not known.
EMSHAP_API std::string error_text(double value, int decimals);
/// "12.3 %"; "–" where not known.
EMSHAP_API std::string percent_text(double share);
/// Decimals that show a value as large as `scale` with four significant digits, 0..9.
EMSHAP_API int decimals_for(double scale);
/// The p-quantile of the finite values (linear between them); NaN without any.
EMSHAP_API double finite_quantile(std::vector<double> values, double p);
/// At most `width` columns of a terminal; what is longer loses its middle to an ellipsis, so that names which
/// differ at either end still differ.
EMSHAP_API std::string short_text(std::string_view text, std::int64_t width);
/// Text for HTML and XML, in elements and in quoted attributes: control characters become spaces, invalid
/// UTF-8 U+FFFD, and & < > " ' references.
EMSHAP_API std::string escape_markup(std::string_view text);

}  // namespace emshap::report
