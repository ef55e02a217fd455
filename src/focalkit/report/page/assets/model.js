// What the ledger says for one gamma and alpha: sums over cells, expanded to second order about their means.
//
// DATA.cells[k] is a flat list m, w, v, m, w, v, ... by rising m: the mean log-odds of a cell, its weight and
// the second moment about the mean.

const model = (() => {
  const LOG9 = Math.log(9);

  function prepare(data) {
    const rows = data.names.map((name, k) => {
      const flat = data.cells[k];
      const n = flat.length / 3;
      const negative = data.link === "sigmoid" && k % 2 === 0;
      const row = { k, name, negative, m: new Float64Array(n), w: new Float64Array(n), v: new Float64Array(n), count: data.counts[k] };
      for (let i = 0; i < n; i++) {
        row.m[i] = flat[3 * i];
        row.w[i] = flat[3 * i + 1];
        row.v[i] = flat[3 * i + 2];
      }
      row.weight = row.w.reduce((a, b) => a + b, 0);
      return row;
    });
    return { rows, total: rows.reduce((a, row) => a + row.weight, 0), pairs: data.link === "sigmoid" };
  }

  // n^-beta, over all classes with mean 1, or within each column's negatives and positives with sum 1.
  const alphas = (book, beta) => scaled(book, book.rows.map((row) => (row.weight > 0 ? Math.pow(row.weight, -beta) : 0)));

  function scaled(book, raw) {
    if (book.pairs) {
      return raw.map((a, k) => {
        const both = raw[k - (k % 2)] + raw[k - (k % 2) + 1];
        return both > 0 ? a / both : 0;
      });
    }
    const some = raw.filter((a) => a > 0);
    const mean = some.reduce((a, b) => a + b, 0) / Math.max(some.length, 1);
    return raw.map((a) => (mean > 0 ? a / mean : 0));
  }

  // Sums of the loss and of |d1| over a cell: the focal loss's by its derivatives, another form's by the two points at
  // one standard deviation from the mean, which is the same to the third order.
  function cellSums(row, i, gamma, f) {
    const m = row.m[i], w = row.w[i], v = row.v[i];
    if (f === null) {
      const loss = w * definition.loss(m, gamma) + 0.5 * v * definition.d2(m, gamma);
      return { loss: Math.max(loss, 0), grad: Math.max(-(w * definition.d1(m, gamma) + 0.5 * v * definition.d3(m, gamma)), 0) };
    }
    const s = Math.sqrt(v / w), one = f(m - s), other = s > 0 ? f(m + s) : one;
    return { loss: 0.5 * w * Math.max(one.loss + other.loss, 0), grad: 0.5 * w * Math.max(one.fall + other.fall, 0) };
  }

  const functionOf = (form, row, gamma) => (form.name === "focal" ? null : forms.at(form, gamma, row.negative));

  function sums(row, gamma, form = forms.FOCAL) {
    const f = functionOf(form, row, gamma);
    const out = { loss: 0, grad: 0, easyLoss: 0, veryEasyLoss: 0, easyGrad: 0, easyWeight: 0, veryEasyWeight: 0, cells: new Float64Array(row.m.length) };
    for (let i = 0; i < row.m.length; i++) {
      const { loss, grad } = cellSums(row, i, gamma, f);
      out.cells[i] = loss;
      out.loss += loss;
      out.grad += grad;
      if (row.m[i] > 0) {
        out.easyLoss += loss;
        out.easyGrad += grad;
        out.easyWeight += row.w[i];
      }
      if (row.m[i] > LOG9) {
        out.veryEasyLoss += loss;
        out.veryEasyWeight += row.w[i];
      }
    }
    return out;
  }

  // Shares of loss and gradient per row, easy shares over all, for one gamma and one alpha per row.
  function shares(book, gammas, alpha, form = forms.FOCAL) {
    const per = book.rows.map((row, k) => sums(row, gammas[k], form));
    const over = (what) => per.reduce((total, s, k) => total + alpha[k] * s[what], 0);
    const loss = over("loss"), grad = over("grad");
    const part = (a, b) => (b > 0 ? a / b : 0);
    return {
      per,
      loss: per.map((s, k) => part(alpha[k] * s.loss, loss)),
      grad: per.map((s, k) => part(alpha[k] * s.grad, grad)),
      easy: per.map((s) => part(s.easyLoss, s.loss)),
      veryEasy: per.map((s) => part(s.veryEasyLoss, s.loss)),
      samples: per.map((s, k) => part(book.rows[k].weight, book.total)),
      easyOf: per.map((s, k) => part(s.easyWeight, book.rows[k].weight)),
      veryEasyOf: per.map((s, k) => part(s.veryEasyWeight, book.rows[k].weight)),
      easyLoss: part(over("easyLoss"), loss),
      veryEasyLoss: part(over("veryEasyLoss"), loss),
      easyGrad: part(over("easyGrad"), grad),
      easySamples: part(per.reduce((t, s) => t + s.easyWeight, 0), book.total),
    };
  }

  // alpha_k that give every row, or both sides of every column, the same share of the gradient at these gammas.
  function equalising(book, gammas, form = forms.FOCAL) {
    return scaled(book, book.rows.map((row, k) => {
      const grad = sums(row, gammas[k], form).grad;
      return grad > 0 ? 1 / grad : 0;
    }));
  }

  // The gamma in [0, 5] of each class, or column, that brings it down to the smallest gradient of gamma 0; else 5.
  function equalisingGamma(book, alpha) {
    const size = book.pairs ? 2 : 1;
    const parts = book.rows.filter((row) => row.k % size === 0).map((row) => book.rows.slice(row.k, row.k + size));
    const grad = (rows, gamma) => rows.reduce((total, row) => total + alpha[row.k] * sums(row, gamma).grad, 0);
    const plain = parts.map((rows) => grad(rows, 0));
    const aim = Math.min(...plain.filter((g) => g > 0));
    return parts.flatMap((rows, i) => {
      let low = 0, high = 5;
      if (plain[i] <= aim) high = 0;
      else if (grad(rows, 5) <= aim) {
        for (let n = 0; n < 14; n++) {
          const middle = (low + high) / 2;
          if (grad(rows, middle) > aim) low = middle;
          else high = middle;
        }
      }
      return rows.map(() => high);
    });
  }

  // Share of samples and of loss per bin of p_t; a cell is spread evenly over its mean +- sqrt(3 variance).
  function histogram(book, n, computed, alpha) {
    const samples = new Float64Array(n), loss = new Float64Array(n);
    const logit = (p) => (p <= 0 ? -Infinity : p >= 1 ? Infinity : Math.log(p) - Math.log1p(-p));
    const edges = Array.from({ length: n + 1 }, (_, i) => logit(i / n));
    book.rows.forEach((row, k) => {
      for (let i = 0; i < row.m.length; i++) {
        const half = Math.max(Math.sqrt((3 * row.v[i]) / row.w[i]), 1e-9);
        const from = row.m[i] - half, to = row.m[i] + half;
        let at = Math.min(Math.max(Math.floor(n * definition.probabilities(from).p), 0), n - 1);
        for (; at < n && edges[at] < to; at++) {
          const part = (Math.min(to, edges[at + 1]) - Math.max(from, edges[at])) / (to - from);
          if (part <= 0) continue;
          samples[at] += part * row.w[i];
          loss[at] += part * computed.per[k].cells[i] * alpha[k];
        }
      }
    });
    return { samples: normed(samples), loss: normed(loss) };
  }

  function normed(values) {
    const total = values.reduce((a, b) => a + b, 0);
    return total > 0 ? values.map((x) => x / total) : values;
  }

  // Figure 4: the easiest samples' share of the loss; without alpha, which cancels within a class.
  function cumulative(rows, gammas, form = forms.FOCAL) {
    const cells = [];
    for (const row of rows) {
      const f = functionOf(form, row, gammas[row.k]);
      for (let i = 0; i < row.m.length; i++) cells.push([row.m[i], row.w[i], cellSums(row, i, gammas[row.k], f).loss]);
    }
    cells.sort((a, b) => b[0] - a[0]);
    const samples = [0], loss = [0];
    for (const [, w, l] of cells) {
      samples.push(samples[samples.length - 1] + w);
      loss.push(loss[loss.length - 1] + l);
    }
    const n = samples[samples.length - 1] || 1, total = loss[loss.length - 1] || 1;
    return { samples: samples.map((x) => x / n), loss: loss.map((x) => x / total) };
  }

  // Share of the samples, the hardest ones, that carries half of the loss.
  function hardestHalf(curve) {
    for (let i = 1; i < curve.loss.length; i++) {
      if (curve.loss[i] >= 0.5) {
        const t = (0.5 - curve.loss[i - 1]) / (curve.loss[i] - curve.loss[i - 1]);
        return 1 - (curve.samples[i - 1] + t * (curve.samples[i] - curve.samples[i - 1]));
      }
    }
    return 1;
  }

  return { prepare, alphas, scaled, shares, equalising, equalisingGamma, histogram, cumulative, hardestHalf };
})();
