// Python's arrays to one job. Anything unusual is refused with its reason: the caller then validates it with the texts
// of focalkit._core.contracts and comes back with contiguous arrays. So the fast path repeats no check.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "bindings/bindings.hpp"
#include "bindings/plan.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

class Buffer {
public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() {
        if (open_) PyBuffer_Release(&view_);
    }
    bool open(nb::handle object, bool writable) {
        open_ = PyObject_GetBuffer(object.ptr(), &view_,
                                   PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0)) == 0;
        if (!open_) PyErr_Clear();
        return open_;
    }
    const Py_buffer* operator->() const { return &view_; }
    const Py_buffer& view() const { return view_; }

private:
    Py_buffer view_{};
    bool open_ = false;
};

std::optional<Type> type_of(const Py_buffer& view, bool bfloat16) {
    const char* format = view.format ? view.format : "B";
    if (*format == '@' || *format == '=') ++format;
    if (format[0] == 0 || format[1] != 0) return std::nullopt;
    switch (format[0]) {
        case 'f': return Type::f32;
        case 'd': return Type::f64;
        case 'e': return Type::f16;
        case 'H': return bfloat16 ? std::optional(Type::bf16) : std::nullopt;
        case 'b': return Type::i8;
        case 'B':
        case '?': return Type::u8;
        case 'i': return Type::i32;
        case 'l': return sizeof(long) == 8 ? Type::i64 : Type::i32;
        case 'q': return Type::i64;
        default: return std::nullopt;
    }
}

bool is_float(Type type) { return type <= Type::bf16; }

/// Axes [from, to) as one: their stride in elements, if they are evenly spaced.
bool join(const Py_buffer& view, int from, int to, std::int64_t& stride) {
    stride = 0;
    std::int64_t expected = 0;
    bool first = true;
    for (int axis = to - 1; axis >= from; --axis) {
        if (view.shape[axis] == 1) continue;
        if (first) stride = view.strides[axis] / view.itemsize;
        else if (view.strides[axis] != expected) return false;
        first = false;
        expected = view.strides[axis] * view.shape[axis];
    }
    return true;
}

bool regular(const Py_buffer& view) {
    if (reinterpret_cast<std::uintptr_t>(view.buf) % static_cast<std::uintptr_t>(view.itemsize) != 0) return false;
    for (int axis = 0; axis < view.ndim; ++axis)
        if (view.strides[axis] % view.itemsize != 0) return false;
    return true;
}

/// An array shaped like the logits; class axis ``axis`` (-1: none).
bool shaped_like_logits(const Py_buffer& view, int axis, Array& array) {
    array.data = view.buf;
    array.outer = array.classes = 0;
    if (!regular(view)) return false;
    if (axis < 0) return join(view, 0, view.ndim, array.inner);
    array.classes = view.shape[axis] == 1 ? 0 : view.strides[axis] / view.itemsize;
    return join(view, 0, axis, array.outer) && join(view, axis + 1, view.ndim, array.inner);
}

bool same_shape(const Py_buffer& a, const Py_buffer& b) {
    return a.ndim == b.ndim &&
           (a.ndim == 0 || std::memcmp(a.shape, b.shape, sizeof(*a.shape) * static_cast<std::size_t>(a.ndim)) == 0);
}

/// First and last byte that an array touches.
void extent(const Py_buffer& view, const char*& low, const char*& high) {
    low = high = static_cast<const char*>(view.buf);
    for (int axis = 0; axis < view.ndim; ++axis) {
        if (view.shape[axis] == 0) {
            high = low;
            return;
        }
        const std::int64_t reach = view.strides[axis] * (view.shape[axis] - 1);
        (reach < 0 ? low : high) += reach;
    }
    high += view.itemsize;
}

bool disjoint(const Py_buffer& a, const Py_buffer& b) {
    const char *a_low, *a_high, *b_low, *b_high;
    extent(a, a_low, a_high);
    extent(b, b_low, b_high);
    return a_high <= b_low || b_high <= a_low;
}

bool same_memory(const Py_buffer& a, const Py_buffer& b) {
    return a.buf == b.buf && same_shape(a, b) &&
           std::memcmp(a.strides, b.strides, sizeof(*a.strides) * static_cast<std::size_t>(a.ndim)) == 0;
}

