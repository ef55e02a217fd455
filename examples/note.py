"""The note's experiment on focalkit's functions: seed 42, 5 classes, 64 samples, everything that it prints.

Run: python examples/note.py
"""

from __future__ import annotations

import numpy as np

from focalkit import LossSpec, class_weights, diagnose, softmax_cross_entropy, softmax_focal_loss

N_CLASSES, BATCH_SIZE, IMBALANCE, GAMMA = 5, 64, 0.3, 2.0


def data() -> tuple[np.ndarray, np.ndarray]:
    """Targets and logits out of NumPy's old random stream, which the note uses."""
    np.random.seed(42)  # noqa: NPY002 - the note's own stream
    class_probs = np.array([(1 - IMBALANCE) ** i for i in range(N_CLASSES)])
    targets = np.random.choice(N_CLASSES, size=BATCH_SIZE, p=class_probs / class_probs.sum())  # noqa: NPY002
    return targets, np.random.randn(BATCH_SIZE, N_CLASSES)  # noqa: NPY002


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, to show them; the losses take the logits."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def note_means(logits: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """CE and focal means as the note computes them, with its 1e-12 inside the log."""
    p_t = softmax(logits)[np.arange(len(targets)), targets] + 1e-12
    nll = -np.log(p_t)
    return float(nll.mean()), float((nll * (1 - p_t) ** GAMMA).mean())


def main() -> None:
    """Print what the note prints, in its order, and what comes after the place where its output is cut."""
    targets, logits = data()
    print("样本真实类别:\n", targets)
    print("模型输出logits(只显示前5个):\n", logits[:5])
    print("模型输出概率(只显示前5个):\n", softmax(logits)[:5])

    counts = np.bincount(targets, minlength=N_CLASSES)
    alpha = class_weights(counts, "inverse")
    alpha_note = 1.0 / counts.astype(np.float32)
    print("类别平衡因子alpha:", alpha_note / alpha_note.sum())
    print("类别平衡因子alpha(float64，下面用它):", alpha)

    ce_note, fl_note = note_means(logits, targets)
    for name, loss, gamma, as_in_note in (
        ("CE", softmax_cross_entropy, 0.0, ce_note),
        ("FL", softmax_focal_loss, GAMMA, fl_note),
    ):
        options = {} if name == "CE" else {"gamma": gamma}
        shares = diagnose(logits, targets, LossSpec(gamma=gamma, alpha=alpha)).shares()
        print(f"应用alpha加权之前各类别对{name}损失的贡献:", shares.loss.total)
        print(f"{name.lower()}_loss:", loss(logits, targets, **options))
        print(f"{name.lower()}_loss(照笔记的写法，log里加1e-12):", as_in_note)
        print(f"应用alpha加权之后各类别对{name}损失的贡献:", shares.alpha * shares.loss.total)
        print(f"weighted {name.lower()}_loss:", loss(logits, targets, alpha=alpha, **options))


if __name__ == "__main__":
    main()
