"""What the reference says of each public name beside its docstring: since which version, and what stands near it."""

from __future__ import annotations

from itertools import chain

#: Names that serve one purpose: each of them sees the others.
TOGETHER = [
    ["softmax_focal_loss", "sigmoid_focal_loss", "softmax_cross_entropy", "sigmoid_cross_entropy"],
    ["nn.SoftmaxFocalLoss", "nn.SigmoidFocalLoss", "nn.SoftmaxCrossEntropy", "nn.SigmoidCrossEntropy"],
    ["keras.SoftmaxFocalLoss", "keras.SigmoidFocalLoss", "keras.SoftmaxCrossEntropy", "keras.SigmoidCrossEntropy"],
    ["loss_grad_hess", "LossSpec", "LossGradHess"],
    ["get_num_threads", "set_num_threads", "keep_pages"],
    ["class_weights", "deferred_weights", "prior_bias", "long_tail_counts"],
    ["recover_posterior", "shift_prior"],
    ["linear_softmax_focal_loss", "nn.LinearFocalLoss"],
    ["nn.global_normalizer", "nn.parallel_softmax_focal_loss"],
    ["nn.LedgerMetric", "nn.LedgerCallback", "nn.write_shares"],
    ["diagnosis.diagnose", "diagnosis.diagnose_files", "diagnosis.diagnose_demo"],
    ["diagnosis.Ledger", "diagnosis.Shares", "diagnosis.Quantity", "diagnosis.CumulativeCurves"],
    ["diagnosis.loss_curves", "diagnosis.LossCurves"],
    ["decisions.decide", "decisions.fit_rule", "decisions.DecisionClassifier"],
    ["decisions.DecisionRule", "decisions.Rule", "decisions.DecisionReport"],
    ["decisions.Cost", "decisions.CostMatrix", "decisions.CaseCost"],
    ["decisions.Maximize", "decisions.Constraint", "decisions.Abstain"],
    ["decisions.Goal", "decisions.as_goal"],
    ["decisions.score", "decisions.sort_cutoffs"],
    ["decisions.calibration", "decisions.Calibration"],
    ["decisions.estimate_prior", "decisions.PriorEstimate"],
    ["tuning.tune", "tuning.tune_labels", "tuning.judge", "tuning.judge_all"],
    ["tuning.TuneResult", "tuning.Verdict", "tuning.LabelVerdicts", "tuning.Cell"],
    ["tuning.named_estimator", "tuning.OutOfFold", "tuning.RemedyClassifier"],
    ["io.read_table", "io.Table", "io.Alert", "io.say"],
    ["report.write_page", "report.to_html", "report.log_to_mlflow"],
    ["boosting.FocalXGBClassifier", "boosting.FocalLGBMClassifier", "boosting.FocalCatBoostClassifier"],
    ["boosting.FocalObjective", "boosting.focal_start"],
]
#: What else a reader of a name may be looking for.
FURTHER = {
    "softmax_focal_loss": ["nn.SoftmaxFocalLoss", "loss_grad_hess", "class_weights"],
    "sigmoid_focal_loss": ["nn.SigmoidFocalLoss", "loss_grad_hess", "prior_bias"],
    "softmax_cross_entropy": ["nn.SoftmaxCrossEntropy"],
    "sigmoid_cross_entropy": ["nn.SigmoidCrossEntropy"],
    "loss_grad_hess": ["softmax_focal_loss", "sigmoid_focal_loss", "boosting.FocalObjective"],
    "linear_softmax_focal_loss": ["softmax_focal_loss"],
    "recover_posterior": ["decisions.decide"],
    "shift_prior": ["decisions.decide", "decisions.estimate_prior"],
    "diagnosis.diagnose": ["diagnosis.Ledger", "nn.LedgerMetric"],
    "diagnosis.Ledger": ["diagnosis.diagnose"],
    "InputError": ["LossSpec"],
    "nn.SoftmaxFocalLoss": ["softmax_focal_loss", "nn.LinearFocalLoss"],
    "nn.SigmoidFocalLoss": ["sigmoid_focal_loss", "prior_bias"],
    "nn.parallel_softmax_focal_loss": ["linear_softmax_focal_loss"],
    "nn.global_normalizer": ["nn.SoftmaxFocalLoss"],
    "keras.SoftmaxFocalLoss": ["softmax_focal_loss"],
    "keras.LedgerCallback": ["nn.LedgerCallback", "diagnosis.Ledger"],
    "diagnosis.Diagnosis": ["diagnosis.diagnose_files", "report.write_page"],
    "decisions.REVIEW": ["decisions.Abstain"],
    "decisions.DecisionClassifier": ["tuning.RemedyClassifier"],
    "decisions.decide": ["recover_posterior", "shift_prior", "tuning.tune"],
    "tuning.tune": ["decisions.decide", "report.write_page"],
    "report.write_page": ["tuning.tune", "diagnosis.diagnose_files", "decisions.decide"],
    "estimator.FocalClassifier": ["tuning.tune", "decisions.DecisionClassifier", "boosting.FocalXGBClassifier"],
    "boosting.FocalXGBClassifier": ["estimator.FocalClassifier"],
}
#: What came after 0.1.0; modules stand for all their names.
ADDED = {
    "0.2.0": {
        *("deferred_weights", "long_tail_counts", "decisions", "io", "report", "keras"),
        *("diagnosis.Diagnosis", "diagnosis.diagnose_files", "diagnosis.diagnose_demo"),
        *("tuning.LabelVerdicts", "tuning.tune_labels", "tuning.named_estimator"),
        *("tuning.OutOfFold", "tuning.RemedyClassifier"),
    }
}


def near(name: str) -> list[str]:
    """The names to see beside this one; both without the leading ``focalkit.``."""
    groups = (group for group in TOGETHER if name in group)
    return [other for other in dict.fromkeys([*chain(*groups), *FURTHER.get(name, [])]) if other != name]


def since(name: str) -> str:
    """The version that brought this name."""
    module = name.partition(".")[0]
    return next((version for version, names in ADDED.items() if name in names or module in names), "0.1.0")


def annotate(name: str, lines: list[str]) -> list[str]:
    """The lines of a numpy docstring with the version before the parameters, and what is near before the notes."""
    heads = [i for i, line in enumerate(lines[1:]) if set(line.strip()) == {"-"} and lines[i].strip()]
    first = heads[0] if heads else len(lines)
    last = next((i for i in heads if lines[i].strip() in ("Notes", "References", "Examples")), len(lines))
    see = ["See Also", "--------", *(f"focalkit.{other}" for other in near(name)), ""] if near(name) else []
    version = ["", f".. versionadded:: {since(name)}", ""]
    return [*lines[:first], *version, *lines[first:last], "", *see, *lines[last:]]