/// The largest weight, or -1 where one is no weight.
double largest_weight(const Py_buffer& view, const Job& job) {
    const std::int64_t classes = job.sigmoid ? job.classes : 1;
    double largest = 0;
    for (std::int64_t o = 0; o < job.outer; ++o)
        for (std::int64_t k = 0; k < classes; ++k) {
            const double* line = static_cast<const double*>(view.buf) + o * job.weight_outer + k * job.weight_classes;
            bool holds = true;
            for (std::int64_t i = 0; i < job.inner; ++i) {
                const double w = line[i * job.weight_inner];
                holds &= w >= 0 && w <= 1.7976931348623157e308;
                largest = w > largest ? w : largest;
            }
            if (!holds) return -1;
            if (job.weight_inner == 0 && job.weight_classes == 0 && classes > 1) break;
        }
    return largest;
}

/// Why a call is left to the checks of Python; null where it is not. The texts are for tests and for reports of bugs:
/// what the user reads is made by focalkit._core.contracts.
using Reason = const char*;

/// Python's arrays, held open during the call, and the job they make.
class Call {
public:
    Job job;

    /// ``bfloat16``: 1 where the logits (and results) are bits of bfloat16, 2 the targets. ``checked``: values and
    /// overlaps have been looked at.
    Call(const Plan& plan, int bfloat16, bool checked) : plan_(plan), bfloat16_(bfloat16), checked_(checked) {
        job.sigmoid = plan.sigmoid;
        job.trusted = checked;
    }

    Reason read_logits(nb::handle logits) {
        if (!z_.open(logits, false)) return "logits: not a buffer of a native type";
        const auto type = type_of(z_.view(), bfloat16_ & 1);
        if (!type || !is_float(*type)) return "logits: not a floating type of the kernels";
        job.type = *type;
        axis_ = plan_.class_axis < 0 ? plan_.class_axis + z_->ndim : plan_.class_axis;
        if (z_->ndim == 1 && plan_.sigmoid) axis_ = -1;
        else if (z_->ndim < 2 || axis_ < 0 || axis_ >= z_->ndim) return "logits: no class axis";
        if (axis_ >= 0) {
            job.classes = z_->shape[axis_];
            for (int a = 0; a < axis_; ++a) job.outer *= z_->shape[a];
        }
        for (int a = axis_ + 1; a < z_->ndim; ++a) job.inner *= z_->shape[a];
        if (job.classes == 0 && !plan_.sigmoid) return "logits: no class";
        if (job.classes == 1 && !plan_.sigmoid && !checked_) return "logits: one class, of which the caller warns";
        if (job.classes > std::int64_t{1} << 30) return "logits: more classes than an id of 32 bits tells apart";
        if (!plan_.parameters.fit(job.classes)) return "spec: a vector as long as other logits";
        if (job.type != Type::f64 && plan_.exceeds_float) return "spec: parameters beyond float32";
        if (!shaped_like_logits(z_.view(), axis_, job.logits)) return "logits: unaligned or unevenly strided";
        return nullptr;
    }

    Reason read_targets(nb::handle targets) {
        if (!y_.open(targets, false)) return "targets: not a buffer of a native type";
        const auto type = type_of(y_.view(), bfloat16_ & 2);
        if (!type) return "targets: not a type of the kernels";
        job.target_type = *type, job.soft = is_float(*type);
        // others that are ignored lie outside of [0, 1], where they stand out
        if (job.soft && plan_.sigmoid && !checked_ && (plan_.ignore_index == 0 || plan_.ignore_index == 1))
            return "targets: soft ones may be ignored";
        if (job.soft || plan_.sigmoid) {
            if (!same_shape(y_.view(), z_.view())) return "targets: not shaped like the logits";
            if (!shaped_like_logits(y_.view(), axis_, job.targets)) return "targets: unaligned or unevenly strided";
            return nullptr;
        }
        if (y_->ndim != z_->ndim - 1) return "targets: not one per row";
        for (int a = 0; a < y_->ndim; ++a)
            if (y_->shape[a] != z_->shape[a < axis_ ? a : a + 1]) return "targets: not one per row";
        job.targets.data = y_->buf;
        if (!regular(y_.view()) || !join(y_.view(), 0, axis_, job.targets.outer) ||
            !join(y_.view(), axis_, y_->ndim, job.targets.inner))
            return "targets: unaligned or unevenly strided";
        return nullptr;
    }

