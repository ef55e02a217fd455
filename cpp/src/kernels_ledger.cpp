// Compiled once per instruction set, beside kernels.cpp.
#include "focalkit/ledger.hpp"

#define FOCALKIT_JOIN_(a, b) a##b
#define FOCALKIT_JOIN(a, b) FOCALKIT_JOIN_(a, b)
#define FOCALKIT_TEXT_(a) #a
#define FOCALKIT_TEXT(a) FOCALKIT_TEXT_(a)

namespace focalkit {

const LedgerKernels* FOCALKIT_JOIN(ledger_kernels_, FOCALKIT_ISA)() {
    static const LedgerKernels table{FOCALKIT_TEXT(FOCALKIT_ISA), FOCALKIT_ISA::ledger_log_odds,
                                     FOCALKIT_ISA::ledger_terms};
    return &table;
}

}  // namespace focalkit
