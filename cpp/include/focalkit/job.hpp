// One checked call as plain data: what the bindings hand to the kernels. No instruction set of its own.
#pragma once
#include <cstddef>
#include <cstdint>

#include "focalkit/parameters.hpp"

namespace focalkit {

/// Storage types; half types are computed in float.
enum class Type : int { f32, f64, f16, bf16, i8, u8, i32, i64 };

/// Which function of the log-odds the loss is; see math/forms.hpp. From ``asymmetric`` on they are the sigmoid's; no
/// job names the last, by which a kernel computes some of ``poly``.
enum class Form : int { focal, poly, star, dft, gce, asymmetric, quality, varifocal, raised };

struct Half {
    std::uint16_t bits;
};
struct Bfloat {
    std::uint16_t bits;
};

/// An array addressed by (outer, class, inner) with strides in elements; rows are (outer, inner).
struct Array {
    void* data = nullptr;
    std::int64_t outer = 0, classes = 0, inner = 0;
};

struct Job {
    std::int64_t outer = 1, classes = 1, inner = 1;
    Type type = Type::f32;
    Array logits, grad, hess;
    Type target_type = Type::i64;
    bool sigmoid = false, soft = false;
    Array targets;
    bool trusted = false;  // soft targets are known to be right
    const double* sample_weight = nullptr;
    std::int64_t weight_outer = 0, weight_inner = 0, weight_classes = 0;
    const std::uint8_t* keep = nullptr;  // per row or (sigmoid) element: what hard example mining leaves of the counted
    ClassParameters parameters;          // in the type computed in
    double logit_scale = 1;              // multiplies the logits
    Form form = Form::focal;
    double form_number = 0;                   // its own parameter
    double form_gamma = 0;                    // asymmetric: gamma of the negatives
    double form_edge = 0, form_edge_low = 0;  // and the log-odds below which they have a loss, in two parts
    double label_smoothing = 0;
    std::int64_t ignore_index = -100;
    // Powers of two that keep weights of any size within the type computed in; see src/evaluate.cpp.
    double weight_unit = 1;  // multiplies every sample weight
    double unit = 1;         // multiplies every weight, given or not
    double restore = 1;      // what the losses of reduction "none" are multiplied by to undo both
    double scale = 1;        // of the derivatives: one over the denominator, and over the units
    bool weigh = false;      // whether the sum of the weights is asked for
    int order = 0;           // 0 loss, 1 gradient too, 2 Hessian too
    int power = 3;           // gamma: 0, 1, 2, or 3 for any
    void* losses = nullptr;  // one per row in the logits' type, or none
    bool losses_unrounded = false;
    bool stream = false;  // results too large for the caches
    std::int64_t rows_per_chunk = 1, chunks = 0;
    std::int64_t scratch_bytes = 0;

    FOCALKIT_SHARED_INLINE std::int64_t rows() const { return outer * inner; }
    /// How many losses there are: one per row, or per element of a sigmoid's.
    FOCALKIT_SHARED_INLINE std::int64_t units() const { return sigmoid ? rows() * classes : rows(); }
    /// Whether logits are scaled or adjusted before the loss.
    FOCALKIT_SHARED_INLINE bool adjusts() const { return logit_scale != 1 || parameters.adjustment; }
};

/// Loads once what another thread, or another process by a mapped file, may change meanwhile; an ordinary load may be
/// repeated by the compiler. For what becomes an address.
template <class T>
FOCALKIT_SHARED_INLINE T load_once(const T* from) {
    return *static_cast<const volatile T*>(from);
}

/// A sum that carries what rounding took from it (Knuth's two-sum): right to the last digit.
struct Sum {
    double high = 0, low = 0;

    FOCALKIT_SHARED_INLINE void add(double x) {
        const double sum = high + x, part = sum - high;
        low += (high - (sum - part)) + (x - part);
        high = sum;
    }
    FOCALKIT_SHARED_INLINE void add(const Sum& other) {
        add(other.high);
        low += other.low;
    }
    FOCALKIT_SHARED_INLINE double value() const { return high - high == 0 ? high + low : high; }  // inf has no low part
};

/// What a chunk adds up; combined in the order of the chunks, whatever thread did them.
struct Partial {
    Sum loss, weight;
    std::int64_t counted = 0;
    std::int64_t bad_targets = 0;
};

using ChunkFunction = void (*)(const Job&, std::int64_t chunk, void* scratch, Partial&);

/// Rows of logits (row, class), strides in elements, with one class id each: the pass of the diagnosis.
struct LogOddsJob {
    const void* logits = nullptr;
    bool wide = false;  // double, not float
    std::int64_t rows = 0, classes = 0, row_stride = 0, class_stride = 0;
    const std::int64_t* ids = nullptr;
    std::int64_t ignore_index = -100;
    double* m = nullptr;  // NaN where a logit is NaN or +inf
};

/// The kernels of one instruction set.
struct Kernels {
    const char* name;
    /// Fills rows_per_chunk, chunks and scratch_bytes; returns the kernel for the job.
    ChunkFunction (*plan)(Job&);
    /// Counts class ids (rows) or 0/1 targets (elements) and finds invalid ones.
    void (*count)(const Job&, std::int64_t first, std::int64_t last, Partial&);
    /// Returns how many rows have a log-odds that no ledger takes (NaN, -inf), ignored ones aside.
    std::int64_t (*log_odds)(const LogOddsJob&);
    /// Loss and -d1 at ``n`` log-odds, for one gamma or one each.
    void (*terms)(const double* m, std::int64_t n, const double* gamma, bool one_gamma, double* loss, double* grad);
    /// What the posteriors of rows of logits (n, classes) that a focal loss learned are in proportion to; NaN in a
    /// row where that takes logarithms.
    void (*posterior)(const double* z, std::int64_t n, std::int64_t classes, double gamma, double* out);
    /// Rows of ``posterior`` (n, classes) that are decided rightly, and those decided for each class, at every shift of
    /// the ``known`` classes' logarithms (n_known, shifts): what is added to the counts (shifts, classes) of the shift
    /// before, those of the first whole.
    void (*shifted)(const double* posterior, std::int64_t n, std::int64_t classes, const std::int64_t* targets,
                    const std::int64_t* known, std::int64_t n_known, const double* shift, std::int64_t shifts,
                    std::int64_t* right, std::int64_t* named);
};

const Kernels* kernels_baseline();
const Kernels* kernels_avx2();
const Kernels* kernels_avx512();

}  // namespace focalkit
