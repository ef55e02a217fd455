// The kernels as a foreign function of XLA, for JAX on the processor: one call is one custom call of the compiled
// program, on the buffers that XLA has laid out. Only XLA's C header is used, a copy of which is in third_party, so
// that building needs no JAX; the structs say their size, and the version of the interface is the running XLA's.
#include <nanobind/nanobind.h>
#include <xla/ffi/api/c_api.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "bindings/bindings.hpp"
#include "denominator.hpp"
#include "evaluate.hpp"
#include "memory.hpp"
#include "parameters.hpp"
#include "threads.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

// The operands and results, in this order; what is not given has no entries.
enum Operand {
    Logits,
    Targets,
    Gamma,
    Alpha,
    AlphaOther,
    AdjustmentOf,
    MarginOf,
    SampleWeight,
    Keep,
    Normalizer,
    n_operands
};
enum Result { Loss, Grad, Hess };

std::optional<Type> type_of(XLA_FFI_DataType dtype) {
    switch (dtype) {
        case XLA_FFI_DataType_F32: return Type::f32;
        case XLA_FFI_DataType_F64: return Type::f64;
        case XLA_FFI_DataType_F16: return Type::f16;
        case XLA_FFI_DataType_BF16: return Type::bf16;
        case XLA_FFI_DataType_S8: return Type::i8;
        case XLA_FFI_DataType_PRED:
        case XLA_FFI_DataType_U8: return Type::u8;
        case XLA_FFI_DataType_S32: return Type::i32;
        case XLA_FFI_DataType_S64: return Type::i64;
        default: return std::nullopt;
    }
}

std::int64_t size_of(Type type) {
    switch (type) {
        case Type::f64:
        case Type::i64: return 8;
        case Type::f32:
        case Type::i32: return 4;
        case Type::f16:
        case Type::bf16: return 2;
        default: return 1;
    }
}

Type must_be(std::optional<Type> type) {
    if (!type) throw std::invalid_argument("a dtype that the kernels do not have");
    return *type;
}

/// A buffer in C order, whose axes in front of the call's own are those of vmap: of full length or of 1.
struct View {
    Type type;
    char* data;
    std::vector<std::int64_t> mapped, shape;
    std::int64_t size = 1;

    View(const XLA_FFI_Buffer& buffer, std::int64_t n_mapped)
        : type(must_be(type_of(buffer.dtype))),
          data(static_cast<char*>(buffer.data)),
          mapped(buffer.dims, buffer.dims + n_mapped),
          shape(buffer.dims + n_mapped, buffer.dims + buffer.rank) {
        for (const std::int64_t length : shape) size *= length;
    }
    /// The part of one call out of those of vmap, which are numbered in C order.
    void* at(std::int64_t call, const std::vector<std::int64_t>& lengths) const {
        std::int64_t part = 0, step = 1;
        for (std::size_t axis = mapped.size(); axis-- > 0;) {
            if (mapped[axis] > 1) part += call % lengths[axis] * step;
            call /= lengths[axis];
            step *= mapped[axis];
        }
        return data + part * size * size_of(type);
    }
};

class Attributes {
public:
    explicit Attributes(const XLA_FFI_Attrs& attrs) : attrs_(attrs) {}
    template <class T>
    T get(std::string_view name) const {
        for (std::int64_t i = 0; i < attrs_.size; ++i) {
            if (std::string_view(attrs_.names[i]->ptr, attrs_.names[i]->len) != name) continue;
            const auto& scalar = *static_cast<const XLA_FFI_Scalar*>(attrs_.attrs[i]);
            const bool right =
                scalar.dtype == (std::is_floating_point_v<T> ? XLA_FFI_DataType_F64 : XLA_FFI_DataType_S64);
            if (attrs_.types[i] == XLA_FFI_AttrType_SCALAR && right) return *static_cast<const T*>(scalar.value);
        }
        throw std::invalid_argument("an attribute is missing");
    }

private:
    const XLA_FFI_Attrs& attrs_;
};

Array in_c_order(void* data, std::int64_t outer, std::int64_t classes, std::int64_t inner) {
    Array array;
    array.data = data;
    array.outer = outer == 1 ? 0 : classes * inner;
    array.classes = classes == 1 ? 0 : inner;
    array.inner = inner == 1 ? 0 : 1;
    return array;
}

template <class T>
void fill(void* data, std::int64_t size, T value) {
    std::fill_n(static_cast<T*>(data), size, value);
}

