// The pass of the diagnosis: logits to log-odds of the true class, and log-odds to sums per class and bin.
#pragma once
#include <cstdint>

namespace focalkit {

/// Rows of logits (row, class), strides in elements, with one class id each.
struct LogOddsJob {
    const void* logits = nullptr;
    bool wide = false;  // double, not float
    std::int64_t rows = 0, classes = 0, row_stride = 0, class_stride = 0;
    const std::int64_t* ids = nullptr;
    std::int64_t ignore_index = -100;
    double* m = nullptr;  // NaN where a logit is NaN or +inf
};

/// What each instruction set brings for it.
struct LedgerKernels {
    const char* name;
    /// Returns how many rows have a log-odds that no ledger takes (NaN, -inf), ignored ones aside.
    std::int64_t (*log_odds)(const LogOddsJob&);
    /// Loss and -d1 at ``n`` log-odds, for one gamma or one each.
    void (*terms)(const double* m, std::int64_t n, const double* gamma, bool one_gamma, double* loss, double* grad);
};

const LedgerKernels* ledger_kernels_baseline();
const LedgerKernels* ledger_kernels_avx2();
const LedgerKernels* ledger_kernels_avx512();

}  // namespace focalkit