    Reason read_weights(nb::handle sample_weight) {
        if (sample_weight.is_none()) return nullptr;
        if (!w_.open(sample_weight, false) || type_of(w_.view(), false) != Type::f64)
            return "sample_weight: not float64";
        if (!regular(w_.view())) return "sample_weight: unaligned or unevenly strided";
        if (Reason why = place_weights(w_.view())) return why;
        job.sample_weight = static_cast<const double*>(w_->buf);
        const double largest = largest_weight(w_.view(), job);
        if (largest < 0) return "sample_weight: values";
        job.weight_unit = unit_of(largest, job.type == Type::f64);
        return nullptr;
    }

    Reason read_results(nb::handle grad, nb::handle hess, int order) {
        job.order = order;
        if (order > 0)
            if (Reason why = read_result(grad, g_, job.grad)) return why;
        if (order > 1)
            if (Reason why = read_result(hess, h_, job.hess)) return why;
        // written over the logits, probabilities that turn out wrong would cost them: the caller looks first
        if (order > 0 && job.soft && !checked_ && same_memory(g_.view(), z_.view())) return "out: over the logits";
        return nullptr;
    }

    Reason read_rows(nb::handle losses, nb::handle keep) {
        if (!losses.is_none()) {
            if (!l_.open(losses, true) || l_->len != job.units() * l_->itemsize) return "losses: another size";
            job.losses = l_->buf;
            job.losses_unrounded = l_->itemsize != z_->itemsize;
        }
        if (!keep.is_none()) {
            if (!k_.open(keep, false) || k_->itemsize != 1 || k_->len != job.units()) return "keep: another size";
            job.keep = static_cast<const std::uint8_t*>(k_->buf);
        }
        return nullptr;
    }

private:
    /// Weights of shape (n,), or one per target: the logits' shape without the class axis.
    Reason place_weights(const Py_buffer& weight) {
        const Py_buffer& logits = z_.view();
        if (job.sigmoid && same_shape(weight, logits)) {
            Array like;
            if (!shaped_like_logits(weight, axis_, like)) return "sample_weight: unaligned or unevenly strided";
            job.weight_outer = like.outer, job.weight_classes = like.classes, job.weight_inner = like.inner;
            return nullptr;
        }
        if (weight.ndim == 1 && logits.ndim > 1 && axis_ == 1 && weight.shape[0] == logits.shape[0]) {
            job.weight_outer = weight.strides[0] / 8;
            return nullptr;
        }
        if (job.sigmoid || weight.ndim != logits.ndim - 1) return "sample_weight: shape";
        for (int a = 0; a < weight.ndim; ++a)
            if (weight.shape[a] != logits.shape[a < axis_ ? a : a + 1]) return "sample_weight: shape";
        if (!join(weight, 0, axis_, job.weight_outer) || !join(weight, axis_, weight.ndim, job.weight_inner))
            return "sample_weight: unaligned or unevenly strided";
        return nullptr;
    }

    Reason read_result(nb::handle object, Buffer& buffer, Array& array) {
        if (!buffer.open(object, true)) return "out: not a writable buffer";
        if (!same_shape(buffer.view(), z_.view())) return "out: not shaped like the logits";
        if (type_of(buffer.view(), bfloat16_ & 1) != job.type) return "out: another type than the logits";
        if (!shaped_like_logits(buffer.view(), axis_, array)) return "out: unaligned or unevenly strided";
        if (checked_) return nullptr;
        const bool clear = (disjoint(buffer.view(), z_.view()) || same_memory(buffer.view(), z_.view())) &&
                           disjoint(buffer.view(), y_.view()) &&
                           (!job.sample_weight || disjoint(buffer.view(), w_.view()));
        return clear ? nullptr : "out: overlaps an input";
    }