void fill_with_nan(void* data, std::int64_t size, Type type) {
    switch (type) {
        case Type::f64: return fill(data, size, std::numeric_limits<double>::quiet_NaN());
        case Type::f32: return fill(data, size, std::numeric_limits<float>::quiet_NaN());
        case Type::f16: return fill(data, size, std::uint16_t{0x7e00});
        default: return fill(data, size, std::uint16_t{0x7fc0});
    }
}

double number(const void* data, Type type) {
    return type == Type::f64 ? *static_cast<const double*>(data)
                             : static_cast<double>(*static_cast<const float*>(data));
}

class Evaluation {
public:
    explicit Evaluation(const XLA_FFI_CallFrame& frame) : attributes_(frame.attrs) {
        if (frame.args.size != n_operands) throw std::invalid_argument("another number of operands");
        const auto buffer = [](void* pointer) -> const XLA_FFI_Buffer& {
            return *static_cast<XLA_FFI_Buffer*>(pointer);
        };
        const XLA_FFI_Buffer& logits = buffer(frame.args.args[Logits]);
        const std::int64_t n_mapped = logits.rank - attributes_.get<std::int64_t>("rank");
        for (std::int64_t i = 0; i < frame.args.size; ++i) operands_.emplace_back(buffer(frame.args.args[i]), n_mapped);
        for (std::int64_t i = 0; i < frame.rets.size; ++i) results_.emplace_back(buffer(frame.rets.rets[i]), n_mapped);
        const XLA_FFI_Buffer& loss = buffer(frame.rets.rets[Loss]);  // a result has all of vmap's axes in full length
        lengths_.assign(loss.dims, loss.dims + n_mapped);
        describe();
        for (std::int64_t i = Grad; i < frame.rets.size; ++i) {
            const XLA_FFI_Buffer& made = buffer(frame.rets.rets[i]);
            std::int64_t bytes = size_of(results_[Grad].type);
            for (std::int64_t axis = 0; axis < made.rank; ++axis) bytes *= made.dims[axis];
            if (bytes >= worth_huge_pages) memory::prefer_huge_pages(made.data, static_cast<std::size_t>(bytes));
        }
    }

    void run() {
        std::int64_t calls = 1;
        for (const std::int64_t length : lengths_) calls *= length;
        for (std::int64_t call = 0; call < calls; ++call) one(call);
    }

private:
    static constexpr std::int64_t worth_huge_pages = std::int64_t{4} << 20;

    /// What all calls have in common.
    void describe() {
        const View& z = operands_[Logits];
        const std::int64_t rank = static_cast<std::int64_t>(z.shape.size());
        const std::int64_t axis = attributes_.get<std::int64_t>("class_axis");  // -1: binary logits
        for (std::int64_t a = 0; a < rank; ++a)
            (a < axis ? job_.outer : a == axis ? job_.classes : job_.inner) *= z.shape[static_cast<std::size_t>(a)];
        job_.sigmoid = attributes_.get<std::int64_t>("sigmoid") != 0;
        reduction_ = static_cast<Reduction>(attributes_.get<std::int64_t>("reduction"));
        ignored_ = attributes_.get<double>("ignore_index");  // NaN: floats alone can be that
        constexpr std::int64_t no_id = std::numeric_limits<std::int64_t>::min();
        job_.ignore_index = std::isnan(ignored_) ? no_id : static_cast<std::int64_t>(ignored_);
        job_.label_smoothing = attributes_.get<double>("label_smoothing");
        job_.logit_scale = attributes_.get<double>("logit_scale");
        job_.form = static_cast<Form>(attributes_.get<std::int64_t>("form"));
        job_.form_number = attributes_.get<double>("form_number");
        job_.form_gamma = attributes_.get<double>("form_gamma");
        job_.type = z.type, job_.target_type = operands_[Targets].type;
        job_.soft = job_.target_type <= Type::bf16;
        job_.order = static_cast<int>(results_.size()) - 1;
        each_ = reduction_ == Reduction::none;
        job_.losses_unrounded = each_ && results_[Loss].type != z.type;
    }

