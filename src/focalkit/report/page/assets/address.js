// The sliders' state in the page's address, so that a link or a bookmark opens the page as it was left.

const address = (() => {
  const MOST_OWN = 200;
  const short = (value) => String(Number(value.toPrecision(4)));

  function write(state) {
    const parts = [`gamma=${short(state.gamma)}`, `beta=${short(state.beta)}`];
    if (state.form !== "focal") parts.push(`form=${state.form}`);
    for (const [what, own] of Object.entries(state.own))
      if (own.size && own.size <= MOST_OWN) parts.push(`own-${what}=${[...own].map(([k, value]) => `${k}:${short(value)}`).join(",")}`);
    history.replaceState(null, "", `#${parts.join("&")}`);
  }

  const clear = () => history.replaceState(null, "", location.pathname + location.search);

  // What a hand or another page wrote there is checked: numbers in the sliders' ranges, rows that there are.
  function read(K) {
    const given = new URLSearchParams(location.hash.slice(1)), state = { own: {} }, form = given.get("form");
    state.form = Object.hasOwn(forms.CHOICES, form) ? form : "focal";
    for (const [what, most] of [["gamma", 5], ["beta", 1.5]]) {
      const value = given.has(what) ? Number(given.get(what)) : NaN;
      if (!(value >= 0 && value <= most)) return null;
      state[what] = value;
    }
    for (const what of ["alpha", "gamma"]) {
      const pairs = (given.get(`own-${what}`) || "").split(",").map((pair) => pair.split(":").map(Number));
      state.own[what] = new Map(pairs.filter(([k, value]) => Number.isInteger(k) && k >= 0 && k < K && value >= 0 && Number.isFinite(value)));
    }
    return state;
  }

  return { read, write, clear };
})();
