// The neighbours of the focal loss, as src/focalkit/_core/forms.py and diagnosis/form_sums.py have them: sums of
// monomials c p^i q^j nll^b in the log-odds, whose derivatives are such sums too.
"use strict";

const forms = (() => {
  // what the page offers, each with its number
  const CHOICES = { focal: 0, poly: 1, star: 1, dft: 1, gce: 0.7 };

  // The loss, but for a constant, and -d1, as [c, i, j, b]; and the log-odds they are of, ``slope m + shift``.
  function terms(name, g) {
    const k = CHOICES[name];
    if (name === "poly") {
      const value = [[1, 0, g, 1], [k, 0, g + 1, 0]];
      return { value, fall: derivative(value).map(([c, ...rest]) => [-c, ...rest]), slope: 1, shift: 0, constant: 0 };
    }
    if (name === "star" && g > 0) return { value: [[1 / g, 0, 0, 1]], fall: [[1, 0, 1, 0]], slope: g, shift: k, constant: 0 };
    if (name === "dft") return { value: [[k, 1, 0, 1], [1 - k, 0, 0, 1]], fall: [[k, 1, 1, 0], [1 - k, 0, 1, 0]], slope: 1, shift: 0, constant: 0 };
    if (name === "gce") return { value: [[-1 / k, k, 0, 0]], fall: [[1, k, 1, 0]], slope: 1, shift: 0, constant: 1 / k };
    const value = [[1, 0, name === "star" ? 0 : g, 1]];
    return { value, fall: derivative(value).map(([c, ...rest]) => [-c, ...rest]), slope: 1, shift: 0, constant: 0 };
  }

  function derivative(of) {
    return of.flatMap(([c, i, j, b]) => [[c * i, i, j + 1, b], [-c * j, i + 1, j, b], [-c * b, i, j + 1, b - 1]].filter(([d]) => d !== 0));
  }

  // Loss and -d1 at m, and their second derivatives, as a function of m.
  function at(name, gamma) {
    const { value, fall, slope, shift, constant } = terms(name, gamma);
    const bent = derivative(derivative(value)), turned = derivative(derivative(fall));
    return (m) => {
      const { p, q, nll } = definition.probabilities(slope * m + shift);
      const sum = (of) => of.reduce((total, [c, i, j, b]) => {
        const power = Math.pow(p, i) * Math.pow(q, j);
        return total + (power === 0 ? 0 : c * power * Math.pow(nll, b));
      }, 0);
      return { loss: Math.max(constant + sum(value), 0), fall: sum(fall), bend: slope * slope * sum(bent), turn: slope * slope * sum(turned) };
    };
  }

  return { CHOICES, at };
})();
