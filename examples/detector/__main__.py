"""Train one detector on made scenes and say how good it is: python -m examples.detector --gamma 0.5 --alpha 0.25."""

from __future__ import annotations

import argparse

from .data import Scenes, make_scenes
from .losses import Loss
from .run import Training, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.detector", description=__doc__)
    parser.add_argument("--gamma", type=float, default=0.5)
    parser.add_argument("--alpha", type=float, default=0.25, help="weight of a positive; a negative weighs 1 − α")
    parser.add_argument("--prior", type=float, default=0.01, help="probability of foreground that anchors start with")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    train_on, test_on = make_scenes(asked.images, Scenes(), 0), make_scenes(max(asked.images // 2, 1), Scenes(), 1)
    training = Training(steps=asked.steps, prior=asked.prior)
    outcome = run(Loss(asked.gamma, asked.alpha), training, train_on, test_on, asked.seed)
    print(f"{outcome.ratio:.0f} background anchors for one in the foreground; {outcome.seconds:.0f} s of training")
    if outcome.ap is None or outcome.ap_of is None:
        print("Training diverged: the loss was no longer finite.")
        return
    print(f"AP {outcome.ap:.1f}, AP50 {outcome.ap50:.1f}, AP75 {outcome.ap75:.1f}")
    print("AP by class: " + ", ".join(f"{name} {ap:.1f}" for name, ap in outcome.ap_of.items()))
    print(
        f"F1 of detections: {outcome.f1_plain:.1f} at one half, {outcome.f1_chosen:.1f} at cut-offs of training images"
    )


if __name__ == "__main__":
    main()
