"""
One table, one answer
=====================

``tune`` compares cut-offs, class weights and focal loss on the same folds, and says how sure it is.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_classification

from focalkit.estimator import FocalClassifier
from focalkit.tuning import judge, tune

X, y = make_classification(900, 6, n_informative=4, weights=[0.93], flip_y=0.02, random_state=0)
result = tune(FocalClassifier(), X, y, gammas=[0, 2], alphas=[None, "sqrt", "balanced"], n_repeats=2)
verdict = judge(result)
for line in verdict.sentences():
    print(line)

# %%
# Every cell of the surface.

fig = result.plot()
plt.show()
