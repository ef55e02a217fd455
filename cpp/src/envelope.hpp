// Which decision costs least as the weight of one class grows, and where that changes.
#pragma once
#include <cstdint>
#include <vector>

namespace focalkit {

/// Changes of the cheapest decision, row after row, each row's from the left: at which weight, in which row, from and
/// to which decision.
struct Changes {
    std::vector<double> at;
    std::vector<std::int64_t> row, before, after;
};

/// Rows of probabilities, weights of the classes, and costs, rows the truth.
struct WeighedCosts {
    const double* p;        ///< (classes, n)
    const double* weights;  ///< (classes,)
    const double* costs;    ///< (classes, classes), or (n, classes, classes) where each row has its own
    bool own_costs;
    std::int64_t n, classes;
};

/// The least of sum_k w_k p_k C[k, j] over the decisions j, for w_c in (0, inf) and the other weights as given.
///
/// Each decision's cost is a straight line in w_c. ``first`` (n,) is set to the decision next to 0: the least
/// intercept, and of those within a share ``apart`` of it the least slope. Of equal lines the first is taken. A row
/// without probability of class ``c`` has no change.
Changes cheapest_changes(const WeighedCosts& given, std::int64_t c, double apart, std::int64_t* first);

}  // namespace focalkit
