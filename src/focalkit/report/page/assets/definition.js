// The mathematics, line for line and name for name as src/focalkit/_core/definition.py.
//
//     loss(m) =  q^g nll                 p = sigma(m), q = sigma(-m), nll = softplus(-m) = -log p
//     d1(m)   = -q^g (q + g p nll)       d loss / dm
//     d2(m)   =  q^g p ((1 + 2g) q + g nll (g p - q))
"use strict";

const definition = (() => {
  // 1 - p is never a subtraction: with e = exp(-|m|) in (0, 1], the larger of p and q is 1 / (1 + e)
  // and the smaller e / (1 + e); nll = max(-m, 0) + log1p(e) has no cancelling terms.
  function probabilities(m) {
    const e = Math.exp(-Math.abs(m));
    const larger = 1 / (1 + e);
    const smaller = e / (1 + e);
    const likely = m >= 0;
    return { p: likely ? larger : smaller, q: likely ? smaller : larger, nll: (likely ? 0 : -m) + Math.log1p(e) };
  }

  // q^gamma, and 1 where gamma is 0 even at q = 0
  const modulation = (q, gamma) => (gamma === 0 ? 1 : Math.pow(q, gamma));

  // p nll, and its limit 0 where p is 0
  const product_p_nll = (p, nll) => (p > 0 ? p * nll : p);

  function loss(m, gamma) {
    const { q, nll } = probabilities(m);
    return nll === 0 ? nll : modulation(q, gamma) * nll;
  }

  function d1(m, gamma) {
    const { p, q, nll } = probabilities(m);
    return -modulation(q, gamma) * (q + gamma * product_p_nll(p, nll));
  }

  function d2(m, gamma) {
    const { p, q, nll } = probabilities(m);
    const p_nll = product_p_nll(p, nll);
    return modulation(q, gamma) * (p * (1 + 2 * gamma) * q + gamma * p_nll * (gamma * p - q));
  }

  function d3(m, gamma) {
    const { p, q, nll } = probabilities(m);
    const p_nll = product_p_nll(p, nll);
    const p_b = p * (1 + 2 * gamma) * q + gamma * p_nll * (gamma * p - q);
    const p_db = p * q * (-(1 + 2 * gamma) * p - gamma * (gamma * p - q) + gamma * (1 + gamma) * p_nll);
    return modulation(q, gamma) * ((q - gamma * p) * p_b + p_db);
  }

  return { probabilities, modulation, product_p_nll, loss, d1, d2, d3 };
})();
