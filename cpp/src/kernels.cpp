// Compiled once per instruction set; FOCALKIT_ISA names it and its namespace.
#include "focalkit/kernels/held_out.hpp"
#include "focalkit/kernels/log_odds.hpp"
#include "focalkit/kernels/plan.hpp"
#include "rows.hpp"

FOCALKIT_ROWS(extern)

#define FOCALKIT_JOIN_(a, b) a##b
#define FOCALKIT_JOIN(a, b) FOCALKIT_JOIN_(a, b)
#define FOCALKIT_TEXT_(a) #a
#define FOCALKIT_TEXT(a) FOCALKIT_TEXT_(a)

namespace focalkit {

const Kernels* FOCALKIT_JOIN(kernels_, FOCALKIT_ISA)() {
    static const Kernels table{FOCALKIT_TEXT(FOCALKIT_ISA),   FOCALKIT_ISA::plan,         FOCALKIT_ISA::count,
                               FOCALKIT_ISA::ledger_log_odds, FOCALKIT_ISA::ledger_terms, FOCALKIT_ISA::posterior,
                               FOCALKIT_ISA::shifted};
    return &table;
}

}  // namespace focalkit
