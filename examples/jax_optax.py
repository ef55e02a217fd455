"""A training loop of JAX and Optax on a long-tailed problem, with class weights and the posterior recovered."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import focalkit

rng = np.random.default_rng(0)
counts = np.array([900, 80, 20])
classes = np.repeat(np.arange(3), counts)
features = jnp.asarray(rng.normal(size=(len(classes), 5)) + np.eye(3, 5)[classes] * 2, jnp.float32)
targets = jnp.asarray(classes)
alpha = focalkit.class_weights(counts, "sqrt")


def loss(parameters, features, targets):
    """Mean focal loss of a linear model."""
    logits = features @ parameters["weight"].T + parameters["bias"]
    return focalkit.softmax_focal_loss(logits, targets, gamma=1.0, alpha=alpha)


optimizer = optax.adam(0.05)


@jax.jit
def step(parameters, state, features, targets):
    """One step; loss and gradient of the logits are one call of the compiled kernels."""
    value, grads = jax.value_and_grad(loss)(parameters, features, targets)
    updates, state = optimizer.update(grads, state)
    return optax.apply_updates(parameters, updates), state, value


parameters = {"weight": jnp.zeros((3, 5)), "bias": jnp.asarray(focalkit.prior_bias(counts / counts.sum()), jnp.float32)}
state = optimizer.init(parameters)
losses = []
for _ in range(100):
    parameters, state, value = step(parameters, state, features, targets)
    losses.append(float(value))

logits = features @ parameters["weight"].T + parameters["bias"]
posterior = focalkit.recover_posterior(jax.nn.softmax(logits), gamma=1.0, alpha=alpha)
decisions = jnp.argmax(focalkit.shift_prior(posterior, counts / counts.sum()), -1)
recall = [float((decisions[classes == k] == k).mean()) for k in range(3)]
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}, recall of each class {np.round(recall, 2)}")