    void one(std::int64_t call) {
        const auto at = [&](const View& view) { return view.at(call, lengths_); };
        Job job = job_;
        const bool per_logit = job.sigmoid || job.soft;
        job.logits = in_c_order(at(operands_[Logits]), job.outer, job.classes, job.inner);
        job.targets = in_c_order(at(operands_[Targets]), job.outer, per_logit ? job.classes : 1, job.inner);
        const auto per_class = [&](Operand operand) {
            const View& view = operands_[operand];
            return view.size ? PerClass{at(view), view.size > 1} : PerClass{};
        };
        job.parameters = {per_class(Gamma), per_class(Alpha), per_class(AlphaOther), per_class(AdjustmentOf),
                          per_class(MarginOf)};
        const PerClass& gamma = job.parameters.gamma;
        job.power = gamma.per_class ? power_of_any : power_of(number(gamma.values, operands_[Gamma].type));
        if (operands_[SampleWeight].size) weigh(job, at(operands_[SampleWeight]));
        if (operands_[Keep].size) job.keep = static_cast<const std::uint8_t*>(at(operands_[Keep]));
        if (job.order > 0) job.grad = in_c_order(at(results_[Grad]), job.outer, job.classes, job.inner);
        if (job.order > 1) job.hess = in_c_order(at(results_[Hess]), job.outer, job.classes, job.inner);
        void* loss = at(results_[Loss]);
        if (each_) job.losses = loss;
        const View& given = operands_[Normalizer];
        const double normalizer = given.size ? number(at(given), given.type) : 0;
        const bool divides = normalizer > 0, undefined = given.size && !divides;
        const auto run = [&] {
            return evaluate(job, undefined ? Reduction::sum : reduction_, divides ? normalizer : 0);
        };
        // Soft ones are looked at where they can be ignored: before their logits are written over, or where the kernels
        // meet one outside of [0, 1].
        const bool ignores = job.sigmoid && job.soft;
        const bool first = ignores && (overwrites_logits(job) || ignored_ == 0 || ignored_ == 1);
        job.trusted = job.soft && (!ignores || first);
        if (first) leave_out_ignored(job);
        Outcome outcome = run();
        if (outcome.bad_targets && job.soft) {
            leave_out_ignored(job);
            job.trusted = true;  // a probability that is none is the caller's affair
            outcome = run();
        }
        // Nobody can be told from inside a compiled program. Nothing over a normalizer of 0 is 0.
        if (outcome.bad_targets || (undefined && outcome.loss != 0)) {
            for (const View& view : results_) fill_with_nan(at(view), view.size, view.type);
        } else if (!each_) {
            if (results_[Loss].type == Type::f64) *static_cast<double*>(loss) = outcome.loss;
            else *static_cast<float*>(loss) = static_cast<float>(outcome.loss);
        }
    }

    /// Leaves out soft targets of the sigmoid that are ignored, as hard example mining would; false where there are
    /// none. The kernels know them only by lying outside of [0, 1], and ignore none but integers.
    template <class T>
    bool leave_out_ignored(Job& job, std::vector<T>& targets) {
        const T* given = static_cast<const T*>(job.targets.data);
        const auto ignored = [this](T y) { return std::isnan(ignored_) ? y != y : static_cast<double>(y) == ignored_; };
        const std::int64_t size = operands_[Targets].size;
        if (std::none_of(given, given + size, ignored)) return false;
        targets.assign(given, given + size);
        kept_.assign(static_cast<std::size_t>(size), 1);
        for (std::size_t i = 0; i < kept_.size(); ++i) {
            kept_[i] = !ignored(targets[i]) && (!job.keep || job.keep[i]);
            if (ignored(targets[i])) targets[i] = 0;
        }
        job.targets.data = targets.data(), job.keep = kept_.data();
        return true;
    }
    bool leave_out_ignored(Job& job) {
        return job.target_type == Type::f64 ? leave_out_ignored(job, wide_targets_)
                                            : leave_out_ignored(job, narrow_targets_);
    }

    /// Weights, one per sample or one per target, in float64 as the kernels read them.
    void weigh(Job& job, const void* data) {
        const View& view = operands_[SampleWeight];
        if (view.type == Type::f64) {
            job.sample_weight = static_cast<const double*>(data);
        } else {
            const float* narrow = static_cast<const float*>(data);
            weights_.assign(narrow, narrow + view.size);
            job.sample_weight = weights_.data();
        }
        double largest = 0;
        for (std::int64_t i = 0; i < view.size; ++i) largest = std::max(largest, job.sample_weight[i]);
        job.weight_unit = unit_of(largest, job.type == Type::f64);
        const std::vector<std::int64_t>& shape = operands_[Logits].shape;
        if (job.sigmoid && view.shape == shape) {
            const Array like = in_c_order(nullptr, job.outer, job.classes, job.inner);
            job.weight_outer = like.outer, job.weight_classes = like.classes, job.weight_inner = like.inner;
        } else {
            job.weight_outer = view.size == job.outer * job.inner ? job.inner : 1;
            job.weight_inner = view.size == job.outer * job.inner && job.inner > 1 ? 1 : 0;
        }
    }

