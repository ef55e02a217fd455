#pragma once
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "evaluate.hpp"
#include "parameters.hpp"

namespace focalkit {

/// A spec in the form the kernels read; made once per spec.
struct Plan {
    bool sigmoid;
    Reduction reduction;
    double label_smoothing;
    std::int64_t ignore_index;
    int class_axis;
    double logit_scale;
    Form form;
    double form_number, form_gamma;
    ParameterTable parameters;
    bool exceeds_float;  // float, on the way to results that it can hold (beyond_float32 says so): float64 then

    Plan(bool sigmoid, int reduction, double label_smoothing, std::int64_t ignore_index, int class_axis,
         double logit_scale, int form, double form_number, double form_gamma, std::vector<double> gamma,
         std::optional<std::vector<double>> alpha, std::optional<std::vector<double>> adjustment,
         std::optional<std::vector<double>> margin, bool exceeds_float)
        : sigmoid(sigmoid),
          reduction(static_cast<Reduction>(reduction)),
          label_smoothing(label_smoothing),
          ignore_index(ignore_index),
          class_axis(class_axis),
          logit_scale(logit_scale),
          form(static_cast<Form>(form)),
          form_number(form_number),
          form_gamma(form_gamma),
          exceeds_float(exceeds_float) {
        parameters.gamma = ParameterColumn(std::move(gamma));
        if (adjustment) parameters.adjustment = ParameterColumn(std::move(*adjustment));
        if (margin) parameters.margin = ParameterColumn(std::move(*margin));
        if (alpha) {
            if (sigmoid) {
                std::vector<double> other;
                for (double a : *alpha) other.push_back(1 - a);
                parameters.alpha_other = ParameterColumn(std::move(other));
            }
            parameters.alpha = ParameterColumn(std::move(*alpha));
            if (!sigmoid) parameters.alpha.rescale();
        }
    }

    /// The loss of a job whose type is known.
    void set(Job& job) const {
        const bool wide = job.type == Type::f64;
        job.sigmoid = sigmoid;
        job.parameters = parameters.view(wide);
        job.label_smoothing = label_smoothing, job.ignore_index = ignore_index;
        job.logit_scale = logit_scale;
        job.form = form, job.form_number = form_number, job.form_gamma = form_gamma;
        job.power = parameters.power(wide);
    }
    /// The power of two that alpha was multiplied by.
    double alpha_unit(const Job& job) const { return parameters.alpha.unit(job.type == Type::f64); }
};

}  // namespace focalkit
