#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace focalkit {

/// How a delimited text is cut, and which of its columns are numbers.
struct TextShape {
    std::vector<std::uint8_t> is_number;
    char delimiter, decimal, quote;
};

/// Columns of plain numbers out of a block of whole rows; the cells of the other columns are left to a CSV reader.
///
/// `out` is (columns of numbers, `rows`) float64, NaN where a cell is empty; `missing` counts these by column; `rest`
/// gets the other cells as they are written, row by row. False where anything is not plain: a number of another
/// grammar than digits, decimal mark and exponent, one that is no double, a row of another length, another number of
/// rows. What was written is then worth nothing, and the CSV reader has to read the block itself.
bool take_numbers(std::string_view block, const TextShape& shape, double* out, std::size_t rows,
                  std::vector<std::int64_t>& missing, std::string& rest);

}  // namespace focalkit
