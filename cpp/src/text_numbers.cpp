#include "text_numbers.hpp"

#include <algorithm>
#include <cfloat>
#include <charconv>
#include <cstring>
#include <limits>
#include <version>

namespace focalkit {
namespace {

/// Powers of ten that are doubles.
constexpr double ten_to[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr int most_digits = 19;  // of a number that no 64 bits overflow

bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

/// Any number, by the standard library where it reads doubles.
bool read_any([[maybe_unused]] const char* begin, [[maybe_unused]] const char* end, [[maybe_unused]] char decimal,
              [[maybe_unused]] double& value) {
#ifdef __cpp_lib_to_chars
    char text[64];
    const auto n = static_cast<std::size_t>(end - begin);
    if (n > sizeof text) return false;
    std::replace_copy(begin, end, text, decimal, '.');
    const auto [stop, error] = std::from_chars(text, text + n, value);
    return error == std::errc() && stop == text + n;
#else
    return false;
#endif
}

/// A number and where it ends; null where there is none. Exact: of a number with a mantissa below 2^53 and a power of
/// ten that is a double, one multiplication or division rounds once (Clinger 1990, How to read floating point numbers
/// accurately).
const char* read_number(const char* p, const char* end, char decimal, double& value) {
    const char* const begin = p;
    const bool negative = p < end && *p == '-';
    p += negative;
    std::uint64_t mantissa = 0;
    const auto digits = [&] {
        const char* const first = p;
        for (; p < end && is_digit(*p); ++p) mantissa = 10 * mantissa + static_cast<unsigned>(*p - '0');
        return p - first;
    };
    auto n = digits();
    std::int64_t exponent = 0;
    if (p < end && *p == decimal) {
        ++p;
        const auto fraction = digits();
        exponent = -fraction;
        n += fraction;
    }
    if (n == 0) return nullptr;
    if (p < end && (*p == 'e' || *p == 'E')) {
        ++p;
        const bool down = p < end && *p == '-';
        if (p < end && (*p == '-' || *p == '+')) ++p;
        const char* const first = p;
        int shift = 0;
        for (; p < end && is_digit(*p); ++p) shift = std::min(10 * shift + (*p - '0'), 100'000);
        if (p == first) return nullptr;
        exponent += down ? -shift : shift;
    }
    if (FLT_EVAL_METHOD == 0 && n <= most_digits && mantissa <= std::uint64_t(1) << 53 && exponent >= -22 &&
        exponent <= 22) {
        const auto whole = static_cast<double>(mantissa);
        const double size = exponent < 0 ? whole / ten_to[-exponent] : whole * ten_to[exponent];
        value = negative ? -size : size;
        return p;
    }
    return read_any(begin, p, decimal, value) ? p : nullptr;
}

/// The end of a cell that is left as it is.
const char* cell_end(const char* p, const char* end, char delimiter, char quote) {
    if (p < end && *p == quote) {
        for (++p;; ++p) {
            p = static_cast<const char*>(std::memchr(p, quote, static_cast<std::size_t>(end - p)));
            if (p == nullptr) return nullptr;
            if (++p == end || *p != quote) break;
        }
    }
    while (p < end && *p != delimiter && *p != '\n' && *p != '\r') ++p;
    return p;
}

}  // namespace

bool take_numbers(std::string_view block, const TextShape& shape, double* out, std::size_t rows,
                  std::vector<std::int64_t>& missing, std::string& rest) {
    const char* p = block.data();
    const char* const end = p + block.size();
    const auto n_columns = shape.is_number.size();
    const auto n_numbers = static_cast<std::size_t>(
        std::count_if(shape.is_number.begin(), shape.is_number.end(), [](std::uint8_t is_one) { return is_one != 0; }));
    const bool alone = n_columns - n_numbers == 1;
    const auto at_end_of_cell = [&] { return p == end || *p == shape.delimiter || *p == '\n' || *p == '\r'; };
    const auto skip_blanks = [&] {
        while (p < end && (*p == ' ' || *p == '\t') && *p != shape.delimiter) ++p;
    };
    missing.assign(n_numbers, 0);
    std::size_t row = 0;
    while (p < end) {
        if (*p == '\n') {
            ++p;
            continue;
        }
        if (*p == '\r' && p + 1 < end && p[1] == '\n') {
            p += 2;
            continue;
        }
        if (row == rows) return false;
        std::size_t number = 0;
        bool first = true;
        for (std::size_t column = 0; column < n_columns; ++column) {
            if (column != 0) {
                if (p == end || *p != shape.delimiter) return false;
                ++p;
            }
            if (shape.is_number[column] != 0) {
                double& value = out[number * rows + row];
                skip_blanks();
                const bool quoted = p < end && *p == shape.quote;
                p += quoted;
                if (quoted ? p < end && *p == shape.quote : at_end_of_cell()) {
                    value = std::numeric_limits<double>::quiet_NaN();
                    ++missing[number];
                } else {
                    p = read_number(p, end, shape.decimal, value);
                    if (p == nullptr) return false;
                }
                if (quoted && (p == end || *p++ != shape.quote)) return false;
                skip_blanks();
                if (!at_end_of_cell()) return false;
                ++number;
            } else {
                const char* const stop = cell_end(p, end, shape.delimiter, shape.quote);
                if (stop == nullptr) return false;
                if (!first) rest += shape.delimiter;
                if (alone && stop == p) {  // a line with nothing on it would be no row
                    rest.append(2, shape.quote);
                } else {
                    rest.append(p, stop);
                }
                first = false;
                p = stop;
            }
        }
        if (p < end && *p == '\r') ++p;
        if (p < end && *p++ != '\n') return false;
        rest += '\n';
        ++row;
    }
    return row == rows;
}

}  // namespace focalkit