    const Plan& plan_;
    int bfloat16_, axis_ = 0;
    bool checked_;
    Buffer z_, y_, w_, g_, h_, l_, k_;
};

/// The loss of a job that has its arrays; nothing where a target is out of range.
std::optional<double> run(const Plan& plan, Job& job, double normalizer) {
    plan.set(job);
    Outcome outcome;
    {
        const nb::gil_scoped_release released;
        outcome = evaluate(job, plan.reduction, normalizer, plan.alpha_unit(job));
    }
    if (outcome.bad_targets) return std::nullopt;
    return outcome.loss;
}

/// The loss; or, as a string, why the caller must check, or copy arrays, first.
nb::object call(const Plan& plan, nb::handle logits, nb::handle targets, nb::handle sample_weight, nb::handle grad,
                nb::handle hess, nb::handle losses, nb::handle keep, double normalizer, int order, int bfloat16,
                bool checked) {
    Call arrays(plan, bfloat16, checked);
    Reason why = arrays.read_logits(logits);
    if (!why) why = arrays.read_targets(targets);
    if (!why) why = arrays.read_weights(sample_weight);
    if (!why) why = arrays.read_results(grad, hess, order);
    if (!why) why = arrays.read_rows(losses, keep);
    if (why) return nb::str(why);
    const std::optional<double> loss = run(plan, arrays.job, normalizer);
    return loss ? nb::object(nb::float_(*loss)) : nb::object(nb::str("targets: values"));
}

/// Loss and, unless its address is 0, gradient, which are written, of logits and int64 targets that lie in C order at
/// these addresses: only alignment and the values of targets are checked. False where the caller must look.
bool call_at(const Plan& plan, std::uintptr_t logits, std::uintptr_t targets, std::uintptr_t grad, std::uintptr_t loss,
             std::int64_t outer, std::int64_t classes, std::int64_t inner, bool wide) {
    const std::uintptr_t size = wide ? 8 : 4;
    if (classes < (plan.sigmoid ? 1 : 2) || !plan.parameters.fit(classes) || (!wide && plan.exceeds_float))
        return false;
    if ((logits | grad | loss) % size != 0 || targets % 8 != 0) return false;
    const auto stride = [](std::int64_t size, std::int64_t step) { return size == 1 ? 0 : step; };
    const auto at = [&](std::uintptr_t address, std::int64_t per_place) {
        Array array;
        array.data = reinterpret_cast<void*>(address);
        array.outer = stride(outer, per_place * inner), array.inner = stride(inner, 1);
        array.classes = per_place == 1 ? 0 : stride(classes, inner);
        return array;
    };
    Job job;
    job.outer = outer, job.classes = classes, job.inner = inner;
    job.type = wide ? Type::f64 : Type::f32, job.target_type = Type::i64;
    job.sigmoid = plan.sigmoid;
    job.logits = at(logits, classes), job.grad = at(grad, classes);
    job.targets = at(targets, plan.sigmoid ? classes : 1);
    job.order = grad ? 1 : 0;
    const std::optional<double> value = run(plan, job, 0);
    if (!value) return false;
    if (wide) *reinterpret_cast<double*>(loss) = *value;
    else *reinterpret_cast<float*>(loss) = static_cast<float>(*value);
    return true;
}

}  // namespace

void bind_evaluate(nb::module_& module) {
    nb::class_<Plan>(module, "Plan")
        .def(nb::init<bool, int, double, std::int64_t, int, double, int, double, double, std::vector<double>,
                      std::optional<std::vector<double>>, std::optional<std::vector<double>>,
                      std::optional<std::vector<double>>, bool>())
        .def_prop_ro("exceeds_float", [](const Plan& plan) { return plan.exceeds_float; });
    module.def("evaluate", &call, nb::arg("plan"), nb::arg("logits"), nb::arg("targets"),
               nb::arg("sample_weight").none(), nb::arg("grad").none(), nb::arg("hess").none(),
               nb::arg("losses").none(), nb::arg("keep").none(), nb::arg("normalizer"), nb::arg("order"),
               nb::arg("bfloat16"), nb::arg("checked"));
    module.def("evaluate_at", &call_at);
}

}  // namespace focalkit