    Attributes attributes_;
    std::vector<View> operands_, results_;
    std::vector<std::int64_t> lengths_;
    std::vector<double> weights_, wide_targets_;
    std::vector<float> narrow_targets_;
    std::vector<std::uint8_t> kept_;
    double ignored_ = -100;
    Job job_;
    Reduction reduction_ = Reduction::mean;
    bool each_ = false;
};

/// XLA's own threads, those that run all of its program.
class XlaThreads {
public:
    explicit XlaThreads(const XLA_FFI_CallFrame& frame) : frame_(frame) {
        std::int64_t size = 1;
        XLA_FFI_ThreadPool_NumThreads_Args asked{};
        asked.struct_size = XLA_FFI_ThreadPool_NumThreads_Args_STRUCT_SIZE;
        asked.ctx = frame.ctx, asked.num_threads = &size;
        if (!ignored(frame, frame.api->XLA_FFI_ThreadPool_NumThreads(&asked))) size = 1;
        pool_ = {static_cast<int>(size), &schedule, this};
    }
    const threads::Pool& pool() const { return pool_; }

private:
    static bool ignored(const XLA_FFI_CallFrame& frame, XLA_FFI_Error* error) {
        if (!error) return true;
        XLA_FFI_Error_Destroy_Args destroyed{};
        destroyed.struct_size = XLA_FFI_Error_Destroy_Args_STRUCT_SIZE;
        destroyed.error = error;
        frame.api->XLA_FFI_Error_Destroy(&destroyed);
        return false;
    }
    static bool schedule(const threads::Pool& pool, void (*task)(void*), void* data) {
        const XLA_FFI_CallFrame& frame = static_cast<XlaThreads*>(pool.owner)->frame_;
        XLA_FFI_ThreadPool_Schedule_Args asked{};
        asked.struct_size = XLA_FFI_ThreadPool_Schedule_Args_STRUCT_SIZE;
        asked.ctx = frame.ctx, asked.task = task, asked.data = data;
        return ignored(frame, frame.api->XLA_FFI_ThreadPool_Schedule(&asked));
    }

    const XLA_FFI_CallFrame& frame_;
    threads::Pool pool_{};
};

XLA_FFI_Error* error_of(const XLA_FFI_CallFrame& frame, XLA_FFI_Error_Code code, const char* message) {
    XLA_FFI_Error_Create_Args made{};
    made.struct_size = XLA_FFI_Error_Create_Args_STRUCT_SIZE;
    made.message = message, made.errc = code;
    return frame.api->XLA_FFI_Error_Create(&made);
}

/// The minor version of the running XLA's interface, as its own header says; what calls for it does not always say it.
std::int32_t running_minor = XLA_FFI_API_MINOR;

/// XLA asks every handler for the interface that it was compiled for before it calls it.
bool answers_metadata(const XLA_FFI_CallFrame& frame) {
    XLA_FFI_Extension_Base* extension = frame.extension_start;
    if (!extension || extension->type != XLA_FFI_Extension_Metadata) return false;
    XLA_FFI_Metadata& metadata = *reinterpret_cast<XLA_FFI_Metadata_Extension*>(extension)->metadata;
    metadata.api_version.major_version = XLA_FFI_API_MAJOR;
    // Minor versions add fields at the end, none of which is read here: any will do.
    metadata.api_version.minor_version = frame.api ? frame.api->api_version.minor_version : running_minor;
    metadata.traits = 0;
    return true;
}

XLA_FFI_Error* loss(XLA_FFI_CallFrame* frame) {
    if (answers_metadata(*frame)) return nullptr;
    try {
        const XlaThreads own(*frame);
        const threads::Within within(own.pool());
        Evaluation(*frame).run();
        return nullptr;
    } catch (const std::bad_alloc&) {
        return error_of(*frame, XLA_FFI_Error_Code_RESOURCE_EXHAUSTED, "focalkit: no memory for the kernels' scratch");
    } catch (const std::exception& error) {
        return error_of(*frame, XLA_FFI_Error_Code_INTERNAL, error.what());
    }
}

}  // namespace

void bind_xla(nb::module_& module) {
    module.def(
        "xla_loss",
        [](std::int32_t minor) {
            running_minor = minor;
            return nb::capsule(reinterpret_cast<void*>(&loss));
        },
        nb::arg("minor"));
}

}  // namespace focalkit
