// The neighbours of the focal loss, as src/focalkit/_core/forms.py has them, in the log-odds m of the true class: of a
// row of positives, or of a softmax, and of a row of a sigmoid's negatives.
"use strict";

const forms = (() => {
  // what the page offers: each form's own numbers, [name, least, most, step, at first], and whether gamma has a place
  const CHOICES = {
    focal: { numbers: [], gamma: true },
    poly: { numbers: [["epsilon", -1, 6, 0.25, 1]], gamma: true },
    star: { numbers: [["offset", -3, 3, 0.25, 1]], gamma: true },
    dft: { numbers: [["share", 0, 1, 0.05, 1]], gamma: false },
    gce: { numbers: [["exponent", 0.05, 1, 0.05, 0.7]], gamma: false },
    steps: { numbers: [["gammaBelow", 0, 5, 0.25, 5], ["gammaAbove", 0, 5, 0.25, 3], ["step", 0.05, 0.95, 0.05, 0.2]], gamma: false },
    asymmetric: { numbers: [["gammaNegative", 0, 8, 0.25, 4], ["margin", 0, 0.5, 0.01, 0.05]], gamma: true, pairs: true, sides: true },
    quality: { numbers: [], gamma: true, pairs: true, soft: true },
    varifocal: { numbers: [], gamma: true, pairs: true, sides: true, soft: true },
  };
  const first = (name) => CHOICES[name].numbers.map(([, , , , value]) => value);
  const FOCAL = { name: "focal", numbers: [] };

  // Gamma of a row to which ``gamma`` is given, null where there is none.
  function gammaOf({ name, numbers }, gamma, negative) {
    if (!CHOICES[name].gamma || (name === "varifocal" && !negative)) return null;
    return name === "asymmetric" && negative ? numbers[0] : gamma;
  }

  // Loss and -d1, as a function of m.
  function at({ name, numbers }, gamma, negative) {
    const [k, clip] = numbers, g = gamma ?? 0;
    const of = (f) => (m) => f(definition.probabilities(m), m);
    const focal = (power) => (m) => ({ loss: definition.loss(m, power), fall: -definition.d1(m, power) });
    if (name === "poly") return of(({ p, q, nll }) => {
      const w = definition.modulation(q, g);
      return { loss: nll === 0 ? 0 : w * (nll + k * q), fall: w * (q + g * definition.product_p_nll(p, nll) + k * (g + 1) * p * q) };
    });
    if (name === "star" && g > 0) return (m) => {
      const { q, nll } = definition.probabilities(g * m + k);
      return { loss: nll / g, fall: q };
    };
    if (name === "dft") return of(({ p, q, nll }) => ({ loss: (1 - k) * (k < 1 ? nll : 0) + k * definition.product_p_nll(p, nll), fall: (1 - k + k * p) * q }));
    if (name === "gce") return of(({ q, nll }) => ({ loss: -Math.expm1(-k * nll) / k, fall: Math.exp(-k * nll) * q }));
    if (name === "steps") {
      const [below, above, step] = numbers;
      return of(({ p }, m) => focal(p < step ? below : above)(m));
    }
    if (name === "asymmetric" && negative && clip > 0) return of(({ p, q }) => {
      const v = q - clip, u = v < 0.5 ? 1 - v : p + clip;
      if (v <= 0) return { loss: 0, fall: 0 };
      const w = definition.modulation(v, k), n = v < 0.5 ? -Math.log1p(-v) : -Math.log(u);
      return { loss: w * n, fall: p * q * w * ((k * n) / v + 1 / u) };
    });
    return focal(name === "star" ? 0 : name === "asymmetric" && negative ? k : g);
  }

  return { CHOICES, FOCAL, first, gammaOf, at };
})();
