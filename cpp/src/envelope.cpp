#include "envelope.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace focalkit {
namespace {

/// A line on the envelope of those before it, and where it becomes the lowest.
struct Piece {
    std::int64_t line;
    double intercept, slope, start;
};

}  // namespace

Changes lower_envelope(const double* intercept, const double* slope, bool own_slopes, std::int64_t n,
                       std::int64_t lines, double apart, std::int64_t* first) {
    Changes out;
    std::vector<std::int64_t> order(static_cast<std::size_t>(lines));
    std::vector<Piece> pieces(static_cast<std::size_t>(lines));
    // from the steepest down, which is the order in which the lines become the lowest
    const auto sort = [&](const double* s) {
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [s](std::int64_t a, std::int64_t b) { return s[a] > s[b]; });
    };
    if (!own_slopes) sort(slope);
    for (std::int64_t row = 0; row < n; ++row) {
        const double* y = intercept + row * lines;
        const double* s = own_slopes ? slope + row * lines : slope;
        if (own_slopes) sort(s);
        std::size_t size = 0;
        for (const std::int64_t line : order) {
            double start = -std::numeric_limits<double>::infinity();
            while (size > 0) {
                const Piece& top = pieces[size - 1];
                const double fall = top.slope - s[line], rise = y[line] - top.intercept;
                if (fall > 0) start = rise / fall;
                else  // parallel: the lower stays, of equal ones the first
                    start =
                        rise < 0 ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
                if (start > top.start) break;
                --size;
                start = -std::numeric_limits<double>::infinity();
            }
            if (start < std::numeric_limits<double>::infinity()) pieces[size++] = {line, y[line], s[line], start};
        }
        std::size_t i = 0;
        while (i + 1 < size && pieces[i + 1].start <= 0) ++i;
        const double bar = pieces[i].intercept + apart * std::abs(pieces[i].intercept);
        while (i + 1 < size && pieces[i + 1].intercept <= bar) ++i;
        first[row] = pieces[i].line;
        for (; i + 1 < size; ++i) {
            out.at.push_back(pieces[i + 1].start);
            out.row.push_back(row);
            out.before.push_back(pieces[i].line);
            out.after.push_back(pieces[i + 1].line);
        }
    }
    return out;
}

}  // namespace focalkit
