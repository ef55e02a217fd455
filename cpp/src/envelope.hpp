// Which of some straight lines is the lowest, and where that changes.
#pragma once
#include <cstdint>
#include <vector>

namespace focalkit {

/// Changes of the lowest line, row after row, each row's from the left: where, in which row, from and to which line.
struct Changes {
    std::vector<double> at;
    std::vector<std::int64_t> row, before, after;
};

/// The lower envelope over (0, inf) of ``lines`` straight lines in each of ``n`` rows.
///
/// ``intercept`` is (n, lines); ``slope`` (lines,), or (n, lines) where ``own_slopes``. ``first`` (n,) is set to the
/// lowest line next to 0: the least intercept, and of those within a share ``apart`` of it the least slope. Of equal
/// lines the first is taken.
Changes lower_envelope(const double* intercept, const double* slope, bool own_slopes, std::int64_t n,
                       std::int64_t lines, double apart, std::int64_t* first);

}  // namespace focalkit
