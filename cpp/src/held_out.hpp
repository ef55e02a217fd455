// What a fold's held-out rows say: posteriors from logits, decisions at every shift, figures of every class.
#pragma once
#include <cstdint>

namespace focalkit {

/// Posteriors ``out`` (n, classes) from logits: (n, classes) of a softmax, or (n) of the second of two classes.
///
/// posterior.py's recover_from_log_odds: h(p) / weights, normalised; ``weights`` may be null.
void recover(const double* logits, std::int64_t n, std::int64_t classes, bool one_logit, double gamma,
             const double* weights, double* out);

/// Of rows' probabilities of one class: its average precision, 0 where no row is a hit, and its calibration error
/// over ``bins`` of equal mass. ``probability`` has a stride of ``classes``.
void class_figures(const double* probability, std::int64_t n, std::int64_t classes, const std::int64_t* targets,
                   std::int64_t c, std::int64_t bins, double& precision, double& gap);

/// Which class is decided where log p - shift is largest (the first of equals), at every shift: counted in ``right``
/// and ``named`` (shifts, classes), zeros before. ``shift`` is (known, shifts), a line for each of the ``known``
/// classes.
void count_shifts(const double* posterior, std::int64_t n, std::int64_t classes, const std::int64_t* targets,
                  const std::int64_t* known, std::int64_t n_known, const double* shift, std::int64_t shifts,
                  std::int64_t* right, std::int64_t* named);

/// Of two classes: ``above`` (2, cutoffs + 1) counts the rows of each class by how many of the ascending ``cutoffs``
/// their log-odds exceed.
void count_cutoffs(const double* posterior, std::int64_t n, const std::int64_t* targets, const double* cutoffs,
                   std::int64_t n_cutoffs, std::int64_t* above);

}  // namespace focalkit
