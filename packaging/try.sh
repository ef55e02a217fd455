#!/usr/bin/env bash
# Install a wheel or source distribution into an empty environment, and run what a stranger runs first.
#
#   packaging/try.sh dist/focalkit-0.2.0-….whl numpy==1.26.4
set -euo pipefail
package=$(realpath "$1") numpy=${2:-numpy}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/env"
cd "$place"  # nothing of the checkout is to be found
env/bin/python -m pip install --quiet --disable-pip-version-check "$numpy" "$package"
env/bin/python - <<'PYTHON'
import importlib.resources

import numpy as np

import focalkit

assert abs(focalkit.softmax_focal_loss([[0.0, 0.0]], [0], gamma=2.0) - 0.25 * np.log(2)) < 1e-15
loss, grad, hess = focalkit.loss_grad_hess(focalkit.LossSpec(gamma=2.0), np.eye(4, dtype=np.float32), np.arange(4))
assert abs(grad.sum()) < 1e-6
files = importlib.resources.files("focalkit")
assert files.joinpath(".agents/skills/focalkit/SKILL.md").is_file()
assert files.joinpath("llms.txt").is_file()
print("focalkit", focalkit.__version__, "numpy", np.__version__)
PYTHON
env/bin/python -m pip install --quiet --disable-pip-version-check "$numpy" "focalkit[tune] @ file://$package"
env/bin/focalkit tune --folds 3 --repeats 2 --json verdict.json > said.txt
test -s verdict.json
head -4 said.txt
