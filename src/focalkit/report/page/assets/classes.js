// One row per class: its bar, its figures, and its own alpha and gamma. Rows are made once and then only changed, so
// that a slider in hand stays in hand.

const classes = (() => {
  const element = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const number = (value) => (value === 0 ? "0" : value >= 1000 || value < 0.001 ? value.toExponential(1) : String(Number(value.toPrecision(3))));

  // Weights lie on a logarithmic slider; those of a column's two sides, which sum to 1, on one of log-odds.
  function alphaScale(book) {
    if (book.pairs) return { min: -7, max: 7, to: (a) => Math.log(a) - Math.log1p(-a), from: (s) => 1 / (1 + Math.exp(-s)), most: 1 };
    const some = model.alphas(book, 1.5).filter((a) => a > 0);
    const reach = Math.max(2, ...some.map((a) => Math.ceil(Math.abs(Math.log10(a)))));
    return { min: -reach, max: reach, to: Math.log10, from: (s) => Math.pow(10, s), most: Infinity };
  }
  const GAMMA = { min: 0, max: 5, to: (g) => g, from: (s) => s, most: 20 };

  function control(symbol, name, scale, step, set) {
    const range = element("input", { type: "range", min: scale.min, max: scale.max, step, "aria-label": `${symbol} ${name}` });
    const field = element("input", { type: "number", min: 0, max: Number.isFinite(scale.most) ? scale.most : "", step: "any", "aria-label": `${symbol} ${name} =` });
    let shown = 0;
    range.addEventListener("input", () => set(scale.from(Number(range.value))));
    field.addEventListener("change", () => {
      const value = Number(field.value);
      if (field.value !== "" && value >= 0 && value <= scale.most && Number.isFinite(value)) set(value);
      else field.value = number(shown);
    });
    const show = (value, own) => {
      range.disabled = field.disabled = value === null;
      if (value === null) return void (field.value = "");
      shown = value;
      range.value = Math.min(Math.max(scale.to(value), scale.min), scale.max);
      range.setAttribute("aria-valuetext", `${symbol} ${number(value)}`);
      if (document.activeElement !== field || own) field.value = number(value);
      box.classList.toggle("own", own);
    };
    const box = element("span", { class: "control" }, element("b", { "aria-hidden": "true" }, symbol), range, field);
    return { box, show };
  }

  // set(what, k, value) is told of every change, follow(k) of a row that gives up what is its own.
  function make(list, book, set, follow) {
    const rows = new Map(), scale = alphaScale(book);

    function row(k) {
      if (rows.has(k)) return rows.get(k);
      const name = book.rows[k].name;
      const svg = charts.make("svg", { class: "strip" }), value = element("span", { class: "value" });
      const alpha = control("α", name, scale, 0.01, (v) => set("alpha", k, v));
      const gamma = control("γ", name, GAMMA, 0.05, (v) => set("gamma", k, v));
      const undo = element("button", { type: "button", class: "undo" }, "↺");
      undo.addEventListener("click", () => { follow(k); alpha.box.querySelector("input").focus(); });
      const title = element("span", { class: "name", title: name }, name);
      const node = element("li", { class: "class", "data-row": k }, title, svg, value, alpha.box, gamma.box, undo);
      const made = { node, strip: charts.strip(svg), value, alpha, gamma, undo, name };
      rows.set(k, made);
      return made;
    }

    function show(k, figures, axis, words) {
      const { strip, value, alpha, gamma, undo, name } = row(k);
      strip(figures, axis, words.label(name, figures));
      value.replaceChildren(element("span", { class: "was" }, words.percent(figures.before).replace(/\u00a0?%$/, "")), " → ", element("strong", {}, words.percent(figures.after)));
      alpha.show(figures.alpha, figures.ownAlpha);
      gamma.show(figures.gamma, figures.ownGamma);
      undo.hidden = !(figures.ownAlpha || figures.ownGamma);
      undo.setAttribute("aria-label", `${words.follow}: ${name}`);
      undo.title = words.follow;
    }

    return { show, order: (ks) => list.replaceChildren(...ks.map((k) => row(k).node)) };
  }

  return { make, element, number };
})();
