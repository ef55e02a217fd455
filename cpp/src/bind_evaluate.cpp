// Python's arrays to one job. Anything unusual is left to the caller (status "slow"), who checks it with the
// texts of focalkit._checks and comes back with plain arrays: so the quick path repeats no check.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "bind.hpp"
#include "evaluate.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

/// A spec in the form the kernels read; made once per spec.
struct Plan {
    bool sigmoid;
    Reduction reduction;
    double label_smoothing;
    std::int64_t ignore_index;
    int class_axis;
    int power;
    std::vector<double> gamma, alpha, alpha_other;
    std::vector<float> gamma_f, alpha_f, alpha_other_f;

    Plan(bool sigmoid, int reduction, double label_smoothing, std::int64_t ignore_index, int class_axis,
         std::vector<double> gamma, std::optional<std::vector<double>> alpha)
        : sigmoid(sigmoid),
          reduction(static_cast<Reduction>(reduction)),
          label_smoothing(label_smoothing),
          ignore_index(ignore_index),
          class_axis(class_axis),
          gamma(std::move(gamma)) {
        const double g = this->gamma.size() == 1 ? this->gamma[0] : -1;
        power = g == 0 ? 0 : g == 1 ? 1 : g == 2 ? 2 : 3;
        if (alpha) this->alpha = std::move(*alpha);
        for (double a : this->alpha) alpha_other.push_back(1 - a);
        gamma_f.assign(this->gamma.begin(), this->gamma.end());
        alpha_f.assign(this->alpha.begin(), this->alpha.end());
        alpha_other_f.assign(alpha_other.begin(), alpha_other.end());
    }

    bool fits(std::int64_t classes) const {
        const auto ok = [&](const auto& v) { return v.size() <= 1 || static_cast<std::int64_t>(v.size()) == classes; };
        return ok(gamma) && ok(alpha);
    }
};

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

bool apart(const Py_buffer& a, const Py_buffer& b) {
    const char *a_low, *a_high, *b_low, *b_high;
    extent(a, a_low, a_high);
    extent(b, b_low, b_high);
    return a_high <= b_low || b_high <= a_low;
}

bool same_memory(const Py_buffer& a, const Py_buffer& b) {
    return a.buf == b.buf && same_shape(a, b) &&
           std::memcmp(a.strides, b.strides, sizeof(*a.strides) * static_cast<std::size_t>(a.ndim)) == 0;
}

bool weights_hold(const Py_buffer& view, const Job& job) {
    const std::int64_t classes = job.sigmoid ? job.classes : 1;
    for (std::int64_t o = 0; o < job.outer; ++o)
        for (std::int64_t k = 0; k < classes; ++k) {
            const double* line = static_cast<const double*>(view.buf) + o * job.weight_outer + k * job.weight_classes;
            bool holds = true;
            for (std::int64_t i = 0; i < job.inner; ++i) {
                const double w = line[i * job.weight_inner];
                holds &= w >= 0 && w <= 1.7976931348623157e308;
            }
            if (!holds) return false;
            if (job.weight_inner == 0 && job.weight_classes == 0 && classes > 1) break;
        }
    return true;
}

bool read_weights(const Py_buffer& weight, const Py_buffer& logits, int axis, bool checked, Job& job) {
    if (type_of(weight, false) != Type::f64 || !regular(weight)) return false;
    if (job.sigmoid && same_shape(weight, logits)) {
        Array like;
        if (!shaped_like_logits(weight, axis, like)) return false;
        job.weight_outer = like.outer, job.weight_classes = like.classes, job.weight_inner = like.inner;
    } else {
        // (n,), or one per target: the logits' shape without the class axis
        if (weight.ndim == 1 && logits.ndim > 1 && axis != 0 && weight.shape[0] == logits.shape[0] && axis == 1) {
            job.weight_outer = weight.strides[0] / 8;
        } else {
            if (job.sigmoid || weight.ndim != logits.ndim - 1) return false;
            for (int a = 0; a < weight.ndim; ++a)
                if (weight.shape[a] != logits.shape[a < axis ? a : a + 1]) return false;
            if (!join(weight, 0, axis, job.weight_outer) || !join(weight, axis, weight.ndim, job.weight_inner))
                return false;
        }
    }
    job.sample_weight = static_cast<const double*>(weight.buf);
    return checked || weights_hold(weight, job);
}

/// The loss of a job that has its arrays; nothing where a target is out of range.
std::optional<double> run(const Plan& plan, Job& job, double normalizer) {
    const bool wide = job.type == Type::f64;
    job.gamma = wide ? static_cast<const void*>(plan.gamma.data()) : plan.gamma_f.data();
    job.gamma_per_class = plan.gamma.size() > 1;
    if (!plan.alpha.empty()) {
        job.alpha = wide ? static_cast<const void*>(plan.alpha.data()) : plan.alpha_f.data();
        job.alpha_other = wide ? static_cast<const void*>(plan.alpha_other.data()) : plan.alpha_other_f.data();
        job.alpha_per_class = plan.alpha.size() > 1;
    }
    job.label_smoothing = plan.label_smoothing, job.ignore_index = plan.ignore_index;
    job.power = plan.power;

    Outcome outcome;
    {
        const nb::gil_scoped_release released;
        outcome = evaluate(job, plan.reduction, normalizer);
    }
    if (outcome.bad_targets) return std::nullopt;
    return outcome.loss;
}

