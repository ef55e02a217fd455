"""Rules by trying everything: written apart from the package, row by row and in plain Python."""

import itertools
import math

import numpy as np

METRICS = ("accuracy", "balanced_accuracy", "g_mean", "f_beta", "macro_f_beta", "mcc", "kappa", "youden")


def expected(row, matrix):
    """Expected cost of each decision about one case."""
    return [sum(row[k] * matrix[k][j] for k in range(len(row))) for j in range(len(row))]


def confusion(y, decided, w, k):
    table = np.zeros((k, k))
    for truth, said, weight in zip(y, decided, w, strict=True):
        if said >= 0:
            table[truth, said] += weight
    return table


def metric(name, table, beta=1.0):
    """From a confusion matrix, rows the truth."""
    k, n = len(table), table.sum()
    true, named, hit = table.sum(axis=1), table.sum(axis=0), np.diag(table)
    present = [j for j in range(k) if true[j] > 0]
    recall = [hit[j] / true[j] for j in present]
    b = beta * beta
    f = [(1 + b) * hit[j] / (b * true[j] + named[j]) if true[j] > 0 else 0.0 for j in range(k)]
    if name == "accuracy":
        return hit.sum() / n
    if name == "balanced_accuracy":
        return sum(recall) / len(recall)
    if name == "g_mean":
        return math.prod(recall) ** (1 / len(recall))
    if name == "f_beta":
        return f[1]
    if name == "macro_f_beta":
        return sum(f[j] for j in present) / len(present)
    if name == "mcc":
        below = (n * n - (named**2).sum()) * (n * n - (true**2).sum())
        return 0.0 if below <= 1e-12 * n**4 else (hit.sum() * n - (named * true).sum()) / math.sqrt(below)
    if name == "kappa":
        chance = (named * true).sum() / n**2
        return 0.0 if 1 - chance <= 1e-12 else (hit.sum() / n - chance) / (1 - chance)
    if name == "youden":
        return (sum(recall) - 1) / max(len(recall) - 1, 1)
    raise AssertionError(name)


def alert_sets(p):
    """What each cut-off flags, from nothing to everything."""
    values = sorted(set(p.tolist()), reverse=True)
    return [np.zeros(len(p), bool)] + [p >= v for v in values]


def two_class_costs(y, flagged, w, c):
    total = 0.0
    for truth, said, weight in zip(y, flagged, w, strict=True):
        total += weight * c[truth][int(said)]
    return total / w.sum()


def constrained(kind, bound, y, flagged, w):
    """(bound kept, what is raised or minus the shortfall)."""
    tp = w[(y == 1) & flagged].sum()
    fp = w[(y == 0) & flagged].sum()
    positives, negatives = w[y == 1].sum(), w[y == 0].sum()
    recall = tp / positives if positives else 0.0
    precision = tp / (tp + fp) if tp + fp else 0.0
    fpr = fp / negatives if negatives else 0.0
    alerts = (tp + fp) / w.sum()
    raised, short = {
        "precision": (recall, bound - precision),
        "recall": (precision, bound - recall),
        "false_positive_rate": (recall, fpr - bound),
        "alerts": (recall, alerts - bound),
    }[kind]
    return raised if short <= 1e-12 else -short


def bands(p, y, w, c, review_cost=None, share=None):
    """The least mean cost of any two cut-offs."""
    best, sets = math.inf, alert_sets(p)
    for i, j in itertools.combinations_with_replacement(range(len(sets)), 2):
        flagged, reviewed = sets[i], sets[j] & ~sets[i]
        if share is not None and w[reviewed].sum() > share * w.sum() * (1 + 1e-12):
            continue
        cost = 0.0
        for truth, said, doubt, weight in zip(y, flagged, reviewed, w, strict=True):
            cost += weight * ((review_cost or 0.0) if doubt else c[truth][int(said)])
        best = min(best, cost / w.sum())
    return best


def along_one_weight(p, w, c, decide, worth):
    """The best value on the line of weight ``c``: every interval between numbers at which a decision can change."""
    places = {0.0}
    for row in p:
        for j in range(len(w)):
            if j != c and row[c] > 0:
                places.add(w[j] * row[j] / row[c])
    places = sorted(places)
    merged = [places[0]]
    for place in places[1:]:
        if place > merged[-1] * (1 + 1e-12):
            merged.append(place)
    tries = [(a + b) / 2 for a, b in itertools.pairwise(merged)] + [merged[-1] * 2 + 1]
    best = -math.inf
    for value in tries:
        new = np.array(w, float)
        new[c] = value
        best = max(best, worth(decide(new)))
    return best