/// The loss; None where the caller must check, or make arrays plain, first.
std::optional<double> call(const Plan& plan, nb::handle logits, nb::handle targets, nb::handle sample_weight,
                           nb::handle grad, nb::handle hess, nb::handle losses, nb::handle keep, double normalizer,
                           int order, int bfloat16, bool checked) {
    Buffer z, y, w, g, h, l, kept;
    Job job;
    if (!z.open(logits, false) || !y.open(targets, false)) return std::nullopt;
    const auto type = type_of(z.view(), bfloat16 & 1), target_type = type_of(y.view(), bfloat16 & 2);
    if (!type || !is_float(*type) || !target_type) return std::nullopt;
    job.type = *type, job.target_type = *target_type;
    job.sigmoid = plan.sigmoid, job.soft = is_float(*target_type);

    int axis = plan.class_axis < 0 ? plan.class_axis + z->ndim : plan.class_axis;
    if (z->ndim == 1 && plan.sigmoid) axis = -1;
    else if (z->ndim < 2 || axis < 0 || axis >= z->ndim) return std::nullopt;
    if (axis >= 0) {
        job.classes = z->shape[axis];
        for (int a = 0; a < axis; ++a) job.outer *= z->shape[a];
    }
    for (int a = axis + 1; a < z->ndim; ++a) job.inner *= z->shape[a];
    if ((job.classes == 0 && !plan.sigmoid) || !plan.fits(job.classes)) return std::nullopt;
    if (!shaped_like_logits(z.view(), axis, job.logits)) return std::nullopt;

    if (job.soft || plan.sigmoid) {
        if (!same_shape(y.view(), z.view()) || !shaped_like_logits(y.view(), axis, job.targets)) return std::nullopt;
    } else {
        if (y->ndim != z->ndim - 1 || !regular(y.view())) return std::nullopt;
        for (int a = 0; a < y->ndim; ++a)
            if (y->shape[a] != z->shape[a < axis ? a : a + 1]) return std::nullopt;
        job.targets.data = y->buf;
        if (!join(y.view(), 0, axis, job.targets.outer) || !join(y.view(), axis, y->ndim, job.targets.inner))
            return std::nullopt;
    }
    if (!sample_weight.is_none() &&
        (!w.open(sample_weight, false) || !read_weights(w.view(), z.view(), axis, checked, job)))
        return std::nullopt;
    const auto result = [&](nb::handle object, Buffer& buffer, Array& array) {
        if (!buffer.open(object, true) || !same_shape(buffer.view(), z.view()) ||
            type_of(buffer.view(), bfloat16 & 1) != type || !shaped_like_logits(buffer.view(), axis, array))
            return false;
        const bool clear = apart(buffer.view(), z.view()) || same_memory(buffer.view(), z.view());
        return checked ||
               (clear && apart(buffer.view(), y.view()) && (!job.sample_weight || apart(buffer.view(), w.view())));
    };
    if (order > 0 && !result(grad, g, job.grad)) return std::nullopt;
    if (order > 1 && !result(hess, h, job.hess)) return std::nullopt;
    // written over the logits, probabilities that turn out wrong would cost them: the caller looks first
    if (order > 0 && job.soft && !checked && same_memory(g.view(), z.view())) return std::nullopt;
    job.trusted = checked;
    const std::int64_t units = job.outer * job.inner * (job.sigmoid ? job.classes : 1);
    if (!losses.is_none()) {
        if (!l.open(losses, true) || l->len != units * l->itemsize) return std::nullopt;
        job.losses = l->buf;
        job.losses_unrounded = l->itemsize != z->itemsize;
    }
    if (!keep.is_none()) {
        if (!kept.open(keep, false) || kept->itemsize != 1 || kept->len != units) return std::nullopt;
        job.keep = static_cast<const std::uint8_t*>(kept->buf);
    }
    job.order = order;
    return run(plan, job, normalizer);
}

/// Gradient and loss, which are written, of logits and int64 targets that lie in C order at these addresses: nothing
/// is checked but what the kernels look at. False where the caller must.
bool call_at(const Plan& plan, std::uintptr_t logits, std::uintptr_t targets, std::uintptr_t grad, std::uintptr_t loss,
             std::int64_t outer, std::int64_t classes, std::int64_t inner, bool wide) {
    if (classes == 0 || !plan.fits(classes)) return false;
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
    job.order = 1;
    const std::optional<double> value = run(plan, job, 0);
    if (!value) return false;
    if (wide) *reinterpret_cast<double*>(loss) = *value;
    else *reinterpret_cast<float*>(loss) = static_cast<float>(*value);
    return true;
}

}  // namespace

void bind_evaluate(nb::module_& module) {
    nb::class_<Plan>(module, "Plan")
        .def(nb::init<bool, int, double, std::int64_t, int, std::vector<double>, std::optional<std::vector<double>>>());
    module.def("evaluate", &call, nb::arg("plan"), nb::arg("logits"), nb::arg("targets"),
               nb::arg("sample_weight").none(), nb::arg("grad").none(), nb::arg("hess").none(),
               nb::arg("losses").none(), nb::arg("keep").none(), nb::arg("normalizer"), nb::arg("order"),
               nb::arg("bfloat16"), nb::arg("checked"));
    module.def("evaluate_at", &call_at);
}

}  // namespace focalkit
